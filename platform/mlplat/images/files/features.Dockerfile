# Feast: the feature server, `python -m mlplat.online`, and the server of its registry, `feast serve_registry`.
#
# `mlplat images build` makes the context: this file, requirements.txt, and in code/ the part of mlplat that runs.
# Two secrets are mounted where they are given, and are in no layer: `pip` is pip's configuration, such as an index of
# one's own, `ca` the authorities that it trusts.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS environment
# The installer has an environment of its own that stays behind: what runs has no pip.
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/mlplat && \
    /opt/mlplat/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > /build/site && \
    echo /opt/code > "$(cat /build/site)/mlplat.pth"
COPY requirements.txt /build/
# Wheels only: what a source archive is built with is covered by no hash, and there is no compiler.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    /build/bin/pip --python /opt/mlplat/bin/python --no-cache-dir --disable-pip-version-check --no-input \
    install --progress-bar=off --root-user-action=ignore --no-compile \
    --only-binary=:all: --require-hashes --requirement /build/requirements.txt
# A quarter of the numerical packages is tests of their own.
RUN find /opt/mlplat/lib -depth -type d -name tests -exec rm -r {} +
# Compiled files that are never checked against their source: a root that is read-only could keep no new ones, and a
# builder may set the times of all files. A few packages bring files for other Pythons, which cannot be compiled.
RUN /opt/mlplat/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/mlplat/lib || true

FROM ${BASE} AS code
COPY code /opt/code
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/code

FROM ${BASE}
# Some bases bring Python's own library without its compiled files.
RUN python3 -m compileall -qq -j 0 --invalidation-mode unchecked-hash -x '/(test|tests|site-packages|dist-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" || true
ENV PATH=/opt/mlplat/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    FEAST_USAGE=False
COPY --from=environment /opt/mlplat /opt/mlplat
COPY --from=code /opt/code /opt/code
ARG BASE
ARG VERSION
LABEL org.opencontainers.image.title="mlplat-features" \
      org.opencontainers.image.description="Feast's registry and feature server on PostgreSQL and DynamoDB" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}"
# A number, so that `runAsNonRoot` can be checked; any other works as well, nothing here belongs to it.
USER 10001:10001
WORKDIR /
ENTRYPOINT ["python", "-m", "mlplat.online"]
