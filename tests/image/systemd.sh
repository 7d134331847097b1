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
cp -r pyproject.toml README.md LICENSE requirements.lock exporter deploy scripts "$root/src"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cat >"$root/setup" <<'SH'
set -eu
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
cd /src
python3 -m venv /opt/wolkvox-exporter
/opt/wolkvox-exporter/bin/pip install --quiet --require-hashes -r requirements.lock
/opt/wolkvox-exporter/bin/pip install --quiet --no-deps .
install -d /etc/wolkvox-exporter
install -d -m 700 /etc/wolkvox-exporter/tokens
install -m 600 /dev/stdin /etc/wolkvox-exporter/tokens/acme <<<7b00000000000000
install -m 644 deploy/systemd/wolkvox.yml /etc/wolkvox-exporter/wolkvox.yml
install -m 644 deploy/systemd/wolkvox-exporter.service /etc/systemd/system/
systemctl enable --quiet wolkvox-exporter
SH
machine=(timeout 300 systemd-nspawn --quiet --register=no --keep-unit --directory "$root"
  --resolv-conf=off --console=pipe --machine "wolkvox-check-$$")
"${machine[@]}" bash /setup </dev/null
# No name is ever asked of the real platform here: its host is this machine, where nobody listens.
echo '127.0.0.1 localhost wv0013.wolkvox.com' >"$root/etc/hosts"

cat >"$root/check" <<'SH'
#!/bin/bash
set -u
failed=0
check() { local what=$1; shift; if "$@" >/tmp/out 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; cat /tmp/out; failed=1; fi; }
show() { systemctl show --value --property "$1" wolkvox-exporter; }
get() { curl --fail --silent --max-time 3 "http://127.0.0.1:19655$1"; }
is() { [[ $1 == "$2" ]]; }
has() { get /metrics | grep -q "$1"; }
check "it is active: READY=1 came" systemctl is-active wolkvox-exporter
pid=$(show MainPID)
check "it runs as a user of its own" test "$(stat -c %u "/proc/$pid")" -gt 60000
check "it answers" get /-/healthy
for _ in $(seq 50); do has '^wolkvox_last_attempt_timestamp_seconds' && break; sleep 0.2; done
check "it read the token and polled" has '^wolkvox_last_attempt_timestamp_seconds'
check "the state is private" is "$(stat -L -c %a /var/lib/wolkvox-exporter)" 700
started=$(get /metrics | sed -n 's/^process_start_time_seconds //p' | xargs printf '%.0f')
check "process_start_time_seconds is now" test $(($(date +%s) - started)) -lt 120
check "no capability is left" is "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" 0000000000000000
sed -i 's/^    server:/    labels: {site: lima}\n&/' /etc/wolkvox-exporter/wolkvox.yml
check "reload" systemctl reload wolkvox-exporter
for _ in $(seq 25); do has 'site="lima"' && break; sleep 0.2; done
check "the reload worked" has 'site="lima"'
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
check "stop" systemctl stop wolkvox-exporter
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
