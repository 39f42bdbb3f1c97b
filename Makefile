# The commands of this project. They need Python >= 3.11 and make. Everything else is installed from wheels into .venv.
#
#   make up [PORT=8000 WORKERS=2]   start the local stack; Ctrl-C stops it
#   make test                       format, lint, types, layers and every test
#   make check                      the fast half of that, without services
#   make bench, make chaos          measure speed; kill processes and compare every recipient (ARGS="...")
#   make screenshots DIR=folder   every page in every state, three widths, light and dark (ARGS="--only batch-")
#   make audit                      compare the pins with the published advisories; says so if it cannot reach them
#   make lock                       pin the requirements again from pyproject.toml (ARGS=--upgrade: the newest)
#   make messages                   collect and compile the texts of the pages for recipients (needs gettext)
#   make clean                      remove the caches of the tools (not DATA_DIR)

PORT ?= 8000
WORKERS ?= 2
ARGS ?=
DIR ?= screenshots

# The first Python on the path that is new enough. If there is none, python3 runs build_venv.py, which says so.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && exit; \
	done; echo python3)
VENV_PYTHON = .venv/bin/python

# Tests mostly wait for real servers. Each process has a PostgreSQL and a Valkey of its own.
TEST_PROCESSES ?= 2

.PHONY: help up test check lint unit lock audit bench chaos screenshots messages clean venv venv-dev

help:
	@sed -n 's/^#   //p' Makefile

up: venv
	@exec $(VENV_PYTHON) manage.py up --port $(PORT) --workers $(WORKERS)

test: lint
	$(VENV_PYTHON) -m pytest -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder $(ARGS)

check: lint unit

unit: venv-dev
	$(VENV_PYTHON) -m pytest -n $(TEST_PROCESSES) tests/unit tests/test_language.py tests/test_citations.py

lint: venv-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports

bench: venv-dev
	$(VENV_PYTHON) -m tests.bench $(ARGS)

chaos: venv-dev
	$(VENV_PYTHON) -m tests.chaos $(ARGS)

screenshots: venv-dev
	$(VENV_PYTHON) -m tests.catalogue $(DIR) $(ARGS)

audit: venv-dev
	$(VENV_PYTHON) requirements/audit_pins.py

venv:
	@$(PYTHON) requirements/build_venv.py local

venv-dev:
	@$(PYTHON) requirements/build_venv.py dev

# --universal makes one file for every platform. No address of a package index is written into the files.
UV = .venv/uv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --custom-compile-command 'make lock' $(ARGS)

lock: venv-dev
	@test -x .venv/uv/bin/uv || ($(VENV_PYTHON) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv)
	$(UV) pyproject.toml -o requirements/base.txt
	$(UV) requirements/build.in -c requirements/base.txt -o requirements/build.txt
	$(UV) pyproject.toml --extra local -c requirements/base.txt -o requirements/local.txt
	$(UV) pyproject.toml --extra local --group dev -c requirements/local.txt -o requirements/dev.txt

COLLECT = --no-location --no-wrap --no-obsolete --ignore '.venv*' --ignore tests --ignore var

messages: venv-dev
	$(VENV_PYTHON) manage.py makemessages $(COLLECT) --locale de --locale es --locale fr
	$(VENV_PYTHON) manage.py makemessages $(COLLECT) --locale de --locale es --locale fr --domain djangojs
	$(VENV_PYTHON) manage.py makemessages $(COLLECT) --locale it --locale nl --locale pl --for-recipients
	$(VENV_PYTHON) manage.py compilemessages --ignore '.venv*'

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
