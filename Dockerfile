# The one image of Rapport: `rapport worker`, `rapport sink` and every other command.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/rapport
# What Rapport needs changes seldom: a layer of its own, from wheels only, so that nothing is ever compiled here.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print(*project['dependencies'], *project['optional-dependencies']['cluster'], sep='\n')" > needed.txt \
    && /opt/rapport/bin/pip install --only-binary :all: --constraint constraints.txt --requirement needed.txt
COPY LICENSE README.md ./
COPY examples/shop examples/shop
COPY ingest ingest
COPY profiles profiles
COPY rapport rapport
COPY rules rules
COPY schemas schemas
COPY sinks sinks
COPY stream stream
RUN /opt/rapport/bin/pip install --no-deps . \
    && /opt/rapport/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rapport \
    && install --directory --owner rapport --group rapport /data
COPY --from=build /opt/rapport /opt/rapport
ENV PATH=/opt/rapport/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RAPPORT_DATA=/data \
    RAPPORT_HTTP_PORT=8080
USER 10001
WORKDIR /data
EXPOSE 8080
# Alive, not ready: a worker that recovers for long is not to be restarted.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['RAPPORT_HTTP_PORT'] + '/live', timeout=4)"]
# In exec form: SIGTERM reaches Rapport itself, which then drains.
STOPSIGNAL SIGTERM
ENTRYPOINT ["rapport"]
CMD ["--help"]
