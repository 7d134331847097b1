#!/usr/bin/env bash
# Builds the Dockerfile for real, without a registry, and checks the image: make image-test
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/image/stand-in.sh
source tests/image/stand-in.sh
trap stand_in_stop EXIT

argument() { sed -n "s/^ARG $1=//p" Dockerfile; }
stand_in_start --iptables=false --bridge=none
echo "base images: stand-ins from Debian and PyPI"
stand_in_python "python:$(argument PYTHON)-slim"
stand_in_uv "ghcr.io/astral-sh/uv:$(argument UV)" "$(argument UV)"

started=$SECONDS
DOCKER_BUILDKIT=1 docker build --network host --progress plain --tag wolkvox-exporter:test \
  --build-arg VERSION=test --build-arg REVISION=abc . >"$WORK/build.log" 2>&1 ||
  { cat "$WORK/build.log" >&2; exit 1; }
echo "built in $((SECONDS - started)) s, $(docker image inspect --format '{{.Size}}' wolkvox-exporter:test | numfmt --to iec) with the base"
IMAGE_TEST_NETWORK=host tests/image/check.sh wolkvox-exporter:test
