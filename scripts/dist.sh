#!/usr/bin/env bash
# Everything of a release into dist/: wheel, sdist, chart, bill of materials, checksums. What is
# built is built twice and compared, so that anybody can check a release by building it.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' exporter/__init__.py)
: "${version:?no version in exporter/__init__.py}"
stem=wolkvox_exporter-$version
chart=wolkvox-exporter-$(sed -n 's/^version: //p' deploy/helm/wolkvox-exporter/Chart.yaml)

# Only what the locks name, checked by its hashes.
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --require-hashes -r scripts/dist-build.lock
"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --require-hashes -r scripts/dist-tools.lock

build() { # SOURCE TARGET WHAT: hatchling dates everything by itself, always the same
  (cd "$1" && "$work/build/bin/hatchling" build --directory "$2" --target "$3" >"$work/build.log" 2>&1) ||
    { cat "$work/build.log" >&2; return 1; }
}
same() {
  cmp "$1" "$2" || { echo "$(basename "$1"): two builds differ" >&2; return 1; }
}
pack() { # the chart: links into other folders become the files that they name
  tar --create --dereference --directory deploy/helm --sort=name --mtime=@0 --owner=0 --group=0 \
    --numeric-owner --mode=u+rw,go=r,a+X --exclude=wolkvox-exporter/ci \
    --exclude='files/prometheus/prometheus.yml' wolkvox-exporter | gzip --no-name >"$1"
}

for n in 1 2; do
  mkdir "$work/$n"
  build . "$work/$n" sdist
  build . "$work/$n" wheel
  pack "$work/$n/$chart.tgz"
done
for file in "$work"/1/*; do same "$file" "$work/2/$(basename "$file")"; done
# Whoever has only the sdist gets the same wheel.
tar -C "$work" -xzf "$work/1/$stem.tar.gz"
build "$work/$stem" "$work/3" wheel
same "$work/1/$stem-py3-none-any.whl" "$work/3/$stem-py3-none-any.whl"

# The bill of materials is that of what the wheel runs with, licences included.
"$python" -m venv --without-pip "$work/runtime"
"$work/build/bin/pip" --python "$work/runtime/bin/python" install --quiet --require-hashes -r requirements.lock
"$work/build/bin/pip" --python "$work/runtime/bin/python" install --quiet --no-deps "$work/1/$stem-py3-none-any.whl"
sed "s/^dynamic = .*/version = \"$version\"/" pyproject.toml >"$work/pyproject.toml"
"$work/tools/bin/cyclonedx-py" environment "$work/runtime/bin/python" --pyproject "$work/pyproject.toml" \
  --output-reproducible --output-format JSON --output-file "$work/1/$stem.cdx.json" 2>/dev/null

rm -rf dist
mkdir dist
cp "$work"/1/* dist/
(cd dist && sha256sum -- * >SHA256SUMS)
cat dist/SHA256SUMS
