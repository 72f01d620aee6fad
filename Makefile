# Two commands do everything on a machine with git, make and Python 3.11 to 3.13:
#   make run    set up .venv from requirements.lock, then run the default batch
#   make test   the same set-up, then the test suite

.DEFAULT_GOAL := help

CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first Python on the path that really starts and is 3.11 to 3.13 (a shim may not start).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$p" && break; done)

# What `make lock` and the tests of the lock agree on.
UV := 0.13.8
# Not `slurm`: Snakemake imports every plugin that it finds, and each call would take longer.
EXTRAS := calendars ccxt dev duckdb notebook optuna pdf postgres sweep yfinance
LOCK := uv pip compile pyproject.toml $(EXTRAS:%=--extra %) --universal --python-version 3.11 \
	--generate-hashes --no-header --quiet -o requirements.lock

.PHONY: help setup run test test-full lint lock environment docs picture clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMP)  ## make or refresh .venv

# Packages are installed over an older environment; only one that cannot start is made anew.
$(STAMP): requirements.lock pyproject.toml
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		echo "backtrail needs Python 3.11, 3.12 or 3.13, and none was found on the path." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 run" >&2; \
		exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		"$$python" -m venv --clear $(VENV) || { \
			echo "$$python could not make $(VENV); on Debian and Ubuntu its module venv is" >&2; \
			echo "a package of its own: apt-get install python3-venv" >&2; \
			exit 1; \
		}; \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
		--require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
		--no-deps --no-build-isolation -e .
	@# Each job is a process of its own and would compile again what is not compiled here.
	@# Some packages ship templates that are no Python; they are skipped.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib src \
		>/dev/null 2>&1 || true
	@# So are the fingerprints of our own sources, which each job asks for.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "from backtrail.provenance.fingerprint \
		import *; library_fingerprint(); package_fingerprint(*INGEST_CODE)"
	@# What searches run through takes its time, too, and several jobs would compile it at once.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python tools/compile_kernel.py
	@touch $(STAMP)

run: $(STAMP)  ## run the default batch, config/config.yaml, on CORES cores
	$(BIN)/snakemake --cores $(CORES)

test: $(STAMP)  ## run the tests, but for those marked slow
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-full: $(STAMP)  ## run every test
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP)  ## check style, types and both Snakefiles
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --snakefile workflow/Snakefile

lock:  ## resolve pyproject.toml into requirements.lock; UPGRADE=--upgrade takes newer versions
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11 to 3.13 on the path" >&2; exit 1; }
	[ -x .venv-lock/bin/uv ] || "$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet uv==$(UV)
	.venv-lock/bin/$(LOCK) $(UPGRADE)

environment: $(STAMP)  ## write environment.yml from the lock
	$(BIN)/python tools/write_environment.py

docs: $(STAMP)  ## write the reference pages from schema, command line and table declarations
	$(BIN)/python tools/write_reference.py

picture: run  ## take the pictures of the README; needs chromium and dot
	$(BIN)/python tools/take_pictures.py

clean:  ## remove caches; runs, datasets and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .venv-lock build dist
	find src scripts tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
