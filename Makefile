# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
WORKERS ?= 3
SEEDS ?= 1-300
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --upgrade -q

.PHONY: help demo test check suite pythons fuzz mutants bench prices lock clean
help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run ## the daemon in its sandbox: a page to watch and join in (Ctrl-C ends it)
	@exec $(VENV)/bin/piyasad demo $(ARGS)

test: $(VENV)/.dev check suite pythons ## style, types and every test

check: $(VENV)/.dev ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

suite: $(VENV)/.dev ## the tests, in parallel, with coverage of lines and branches
	rm -f .coverage .coverage.*
	$(PY) -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

# The unit tests on every other Python from 3.11 to 3.13 that this machine has.
pythons: $(VENV)/.dev
	@tests/tools/pythons $(VENV)

mutants: $(VENV)/.dev ## changes that break a rule: each must fail a test that names it
	$(PY) -m tests.mutants $(ARGS)

fuzz: $(VENV)/.dev ## virtual hours of daemons under faults, judged: SEEDS=17 or SEEDS=1-300
	$(PY) -m piyasad.simulation.fuzz $(SEEDS) $(ARGS)

bench: $(VENV)/.dev ## figures, as ratios against a baseline in the same run
	$(PY) -m bench $(ARGS)

$(VENV)/.made:
	@tests/tools/make-venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements.lock pyproject.toml
	@tests/tools/install-lock $(PY) requirements.lock
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@tests/tools/install-lock $(PY) requirements-dev.lock
	@touch $@

# In an environment of its own: the price list and aiogram want different pydantics.
prices: ## the kept list of prices and model names, anew
	python3 -m venv $(VENV)-prices
	$(VENV)-prices/bin/python -m pip install -q --disable-pip-version-check genai-prices
	$(VENV)-prices/bin/python -m tests.tools.prices

lock: ## pin every dependency anew, by hash and without addresses (needs uv)
	$(LOCK) --extra build -o requirements.lock
	$(LOCK) --extra build --extra dev -o requirements-dev.lock

clean: ## remove what was built
	rm -rf $(VENV) $(VENV)-* build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
