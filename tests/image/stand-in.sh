#!/usr/bin/env bash
# Sourced: a Docker daemon of its own and stand-ins for the base images, from Debian's packages
# and PyPI alone. For machines that reach no image registry. Needs root, docker.io, debootstrap
# and the Python module venv. Sets DOCKER_HOST and WORK; `stand_in_stop` ends and removes all.
#
# The base is Debian's python3 where the official image has its own: good for trying the
# Dockerfile and what comes out of it, not for shipping.

CACHE=${IMAGE_TEST_CACHE:-/var/tmp/wolkvox-exporter-image-test}
WORK=$(mktemp -d /var/tmp/wolkvox-image.XXXXXX)
export DOCKER_HOST=unix://$WORK/docker.sock
PATH=/usr/bin:$PATH # Debian's own client has BuildKit built in; newer ones ask for a plug-in

stand_in_start() { # [flags of the daemon]
  local tool
  for tool in dockerd debootstrap; do
    command -v "$tool" >/dev/null || {
      echo "missing: $tool (apt-get install --no-install-recommends docker.io debootstrap)" >&2
      return 1
    }
  done
  dockerd --host "$DOCKER_HOST" --data-root "$WORK/data" --exec-root "$WORK/exec" \
    --pidfile "$WORK/docker.pid" --storage-driver overlay2 \
    "$@" >"$WORK/dockerd.log" 2>&1 &
  for _ in $(seq 100); do
    docker version >/dev/null 2>&1 && return
    sleep 0.2
  done
  tail -n 20 "$WORK/dockerd.log" >&2
  return 1
}

stand_in_stop() {
  if [[ -s $WORK/docker.pid ]]; then
    local pid
    pid=$(<"$WORK/docker.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  fi
  findmnt --raw --noheadings --output TARGET | sed -n "\#^$WORK/#p" | sort -r | xargs -r umount
  rm -rf "$WORK"
}

stand_in_root() { # NAME SUITE PACKAGES: a tarball of a small Debian, made once
  local name=$1 suite=$2 packages=$3 mirror root=$WORK/root-$1
  [[ -s $CACHE/$name.tar ]] && return
  # shellcheck disable=SC2016 # apt's own variable
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed -n '/debian/{p;q}')
  mkdir -p "$CACHE"
  debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$WORK/$name.log"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  # The certificates of this machine: whatever stands between it and PyPI.
  install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$root" -cf "$CACHE/$name.tar.part" . && mv "$CACHE/$name.tar.part" "$CACHE/$name.tar"
  rm -rf "$root"
}

stand_in_python() { # TAG: the stand-in for the official python image
  stand_in_root python trixie python3,python3-venv,ca-certificates
  docker import --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
    "$CACHE/python.tar" "$1-debian" >/dev/null
  printf 'FROM %s-debian\nRUN ln -s /usr/bin/python3 /usr/local/bin/python3 && ln -s python3 /usr/local/bin/python\n' "$1" |
    DOCKER_BUILDKIT=1 docker build --quiet --network none --tag "$1" - >/dev/null
}

stand_in_uv() { # TAG VERSION: the binary of the PyPI package in an image of nothing else
  local context=$WORK/uv
  mkdir -p "$context"
  python3 -m venv "$context/venv"
  "$context/venv/bin/pip" install --quiet "uv==$2"
  cp "$context/venv/bin/uv" "$context/uv"
  printf 'FROM scratch\nCOPY uv /uv\n' >"$context/Dockerfile"
  printf 'venv\n' >"$context/.dockerignore"
  DOCKER_BUILDKIT=1 docker build --quiet --tag "$1" "$context" >/dev/null
}
