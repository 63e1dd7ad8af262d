# Where the steps run that see to what serves: preflight, deploy, smoke, promote, rollback, report, refresh, reconcile.
# `make images` builds it.
# Any base with Python 3.11 to 3.14 and pip will do; name it by digest where builds must be repeatable.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS built
COPY images/requirements-cluster.txt /tmp/requirements.txt
RUN python -m pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --no-deps --require-hashes --only-binary=:all: --no-compile \
        --requirement=/tmp/requirements.txt --target=/app/dependencies \
    # Without aiohttp, which excluded.txt leaves out, it could not be imported; 60 MB compiled.
    && rm -r /app/dependencies/kubernetes/aio
COPY steps /app/steps
# Compiled here, for where it runs nothing can be written. Unchecked: the bytecode is of these very sources, whatever
# times they bear by then. Readable by everybody: in a checkout they may be their owner's alone.
RUN python -m compileall -q -j 0 --invalidation-mode=unchecked-hash /app && chmod -R a+rX /app

FROM ${BASE}
# The official images of Python come without the standard library's bytecode. And no step installs anything.
RUN python -m compileall -q -j 0 --invalidation-mode=unchecked-hash \
        -x '/(ensurepip|idlelib|lib2to3|test|turtledemo|dist-packages|site-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && python -m pip uninstall --quiet --yes --root-user-action=ignore pip
COPY --from=built /app /app
WORKDIR /app
USER 1000:1000
# HOME is an emptyDir in the pods.
ENV HOME=/tmp PYTHONPATH=/app:/app/dependencies PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="vllm-promote/cluster" \
      org.opencontainers.image.description="The steps of vllm-promote that change what serves" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
