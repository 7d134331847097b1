#!/usr/bin/env bash
# Unpack Prometheus, Alertmanager and vmalert-tool of a newer Debian (SUITE, else unstable) into
# build/newer, installing nothing: tests find them there where build/newer/usr/bin leads PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-sid} root=$PWD/build/newer apt=$PWD/build/newer/apt

rm -rf "$root"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
touch "$apt/status"
# The mirror is the one that this machine's own packages come from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed q)
echo "deb $mirror $suite main" >"$apt/sources.list"
options=(
  -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
  -o "Dir::State::Lists=$apt/lists" -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt/cache"
  -o Acquire::Languages=none -o "APT::Sandbox::User=$(id -un)"
)
apt-get "${options[@]}" update
# All else that they need is a libc of 2021 or later.
(cd "$apt" && apt-get "${options[@]}" download prometheus promtool prometheus-alertmanager victoria-metrics)
for package in "$apt"/*.deb; do dpkg -x "$package" "$root"; done
rm -r "$apt"
"$root/usr/bin/promtool" --version | sed q
test -x "$root/usr/bin/vmalert-tool"
