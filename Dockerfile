# One image for gateway, server, simulator and every command. docs/how-to/deploy.md says how it is used.
FROM python:3.11.14-slim-bookworm AS built

WORKDIR /src
COPY pyproject.toml README.md LICENSE deploy/constraints.txt ./
COPY gateway gateway
COPY collector collector
COPY alerts alerts
COPY api api
COPY simulators simulators
COPY grafana grafana
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels '.[server,influxdb]' \
 && python -m venv --without-pip /opt/emitwatch \
 && pip --python /opt/emitwatch/bin/python install --no-cache-dir --no-index --find-links /wheels \
        'emitwatch[server,influxdb]'

# Here nothing is compiled and nothing installed: the folder that was made above, and a user.
FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="emitwatch" org.opencontainers.image.licenses="Apache-2.0"
# The folders that volumes are laid over: a new volume takes owner and mode from what it covers.
RUN groupadd --gid 10001 emitwatch \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/emitwatch --shell /usr/sbin/nologin emitwatch \
 && install -d -o emitwatch -g emitwatch -m 0700 /var/lib/emitwatch /var/lib/emitwatch/collector /gateway /backups \
 && install -d -o emitwatch -g emitwatch -m 0750 /var/lib/emitwatch/collector/broker \
 && install -d -o emitwatch -g emitwatch -m 0770 /var/lib/emitwatch/collector/broker/state
COPY --from=built /opt/emitwatch /opt/emitwatch

ENV PATH=/opt/emitwatch/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/emitwatch
ENTRYPOINT ["emitwatch"]
CMD ["--help"]
