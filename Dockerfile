# The exporter in a small image: nothing but Python and one virtual environment.
#
#   docker build -t wolkvox-exporter .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -p 127.0.0.1:19655:19655 \
#     -v "$PWD"/wolkvox.yml:/etc/wolkvox-exporter/wolkvox.yml:ro -v "$PWD"/tokens:/run/secrets:ro \
#     -v wolkvox:/var/lib/wolkvox-exporter wolkvox-exporter
#
# There is no `syntax` line: it would pull one more image, and plain BuildKit knows all of this.
ARG PYTHON=3.13
ARG UV=0.13.9

FROM ghcr.io/astral-sh/uv:${UV} AS uv

FROM python:${PYTHON}-slim AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_REQUIRE_HASHES=1
WORKDIR /src

# The dependencies by themselves: they change less often than the code.
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=requirements.lock,target=/src/requirements.lock \
    --mount=type=bind,source=scripts/dist-build.lock,target=/src/dist-build.lock \
    uv venv --python /usr/local/bin/python3 /opt/wolkvox-exporter \
    && uv pip sync --python /opt/wolkvox-exporter/bin/python requirements.lock \
    && uv venv --python /usr/local/bin/python3 /build \
    && uv pip sync --python /build/bin/python dist-build.lock

# The wheel is built by what the lock names and put in by itself.
COPY pyproject.toml README.md LICENSE ./
COPY exporter ./exporter
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --quiet --wheel --no-build-isolation --python /build/bin/python --out-dir /dist \
    && UV_REQUIRE_HASHES=0 uv pip install --python /opt/wolkvox-exporter/bin/python --no-deps /dist/*.whl

FROM python:${PYTHON}-slim
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="wolkvox-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the service level, abandonment, ASA and ATA of Wolkvox contact centres" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/wolkvox-exporter /opt/wolkvox-exporter
ENV PATH=/opt/wolkvox-exporter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    WOLKVOX_EXPORTER_REVISION=${REVISION} \
    WOLKVOX_EXPORTER_STORAGE_PATH=/var/lib/wolkvox-exporter
# A new volume takes over owner and mode of the directory that it covers.
RUN install -d -o 65534 -g 65534 -m 0700 /var/lib/wolkvox-exporter
# Here the exporter looks for wolkvox.yml by itself; without one WOLKVOX_SERVER and its like count.
WORKDIR /etc/wolkvox-exporter
# By number: Kubernetes cannot see that a name is not root.
USER 65534:65534
VOLUME /var/lib/wolkvox-exporter
EXPOSE 19655
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["wolkvox-exporter", "healthcheck"]
ENTRYPOINT ["wolkvox-exporter"]
