# make demo   run the main job in a real Airflow against the local emulator
# make test   run the tests
# make help   list all targets
#
# Each target first creates the virtual environment .venv, again after each change of pyproject.toml.
# PYTHON is the interpreter for it.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo ui test chaos test-oldest lint bench screenshots build clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml
	@echo "Creating the virtual environment $(VENV) and installing the provider, Airflow and the test tools (a minute or two) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed. Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@touch $@

demo: $(VENV)/.ready ## run the example DAG in a real Airflow against the emulator
	@$(BIN)/python -m dev.demo

ui: $(VENV)/.ready ## start emulator and Airflow UI, print URL and login; Ctrl-C stops both
	@$(BIN)/python -m dev.ui

# All tests of a file run in one process, because they may share an Airflow.
PARALLEL = --numprocesses auto --dist loadfile

test: $(VENV)/.ready ## run the tests
	@echo "Running the tests ..."
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

NIGHTS ?= 10
chaos: $(VENV)/.ready ## run the chaos tests: NIGHTS runs with random kills, and NIGHTS times as many random faults
	@IMS_NIGHTS=$(NIGHTS) IMS_SEEDS=$$((50 * $(NIGHTS))) $(BIN)/python -m pytest $(PARALLEL) tests/chaos $(ARGS)

# The oldest supported Airflow with the dependencies of its release date, and the newest versions of our own dependencies.
VENV_OLDEST ?= .venv-oldest
OLDEST = $(BIN)/uv pip install --quiet --python $(VENV_OLDEST)/bin/python
test-oldest: $(VENV)/.ready ## run the tests on the oldest supported Airflow
	@echo "Installing Airflow 2.11 into $(VENV_OLDEST) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV_OLDEST)
	@$(OLDEST) --exclude-newer 2026-03-20 'apache-airflow==2.11.2' --group test
	@$(OLDEST) --upgrade-package apache-airflow-providers-common-compat --upgrade-package alibabacloud-tea-openapi \
		--upgrade-package alibabacloud-ice20201109 --upgrade-package darabonba-core --editable .
	@IMS_SEEDS=$${IMS_SEEDS:-30} $(VENV_OLDEST)/bin/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.ready ## ruff (with Airflow's rules), format check, mypy, pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --select AIR --preview .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/python tests/typing/check.py

# In a separate environment: the other providers must not change the environment of the tests.
VENV_BENCH ?= .venv-bench
bench: $(VENV)/.ready ## measure imports, submissions, waiting and throttling, compared with the SDK and other providers
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV_BENCH)
	@$(BIN)/uv pip install --quiet --python $(VENV_BENCH)/bin/python --editable . --group bench
	@status=0; for what in import_cost cold_submit waiting throttling; do \
		$(VENV_BENCH)/bin/python benchmarks/$$what.py $(ARGS) || status=1; \
	done; exit $$status

screenshots: $(VENV)/.ready ## check the UI in a headless Chromium and take the screenshots of the docs
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group screenshots
	@$(BIN)/python -m dev.screenshots $(ARGS)

build: $(VENV)/.ready ## build wheel and sdist into dist/
	@$(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist
	@ls dist

clean: ## remove the files that the other targets have created
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_BENCH) dist .mypy_cache .pytest_cache .ruff_cache
