# One image for the load generator, the bundled engine and the commands that judge:
#
#   docker run --rm IMAGE                                        rehearse a model swap; its verdict is the exit code
#   docker run --rm IMAGE locust -f locustfiles/stream.py --headless --host URL
#   docker run --rm IMAGE python -m midstream smoke --host URL
#   docker run --rm IMAGE python -m midstream.rehearsal.engine --help
#
# It runs as any user, and with --read-only: /tmp is the one folder that it writes to (--tmpfs /tmp, or an emptyDir).
# Results are in /tmp/results: -v "$PWD/results:/tmp/results" --user "$(id -u)" keeps them.
# `docker stop -t 150` ends a test by its verdict: it waits up to 120 s (--wind-down) for the streams that are open.

FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements.txt constraints.txt ./
# Wheels alone: where one is missing this fails at once, rather than asking for a compiler.
# A third of all bytes would be a second Kubernetes client, for asyncio, which the first never loads.
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check \
      --only-binary :all: -r requirements.txt \
 && cd /opt/venv/lib/python3.11/site-packages && rm -r kubernetes/aio && echo /midstream > midstream.pth

FROM python:3.11-slim AS code
WORKDIR /midstream
COPY image/sitecustomize.py ./
COPY config config
COPY hooks hooks
COPY locustfiles locustfiles
COPY midstream midstream
# Whatever the umask of the clone was, any user can read it; nobody can write byte code later on.
RUN chmod -R u=rwX,go=rX . && python -m compileall -q .

FROM python:3.11-slim
# All that the base image has in these are tools to install packages: a running container installs none.
# Its standard library comes without byte code, which every start would make anew and could not keep.
RUN rm -rf /usr/local/lib/python3.11/site-packages/* /usr/local/lib/python3.11/ensurepip \
      /usr/local/bin/pip* /usr/local/bin/wheel \
 && python -m compileall -q -x '/tests?/' /usr/local/lib/python3.11
COPY --from=packages /opt/venv /opt/venv
COPY --from=code /midstream /midstream
WORKDIR /midstream
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MIDSTREAM_RESULTS=/tmp/results
# A number, so that Kubernetes can tell that it is not root (runAsNonRoot).
USER 10001:10001
# No ENTRYPOINT: a command given takes the place of this one whole, and is PID 1 itself, which gets the signals.
CMD ["locust", "-f", "locustfiles/stream.py", "--headless"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Midstream" \
      org.opencontainers.image.description="Swap the model under a live LLM service, and prove that no stream was lost." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"
