# Every target prepares what it needs on a machine that has nothing but Python (3.11 or later) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench clean

help: ## this table
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## an own virtual environment with everything to develop in it

demo: $(VENV)/.runtime ## a month of a shop with many channels: generate, run, look around
	@$(BIN)/rapport demo

test: $(VENV)/.dev ## every test
	$(BIN)/python -m pytest -q -n auto

check: $(VENV)/.dev ## lint, format, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.runtime ## the speed report of this machine
	@$(BIN)/rapport bench --all --report docs/benchmarks.md

clean: ## remove the virtual environment and the caches, never data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'Rapport needs Python 3.11 or later as "$(PYTHON)"; name another with: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python has no venv module; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo 'Preparing $(VENV) (about a minute, only once) ...'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(LOCK) | $(BIN)/python
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(LOCK) | $(BIN)/python
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
