#!/usr/bin/env bash
# Runs an image and looks at what it promises. Usage: check.sh IMAGE, with a Docker daemon.
# IMAGE_TEST_NETWORK: the network to run in (a daemon without a bridge has only `host`).
set -euo pipefail

image=$1
network=${IMAGE_TEST_NETWORK:-bridge}
name=wolkvox-image-check-$$
volume=$name-state
port=39655
directory=$(mktemp -d)
# Without a network of its own the container answers on the machine's port.
if [[ $network == host ]]; then published=(); else published=(-p "127.0.0.1:$port:$port"); fi

cleanup() {
  docker rm --force --volumes "$name-simulator" "$name" >/dev/null 2>&1 || true
  docker volume rm --force "$volume" >/dev/null 2>&1 || true
  rm -rf "$directory"
}
trap cleanup EXIT

ok() { printf 'ok    %s\n' "$*"; }
die() {
  printf 'FAIL  %s\n' "$*" >&2
  docker logs --tail 50 "$name" 2>&1 | cat >&2
  exit 1
}
inspect() { docker inspect --format "$1" "$name"; }
expect() { if [[ $2 == "$3" ]]; then ok "$1: $2"; else die "$1: expected '$3', got '$2'"; fi; }

run() { # [docker flags --] arguments of the exporter
  docker run --detach --name "$name" --network "$network" "${published[@]}" \
    --read-only --cap-drop ALL --security-opt no-new-privileges --memory 256m --pids-limit 64 \
    --volume "$volume:/var/lib/wolkvox-exporter" "$@" >/dev/null
}
wait_for() { # SECONDS WHAT COMMAND...
  local seconds=$1 what=$2
  shift 2
  for _ in $(seq $((seconds * 5))); do
    if "$@" >/dev/null 2>&1; then
      ok "$what"
      return
    fi
    sleep 0.2
  done
  die "$what: not within $seconds s"
}
answers() { curl --fail --silent --max-time 2 "http://127.0.0.1:$port$1"; }
healthy() { [[ $(inspect '{{.State.Health.Status}}') == healthy ]]; }
succeeded() { answers /metrics | grep -q '^wolkvox_last_success_timestamp_seconds'; }
success() { answers /metrics | sed -n 's/^wolkvox_last_success_timestamp_seconds{.*} //p'; }

# The image's own simulator is what is polled, on a loopback address of the same network.
mkdir "$directory/secrets"
printf '7b%s' "$(printf '0013%.0s' {1..13})" >"$directory/secrets/acme"
cat >"$directory/wolkvox.yml" <<'YAML'
operations:
  - name: acme
    url: http://127.0.0.1:39657/wv0013/api/v2/
    token_file: /run/secrets/acme
    interval: 5m
    skills: [{id: 4173, name: Ventas}]
YAML
chmod -R a+rX "$directory"
configured=(
  --volume "$directory/wolkvox.yml:/etc/wolkvox-exporter/wolkvox.yml:ro"
  --volume "$directory/secrets:/run/secrets:ro"
)
serve=("$image" "--web.listen-address=:$port")

# What is in it.
expect "the user is a number and not root" "$(docker image inspect --format '{{.Config.User}}' "$image")" 65534:65534
expect "it says how it is stopped" "$(docker image inspect --format '{{.Config.StopSignal}}' "$image")" SIGTERM
docker run --rm --network none "$image" --version
[[ $(docker image inspect --format '{{.Config.Env}}' "$image") != *UV_* ]] || die "uv is in the last stage"
ok "nothing of the build is in the last stage"

# It runs with nothing to write on but its volume, and becomes healthy by its own check.
run --health-interval=1s "${configured[@]}" "${serve[@]}"
wait_for 20 "it answers" answers /-/healthy
expect "uid of the process" "$(docker top "$name" -eo pid,uid | awk 'END {print $2}')" 65534
if docker exec "$name" touch /root-is-writable 2>/dev/null; then die "the root can be written"; fi
ok "the root is read-only"
docker run --detach --name "$name-simulator" --network "container:$name" --read-only --cap-drop ALL \
  --no-healthcheck "$image" simulate --web.listen-address=127.0.0.1:39657 >/dev/null
wait_for 30 "a poll succeeded" succeeded
wait_for 30 "its own check says healthy" healthy
# The line of docs/tools.md; past days would wait for the next slot: tests/image/compose.sh.
for tool in probe "skills --operation acme" config healthcheck; do
  # shellcheck disable=SC2086 # words of a command
  docker exec "$name" wolkvox-exporter $tool >/dev/null || die "${tool%% *} in the container"
  ok "${tool%% *} in the container"
done
before=$(success)

# It ends at once and cleanly, and takes up its state afterwards.
started=$(date +%s%N)
docker stop --time 20 "$name" >/dev/null
expect "SIGTERM ends it with 0" "$(inspect '{{.State.ExitCode}}')" 0
(((elapsed = ($(date +%s%N) - started) / 1000000) < 3000)) || die "it took $elapsed ms to end"
ok "it took $elapsed ms to end"
docker start "$name" >/dev/null
wait_for 20 "it answers again" answers /-/healthy
wait_for 5 "what it knew is back" succeeded
expect "the state survived: the last success is that of before" "$(success)" "$before"

# Two on one state, or a state that cannot be written: a clear line and exit code 1.
second() {
  docker run --rm --network "$network" --read-only --cap-drop ALL "$@" 2>&1
}
text=$(second "${configured[@]}" --volume "$volume:/var/lib/wolkvox-exporter" "$image" --web.listen-address=127.0.0.1:39656) && code=0 || code=$?
expect "a second exporter on one state: exit code" "$code" 1
[[ $text == *"another exporter runs on the state directory"* ]] || die "it does not say why: $text"
text=$(second "${configured[@]}" --tmpfs /var/lib/wolkvox-exporter:ro "$image" --web.listen-address=127.0.0.1:39656) && code=0 || code=$?
expect "a state that cannot be written: exit code" "$code" 1
[[ $text == *"cannot be written"* ]] || die "it does not say why: $text"

# No configuration, or a secret that is not there: exit code 2.
text=$(second "$image") && code=0 || code=$?
expect "no configuration: exit code" "$code" 2
text=$(second --volume "$directory/wolkvox.yml:/etc/wolkvox-exporter/wolkvox.yml:ro" "$image") && code=0 || code=$?
expect "a missing secret: exit code" "$code" 2
[[ $text == *token_file* && $text != *Traceback* ]] || die "it does not say what is missing: $text"
ok "the line names the key: $text"

# Health follows the exporter: half a minute without a sign of life is too long.
unhealthy() { ! docker exec "$name" wolkvox-exporter healthcheck; }
docker kill --signal STOP "$name" >/dev/null
wait_for 60 "a hanging exporter is not healthy" unhealthy
docker kill --signal CONT "$name" >/dev/null
echo "all well: $image"
