# make demo   run the main job in a real Airflow against the local emulator
# make test   run the tests
# make help   list all targets
#
# Each target first creates the virtual environment .venv, and updates it after each change of pyproject.toml.
# PYTHON is the interpreter for it. If it is named and .venv has another one, .venv is created again.

PYTHON ?= python3
ifeq ($(strip $(PYTHON)),)
override PYTHON = python3
endif
VENV ?= .venv
BIN = $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo ui test chaos test-oldest lint bench screenshots build clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# Prints version and installation of an interpreter, or nothing if it does not run.
interpreter = $(shell $(1) -c 'import sys; print(sys.version, sys.base_prefix)' 2> /dev/null)
ifeq ($(call interpreter,$(BIN)/python),)
NEW_VENV = yes
else ifneq ($(origin PYTHON),file)
ifneq ($(call interpreter,$(BIN)/python),$(call interpreter,$(PYTHON)))
NEW_VENV = yes
endif
endif
ifdef NEW_VENV
.PHONY: $(VENV)/.ready
endif

# Runs an installation. Its output matters only if it fails, and without a package index one line says all of it.
LOG = $(VENV)/install.log
NO_INDEX = NewConnectionError|NameResolutionError|ProxyError|Failed to fetch|from versions: none|network was disabled
install = $(1) > $(LOG) 2>&1 || { \
	if grep -qE '$(NO_INDEX)' $(LOG); \
	then echo "No package index can be reached, so nothing can be installed. PIP_INDEX_URL and UV_DEFAULT_INDEX name another one. Details: $(LOG)"; \
	else cat $(LOG); fi >&2; exit 1; }

NAME_ONE = Python 3.11 or newer is needed. Name one: make $(MAKECMDGOALS) PYTHON=python3.12
$(VENV)/.ready: pyproject.toml
ifdef NEW_VENV
	@$(PYTHON) -c 'import sys; sys.exit(3 * (sys.version_info < (3, 11)))' 2> /dev/null; case $$? in \
		0) ;; \
		3) echo "$(PYTHON) is too old. $(NAME_ONE)" >&2; exit 1 ;; \
		126 | 127) echo "$(PYTHON) is missing. $(NAME_ONE)" >&2; exit 1 ;; \
		*) echo "$(PYTHON) does not run. $(NAME_ONE)" >&2; exit 1 ;; \
	esac
	@echo "Creating the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
endif
	@echo "Installing the provider, Airflow and the test tools into $(VENV) (a minute or two) ..."
	@$(call install,$(BIN)/python -m pip install uv)
	@$(call install,$(BIN)/uv pip install --python $(BIN)/python --editable . --group dev)
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
chaos: $(VENV)/.ready ## run the chaos tests: NIGHTS runs with random kills, NIGHTS times as many random faults, both state stores
	@IMS_NIGHTS=$(NIGHTS) IMS_SEEDS=$$((50 * $(NIGHTS))) IMS_OUTAGES=5,20,60,90 IMS_STATE_STORES=database,object_storage \
		$(BIN)/python -m pytest $(PARALLEL) tests/chaos $(ARGS)

# The oldest supported Airflow with the dependencies of its release date, and the newest versions of our own dependencies.
VENV_OLDEST ?= .venv-oldest
OLDEST = $(BIN)/uv pip install --python $(VENV_OLDEST)/bin/python
test-oldest: $(VENV)/.ready ## run the tests on the oldest supported Airflow
	@echo "Installing Airflow 2.11 into $(VENV_OLDEST) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV_OLDEST)
	@$(call install,$(OLDEST) --exclude-newer 2026-03-20 'apache-airflow==2.11.2' --group test)
	@$(call install,$(OLDEST) --upgrade-package apache-airflow-providers-common-compat \
		--upgrade-package alibabacloud-tea-openapi --upgrade-package alibabacloud-ice20201109 \
		--upgrade-package darabonba-core --editable .)
	@IMS_SEEDS=$${IMS_SEEDS:-30} IMS_WAITS=$${IMS_WAITS:-1000} $(VENV_OLDEST)/bin/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.ready ## ruff (with Airflow's rules), format check, mypy, pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --select AIR --preview .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/python tests/typing/check.py

# In a separate environment: the other providers must not change the environment of the tests.
VENV_BENCH ?= .venv-bench
bench: $(VENV)/.ready ## measure imports, submissions, waiting, throttling and temporary keys, compared with the SDK and other providers
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV_BENCH)
	@$(call install,$(BIN)/uv pip install --python $(VENV_BENCH)/bin/python --editable . --group bench)
	@status=0; for what in import_cost cold_submit waiting throttling credentials; do \
		$(VENV_BENCH)/bin/python benchmarks/$$what.py $(ARGS) || status=1; \
	done; exit $$status

screenshots: $(VENV)/.ready ## check the UI in a headless Chromium and take the screenshots of the docs
	@$(call install,$(BIN)/uv pip install --python $(BIN)/python --group screenshots)
	@$(BIN)/python -m dev.screenshots $(ARGS)

build: $(VENV)/.ready ## build wheel and sdist into dist/
	@$(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist
	@ls dist

clean: ## remove the files that the other targets have created
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_BENCH) dist .mypy_cache .pytest_cache .ruff_cache
