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
# Packages are compiled once, when they are installed: each command of Airflow would spend seconds on it where Python may
# not write byte code, and the first ones everywhere.
export UV_COMPILE_BYTECODE = 1

.DEFAULT_GOAL := help
.PHONY: help demo ui cluster cluster-test test chaos test-airflow test-oldest matrix matrix-rows lint bench screenshots
.PHONY: coverage docs build check-wheel release-check clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

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

# In a separate environment, because the other providers must not change the environment of the tests.
VENV_CLUSTER ?= .venv-cluster
$(VENV_CLUSTER)/.ready: $(VENV)/.ready
	@echo "Installing the provider, Airflow and Celery into $(VENV_CLUSTER) ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV_CLUSTER)
	@$(call install,$(BIN)/uv pip install --python $(VENV_CLUSTER)/bin/python --editable . --group test --group cluster)
	@touch $@

cluster: $(VENV_CLUSTER)/.ready ## start PostgreSQL, Redis, two Celery workers, two triggerers and the emulator; Ctrl-C stops all
	@$(VENV_CLUSTER)/bin/python -m dev.cluster

cluster-test: $(VENV_CLUSTER)/.ready ## kill and restart the processes of such a cluster, and print the bills; LONG=1 runs all scenarios
	@IMS_CLUSTER=$(if $(LONG),long,short) $(VENV_CLUSTER)/bin/python -m pytest tests/cluster $(ARGS)

# All tests of a file run in one process, because they may share an Airflow. tests/conftest.py has their order.
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.ready ## run the tests
	@echo "Running the tests ..."
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# Without whole Airflows, clusters and the emulator's own tests: what they run, the other tests run too.
coverage: $(VENV)/.ready ## measure which branches of the package the tests run, the emulator left out; at least 95 %
	@$(call install,$(BIN)/uv pip install --python $(BIN)/python --group coverage)
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term $(addprefix --ignore tests/,chaos cluster emulator) $(ARGS)

NIGHTS ?= 10
chaos: $(VENV)/.ready ## run the chaos tests: NIGHTS runs with random kills, NIGHTS times as many random faults, both state stores
	@IMS_NIGHTS=$(NIGHTS) IMS_SEEDS=$$((50 * $(NIGHTS))) IMS_OUTAGES=5,20,60,90 IMS_STATE_STORES=database,object_storage \
		$(BIN)/python -m pytest $(PARALLEL) tests/chaos $(ARGS)

# ---- Airflow versions

# The newest patch of each supported minor version, the day whose dependencies it gets (before they broke it), and its
# Pythons from 3.11 on. The README has a table of them.
AIRFLOWS = 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
ENDS = $(firstword $(AIRFLOWS)) $(lastword $(AIRFLOWS))
DATE_2.11.2 = 2026-03-20
DATE_3.0.6 = 2025-09-15
DATE_3.1.8 = 2026-03-20
DATE_3.2.2 = 2026-06-20
DATE_3.3.2 = 2026-10-15
# What an installation with it needs too: Airflow 3.0 shows the fields of a connection only beside Flask-AppBuilder.
WITH_3.0.6 = apache-airflow-providers-fab
PYTHONS_2.11.2 = 3.11 3.12
PYTHONS_3.0.6 = 3.11 3.12
PYTHONS_3.1.8 = 3.11 3.12 3.13
PYTHONS_3.2.2 = 3.11 3.12 3.13
PYTHONS_3.3.2 = 3.11 3.12 3.13

AIRFLOW = $(firstword $(AIRFLOWS))
DATE = $(DATE_$(AIRFLOW))
# The Python of .venv, or the newest one of that Airflow's list if it is not on it.
OWN_PYTHON = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null)
AIRFLOW_PYTHON = $(or $(if $(filter $(OWN_PYTHON),$(PYTHONS_$(AIRFLOW))),,$(lastword $(PYTHONS_$(AIRFLOW)))),$(BIN)/python)
VENV_AIRFLOW = .venv-airflow/$(AIRFLOW)

# Creates VENV_AIRFLOW with Airflow and the dependencies of that day, and with $(1). Then installs $(2), as of today.
INTO = $(BIN)/uv pip install --python $(VENV_AIRFLOW)/bin/python
define airflow_venv
@test -n "$(DATE)" || { \
	echo "Airflow $(AIRFLOW) is none of $(AIRFLOWS). Name the day of its dependencies too, such as DATE=2026-03-20." >&2; exit 1; }
@echo "Installing Airflow $(AIRFLOW) with the dependencies of $(DATE) into $(VENV_AIRFLOW) ..."
@$(BIN)/uv venv --quiet --clear --python $(AIRFLOW_PYTHON) $(VENV_AIRFLOW)
@$(call install,$(INTO) --exclude-newer $(DATE) 'apache-airflow==$(AIRFLOW)' $(WITH_$(AIRFLOW)) $(1))
@$(call install,$(INTO) $(2))
endef

# Our own dependencies are the newest ones.
OWN = apache-airflow-providers-common-compat alibabacloud-tea-openapi alibabacloud-ice20201109 darabonba-core
test-airflow: $(VENV)/.ready ## run the tests on AIRFLOW (2.11.2) with the dependencies of DATE, on AIRFLOW_PYTHON
	$(call airflow_venv,--group test,$(OWN:%=--upgrade-package %) --editable .)
	@IMS_SEEDS=$${IMS_SEEDS:-30} IMS_WAITS=$${IMS_WAITS:-1000} $(VENV_AIRFLOW)/bin/python -m pytest $(PARALLEL) $(ARGS)

test-oldest: ## run the tests on the oldest supported Airflow
	@$(MAKE) --no-print-directory test-airflow AIRFLOW=$(firstword $(AIRFLOWS))

# One row for each Airflow and Python: 2.11.2/3.11 2.11.2/3.12 ...
ROWS = $(foreach airflow,$(AIRFLOWS),$(PYTHONS_$(airflow):%=$(airflow)/%))
matrix: $(VENV)/.ready ## run the tests on each Airflow, with the dependencies of its day, on each Python; ROWS names some
	@$(BIN)/python -m dev.matrix $(ROWS)

matrix-rows: ## list the rows of the matrix as JSON, for a workflow
	@$(PYTHON) -m dev.matrix --json $(ROWS)

SCHEMA = $(BIN)/check-jsonschema --quiet --builtin-schema
lint: $(VENV)/.ready ## ruff (with Airflow's rules), format check, mypy, pyright, GitHub's files
	@! git grep -nE '^(<{7}|>{7}) ' || { echo "A merge left these conflict markers." >&2; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --select AIR --preview .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/python tests/typing/check.py
	@$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	@$(SCHEMA) vendor.dependabot .github/dependabot.yml
	@$(SCHEMA) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(BIN)/zizmor --offline --quiet --no-progress --config .github/zizmor.yml .github

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

DOCS ?= build/docs
docs: $(VENV)/.ready ## build the documentation site into build/docs; any warning is an error
	@$(call install,$(BIN)/uv pip install --python $(BIN)/python --group docs)
	@rm -rf "$(DOCS)"
	@PATH="$(abspath $(BIN)):$$PATH" AIRFLOW_HOME="$(abspath $(DOCS))-airflow" AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING \
		$(BIN)/python -m sphinx --builder html --fresh-env --write-all \
		--fail-on-warning --keep-going --quiet --jobs auto --doctree-dir $(DOCS)-doctrees docs $(DOCS) $(ARGS)
	@echo "The first page is $(DOCS)/index.html"

build: $(VENV)/.ready ## build wheel and sdist into dist/
	@$(BIN)/uv build --quiet --clear --python $(BIN)/python --out-dir dist
	@ls dist

# The scripts and example DAGs are those of the sdist, and the package is only in the environment.
check-wheel: $(VENV)/.ready ## install the wheel in dist/ beside AIRFLOW in an empty environment, and use it there
	$(call airflow_venv,,dist/*.whl)
	@tree=$$(mktemp -d); trap 'rm -rf "$$tree"' EXIT; \
		tar -xzf dist/*.tar.gz -C "$$tree" --strip-components 1 && rm -r "$$tree/airflow_provider_ims" && cd "$$tree" && \
		$(abspath $(VENV_AIRFLOW))/bin/python -m dev.wheel_check && $(abspath $(VENV_AIRFLOW))/bin/python -m dev.demo && \
		$(abspath $(VENV_AIRFLOW))/bin/python -m dev.quickstart $(abspath $(VENV_AIRFLOW))/bin

TAG =
WHEEL_ON = $(AIRFLOWS)
release-check: build ## check wheel and sdist, and use the wheel on each Airflow; TAG=v1.2.3 also compares the version
	@$(call install,$(BIN)/uv pip install --python $(BIN)/python --group release)
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/check-wheel-contents dist/*.whl
	@$(BIN)/python -m dev.release_check $(TAG)
	@for airflow in $(WHEEL_ON); do \
		$(MAKE) --no-print-directory check-wheel AIRFLOW=$$airflow VENV_AIRFLOW=.venv-airflow/$$airflow-wheel || exit 1; \
	done

clean: ## remove the files that the other targets have created
	rm -rf $(VENV) .venv-airflow $(VENV_BENCH) $(VENV_CLUSTER) build dist .mypy_cache .pytest_cache .ruff_cache
