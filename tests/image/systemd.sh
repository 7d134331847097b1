#!/usr/bin/env bash
# Boots a small Debian in a container of its own and runs the service there as docs/install.md
# sets it up. Needs root, systemd-container and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/image/stand-in.sh
source tests/image/stand-in.sh
trap stand_in_stop EXIT

root=$WORK/machine
stand_in_root systemd bookworm systemd,dbus,procps,python3,python3-venv,ca-certificates,curl
mkdir "$root"
tar -C "$root" -xf "$CACHE/systemd.tar"

# What docs/install.md says, as root of that machine.
mkdir -p "$root/src" "$root/etc/wolkvox-exporter"
cp -r pyproject.toml README.md LICENSE requirements.lock exporter deploy docs scripts "$root/src"
cp /etc/resolv.conf "$root/etc/resolv.conf"
python3 - "$root" <<'PY'
import re, sys
page = open("docs/install.md", encoding="utf-8").read()
section = page.partition("## systemd")[2].partition("\n## ")[0]
for number, block in enumerate(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)):
    open(f"{sys.argv[1]}/block{number}", "w", encoding="utf-8").write(block)
PY
cat >"$root/setup" <<'SH'
set -eu
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_QUIET=1
cd /src
. /block0
printf '7b%s' "$(printf '0013%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13)" | sh -eu /block2
. /block1
install -m 644 deploy/systemd/wolkvox-exporter.socket /etc/systemd/system/
# The simulator is what is polled: no name is ever asked of the real platform here.
sed -i 's|server: "0013".*|url: http://127.0.0.1:19656/wv0013/api/v2/\n    interval: 2s|' /etc/wolkvox-exporter/wolkvox.yml
cat >/etc/systemd/system/simulator.service <<'UNIT'
[Unit]
Before=wolkvox-exporter.service
[Service]
ExecStart=/usr/local/bin/wolkvox-exporter simulate
DynamicUser=yes
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet simulator wolkvox-exporter
SH
machine=(timeout 300 systemd-nspawn --quiet --register=no --keep-unit --directory "$root"
  --resolv-conf=off --console=pipe --machine "wolkvox-check-$$")
"${machine[@]}" bash /setup </dev/null

cat >"$root/check" <<'SH'
#!/bin/bash
set -u
failed=0
check() { local what=$1; shift; if "$@" >/tmp/out 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; cat /tmp/out; failed=1; fi; }
show() { systemctl show --value --property "$1" wolkvox-exporter; }
get() { curl --fail --silent --max-time "${2:-3}" "http://127.0.0.1:19655$1"; }
is() { [[ $1 == "$2" ]]; }
has() { get /metrics | grep -q "$1"; }
check "it is active: READY=1 came" systemctl is-active wolkvox-exporter
pid=$(show MainPID)
check "it runs as a user of its own" is "$(stat -c %U "/proc/$pid")" wolkvox-exporter
check "it answers" get /-/healthy
for _ in $(seq 50); do has '^wolkvox_skill_inbound_interactions' && break; sleep 0.2; done
check "it read the token and has figures" has '^wolkvox_skill_inbound_interactions'
# The line of docs/tools.md, with each command at its end.
line=$(sed -n 's/^| systemd, as root | `\(.*\) probe` |$/\1/p' /src/docs/tools.md)
day=$(date -d yesterday +%F)
for tool in probe "skills --operation acme" config healthcheck \
  "backfill --from $day --to $day --pace 1s --yes --output /var/lib/wolkvox-exporter/past.om"; do
  # shellcheck disable=SC2086 # words of a command
  check "${tool%% *}" $line $tool
done
check "the tools left the state to the service" is "$(stat -c %U /var/lib/wolkvox-exporter/*.db)" wolkvox-exporter
check "the state is private" is "$(stat -L -c %a /var/lib/wolkvox-exporter)" 700
started=$(get /metrics | sed -n 's/^process_start_time_seconds //p' | xargs printf '%.0f')
check "process_start_time_seconds is now" test $(($(date +%s) - started)) -lt 120
check "no capability is left" is "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" 0000000000000000
sed -i 's/^    url:/    labels: {site: lima}\n&/' /etc/wolkvox-exporter/wolkvox.yml
check "reload" systemctl reload wolkvox-exporter
for _ in $(seq 25); do has 'site="lima"' && break; sleep 0.2; done
check "the reload worked" has 'site="lima"'
# systemd holds the port: it is there while the service is not.
sed -i 's/^#\(EXPORTER_ARGS=--web.systemd-socket\)/\1/' /etc/default/wolkvox-exporter
systemctl stop wolkvox-exporter && systemctl start wolkvox-exporter.socket
check "a first scrape starts the service by its socket" get /-/healthy 60
check "it is active on the socket" systemctl is-active wolkvox-exporter
# A hanging process is noticed by its silence, killed and started anew.
mkdir -p /etc/systemd/system/wolkvox-exporter.service.d
printf '[Service]\nWatchdogSec=4s\n' >/etc/systemd/system/wolkvox-exporter.service.d/watchdog.conf
systemctl daemon-reload && systemctl restart wolkvox-exporter
pid=$(show MainPID)
sleep 9
check "signs of life keep it running" is "$(show MainPID)" "$pid"
kill -STOP "$pid"
for _ in $(seq 200); do [[ $(show NRestarts) -gt 0 && $(show ActiveState) == active ]] && break; sleep 0.2; done
check "silence ends it, and it is started anew" test "$(show NRestarts)" -gt 0
check "it is active again" systemctl is-active wolkvox-exporter
check "stop" systemctl stop wolkvox-exporter.socket wolkvox-exporter
check "it ended well" is "$(show Result)/$(show ExecMainStatus)" success/0
# A wrong configuration: exit code 2, and no second attempt.
rm /etc/wolkvox-exporter/tokens/acme; touch /etc/wolkvox-exporter/tokens/other
systemctl start wolkvox-exporter && { echo "FAIL  it started without its token"; failed=1; }
check "a missing token: exit code 2" is "$(show ExecMainStatus)" 2
sleep 12
check "and no restart" is "$(show NRestarts)/$(show ActiveState)" 0/failed
journalctl --quiet --no-pager --output cat --lines 20 --unit wolkvox-exporter | grep token_file || failed=1
echo "failed=$failed"
SH
chmod +x "$root/check"
cat >"$root/etc/systemd/system/check.service" <<'UNIT'
[Unit]
After=wolkvox-exporter.service
[Service]
Type=oneshot
ExecStart=/check
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=append:/result
StandardError=inherit
[Install]
WantedBy=multi-user.target
UNIT
ln -s /etc/systemd/system/check.service "$root/etc/systemd/system/multi-user.target.wants/check.service"
"${machine[@]}" --boot --private-network </dev/null >"$WORK/boot.log" 2>&1 || true
cat "$root/result" 2>/dev/null || { tail -n 40 "$WORK/boot.log" >&2; exit 1; }
grep -qx failed=0 "$root/result"
