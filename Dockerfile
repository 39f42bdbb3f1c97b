# One image for the web process, the workers and the migrations. compose.yaml has the command of each.
# To build from exactly one image: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS packages
COPY requirements/build.txt requirements/base.txt /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: -r /build.txt \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: --no-binary django-allauth --no-build-isolation -r /base.txt

FROM ${PYTHON_IMAGE}
RUN useradd --system --no-create-home --uid 10001 emailbatch
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=packages /venv /venv
WORKDIR /app
COPY manage.py docker/healthcheck.py ./
COPY emailbatch emailbatch
COPY batches batches
COPY templates templates
COPY locale locale
COPY static static
USER emailbatch
EXPOSE 8000
CMD ["daphne", "--no-server-name", "-b", "0.0.0.0", "-p", "8000", "emailbatch.asgi:application"]
