# One image for every service, worker and job; which one is the command. Targets: app, backup (app with restic), edge (the proxy).
FROM python:3.13-slim AS packages
COPY requirements.txt /build/
# Its own layer: it changes only when the lock does. What is installed is exactly what its hashes name.
RUN python3 -m venv --without-pip /opt/mainstay/.venv \
 && python3 -m pip --python /opt/mainstay/.venv/bin/python install \
        --quiet --no-cache-dir --no-input --disable-pip-version-check --only-binary :all: --require-hashes -r /build/requirements.txt \
 # Thirty megabytes of languages that nothing here is written in.
 && find /opt/mainstay/.venv/lib -path '*/babel/locale-data/*' ! -name 'en*' ! -name 'zh*' ! -name 'root.dat' ! -name 'LICENSE*' -delete

FROM python:3.13-slim AS code
COPY mainstay /opt/mainstay/
COPY shared /opt/mainstay/shared
COPY services /opt/mainstay/services
COPY deploy /opt/mainstay/deploy
# The root file system is read-only when it runs, so it is compiled here.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/mainstay

FROM python:3.13-slim AS restic
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends restic

FROM python:3.13-slim AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Mainstay" \
      org.opencontainers.image.description="Runs a server-maintenance company by the agreement it signs with its customers." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim"
RUN groupadd --gid 10001 mainstay \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/mainstay --no-create-home --shell /usr/sbin/nologin mainstay \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/mainstay && install -d /run/secrets \
 # Where a command for the whole installation has every service's volume: a new one takes its owner over from here.
 && for folder in mainstay mainstay/contracts mainstay/billing mainstay/backup mainstay/notify backups; do \
      install -d -o 10001 -g 10001 -m 0750 "/srv/$folder"; done
COPY --chmod=0755 deploy/docker/answers /usr/local/bin/answers
# What `answers` asks; a worker's container names its own port.
ENV HEALTH_URL=http://127.0.0.1:8000/readyz
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["answers"]

FROM base AS edge
LABEL org.opencontainers.image.title="Mainstay edge" \
      org.opencontainers.image.description="The one address before Mainstay's services."
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /etc/nginx/sites-* /etc/nginx/conf.d /etc/nginx/nginx.conf
COPY deploy/docker/edge/ /etc/nginx/
ENV HEALTH_URL=http://127.0.0.1:8081/livez
USER 10001:10001
ENTRYPOINT ["nginx", "-e", "stderr", "-c"]
CMD ["/etc/nginx/production.conf"]

FROM base AS app
ENV PATH=/opt/mainstay:/opt/mainstay/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MAINSTAY_HOST=0.0.0.0 \
    MAINSTAY_PORT=8000 \
    MAINSTAY_DATA_DIR=/var/lib/mainstay
WORKDIR /var/lib/mainstay
EXPOSE 8000 9464
COPY --from=packages /opt/mainstay/.venv /opt/mainstay/.venv
COPY --from=code /opt/mainstay /opt/mainstay
USER 10001:10001
ENTRYPOINT ["mainstay"]
CMD ["--help"]

FROM app AS backup
LABEL org.opencontainers.image.title="Mainstay backup" \
      org.opencontainers.image.description="Mainstay with restic, for the backup service and its worker."
COPY --from=restic /usr/bin/restic /usr/bin/restic
