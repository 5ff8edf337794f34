# Two images of one project. `web` has no TensorFlow; `worker` trains.
#   docker build --target web -t keepfit-web .
#   docker build --target worker -t keepfit-worker .
FROM python:3.11-slim-bookworm AS base

ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    KEEPFIT_DATA_DIR=/data
# One id in both images: they write to the same volume.
RUN groupadd --gid 10001 keepfit \
    && useradd --uid 10001 --gid keepfit --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin keepfit \
    && install -d -m 700 -o keepfit -g keepfit /data
WORKDIR /app
VOLUME /data


FROM base AS web
COPY requirements/web.lock requirements/
RUN pip install --require-hashes --only-binary :all: -r requirements/web.lock
COPY keepfit/__init__.py keepfit/__init__.py
COPY shared keepfit/shared
COPY web keepfit/web
USER keepfit
ENV KEEPFIT_HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "keepfit.web.serve"]


FROM base AS worker
COPY requirements/worker.lock requirements/
# TensorFlow carries 430 MB of C++ headers for those who extend it.
RUN pip install --require-hashes --only-binary :all: -r requirements/worker.lock && \
    rm -rf /usr/local/lib/python3.11/site-packages/tensorflow/include
COPY keepfit/__init__.py keepfit/__init__.py
COPY shared keepfit/shared
COPY worker keepfit/worker
# Compiled programs, for workers alone: machine code that they run.
RUN install -d -o keepfit -g keepfit -m 700 /cache
USER keepfit
# Whether this container's worker beats: its host name is the container's.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "keepfit.worker.health"]
STOPSIGNAL SIGTERM
CMD ["celery", "-A", "keepfit.worker.app", "worker", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
