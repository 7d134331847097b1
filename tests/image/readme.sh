#!/usr/bin/env bash
# Types README.md's "Set it up for real" into a bare Debian, as it stands there, until figures are
# shown. The one change: the operation is the simulator's. Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/image/stand-in.sh
source tests/image/stand-in.sh
root=$WORK/machine
started=() # each a process group
end() {
  for group in "${started[@]}"; do kill -- "-$group" || true; done
  wait
  umount "$root/proc" || true
  stand_in_stop
}
trap end EXIT
set -m

stand_in_root bare bookworm apt
mkdir "$root"
tar -C "$root" -xf "$CACHE/bare.tar"
mkdir "$root/src"
git ls-files -z | tar --null --files-from - --create | tar -C "$root/src" -x
cp /etc/resolv.conf "$root/etc/"
# What stands between this machine and PyPI is trusted there too, once ca-certificates is.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/host.crt"
mount --bind /proc "$root/proc"

# Each block of the section by itself: what one leaves behind, the next finds.
python3 - "$root" <<'PY'
import re, sys
text = open("README.md", encoding="utf-8").read()
section = text.partition("## Set it up for real")[2].partition("\n## ")[0]
blocks = re.findall(r"^( *)```sh\n(.*?)^\1```", section, re.DOTALL | re.MULTILINE)
url = "http://127.0.0.1:19656/wv0013/api/v2/"
for number, (indent, block) in enumerate(blocks):
    block = re.sub(f"^{indent}", "", block, flags=re.MULTILINE)
    block = block.replace("WOLKVOX_SERVER=0013", f"WOLKVOX_SERVER={url}")
    block = block.replace('server: "0013"', f"url: {url}")
    open(f"{sys.argv[1]}/block{number}", "w", encoding="utf-8").write(block)
PY
type_in() { # NUMBER, with what is pasted on stdin
  echo "--- step $(($1 + 1))"
  DEBIAN_FRONTEND=noninteractive PIP_CERT=/etc/ssl/certs/ca-certificates.crt LC_ALL=C.UTF-8 \
    chroot "$root" sh -c "cd /src && . /block$1"
}
chroot "$root" apt-get update -qq
type_in 0 </dev/null >"$WORK/install.log" 2>&1 || { tail -n 20 "$WORK/install.log" >&2; exit 1; }
chroot "$root" /usr/local/bin/wolkvox-exporter simulate >/dev/null &
started+=($!)
sleep 3
kill -0 "$!" || { echo "the simulator did not start: is port 19656 free?" >&2; exit 1; }
printf '7b%s\n' "$(printf '0013%.0s' {1..13})" | type_in 1
type_in 2
type_in 3
type_in 4
type_in 5 &
started+=($!)
for _ in $(seq 60); do
  curl --silent http://127.0.0.1:19655/metrics | grep '^wolkvox_skill_inbound_interactions{' && exit
  sleep 1
done
echo "no figures after a minute" >&2
exit 1
