# The server in a container: `docker compose up`, or by itself with the embedded database in the volume /data.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/hypereal
COPY requirements/runtime.lock requirements/runtime.lock
RUN /opt/hypereal/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/hypereal/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /data hypereal
COPY --from=build /opt/hypereal /opt/hypereal
ENV PATH=/opt/hypereal/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HYPEREAL_HOME=/data \
    HYPEREAL_HOST=0.0.0.0 \
    HYPEREAL_PORT=8080 \
    HYPEREAL_LOG_FORMAT=json
WORKDIR /data
USER hypereal
VOLUME /data
EXPOSE 8080
# Longer than HYPEREAL_SHUTDOWN_GRACE_S by what the writer and the database need: give `docker stop` this much too.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"HYPEREAL_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["hypereal"]
CMD ["serve"]
