# Every target prepares what it needs on a machine that has nothing but Python (3.11 or later) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := pyproject.toml constraints.txt
QUIX := $(VENV)/quix

.DEFAULT_GOAL := help
.PHONY: help setup demo cluster test chaos check bench bench-kafka clean

help: ## this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## an own virtual environment with everything to develop in it

demo: $(VENV)/.runtime ## a month of a shop with many channels: generate, run, look around
	@$(BIN)/rapport demo

cluster: $(VENV)/.dev ## a Kafka cluster of this machine with the demo running through it, until Ctrl-C
	@$(BIN)/python -m rapport.demo.cluster

# Many tests wait for a broker: four at once keep two cores busy.
# Its hundreds of processes start sooner where Python may keep what it compiled.
test: $(VENV)/.dev ## every test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

chaos: $(VENV)/.dev ## 300,000 events while workers, sinks and the broker fail; RAPPORT_SEED repeats a run
	$(BIN)/python tests/stream_chaos.py

check: $(VENV)/.dev ## lint, format, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.runtime ## the speed report of this machine
	@$(BIN)/rapport bench --all --report docs/benchmarks.md

bench-kafka: $(VENV)/.dev $(QUIX)/.ready ## the same on Kafka, beside its opponents; needs Java 17 and Maven, takes an hour
	@PYTHONPATH=tests $(BIN)/python benchmarks/on_kafka.py --profiles 1000000 --report docs/benchmarks_kafka.md

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
	@$(PIP) install --constraint constraints.txt --editable '.[cluster,dev]'
	@touch $@ $(VENV)/.runtime

# An opponent of the benchmark: its bounds and ours do not meet, so it gets an environment of its own.
$(QUIX)/.ready: benchmarks/quix.txt | $(BIN)/python
	@$(BIN)/python -m venv $(QUIX)
	@$(QUIX)/bin/python -m pip --disable-pip-version-check --quiet install --requirement benchmarks/quix.txt
	@touch $@
