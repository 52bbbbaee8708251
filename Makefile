# Midstream's commands; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REHEARSE_READY := $(VENV)/.runtime-installed
TEST_READY := $(VENV)/.test-installed
SECONDS ?= 60
BENCH_READY := .venv-bench/.bench-installed
DOCKER ?= docker
MINIKUBE ?= minikube
# Not IMAGE itself: `make update IMAGE=...` means another one.
BUILT_IMAGE = $(or $(IMAGE),midstream:local)
FUZZED := $(patsubst %,tests/midstream/streams/test_%.py,http1 sse exchange second_reader)

.DEFAULT_GOAL := help
.PHONY: help rehearse test faults fuzz bench lint types docs clean platform \
  image image-minikube test-cluster need-docker need-minikube need-cluster

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

rehearse: platform $(REHEARSE_READY) ## swap a model under 80 live streams on this machine, then judge it
	@$(BIN)/locust -f locustfiles/stream.py --headless $(ARGS)

test: platform $(TEST_READY) lint types ## lint, types, all tests that need nothing else
	@$(BIN)/python -m pytest $(ARGS)

faults: platform $(TEST_READY) ## every fault of the rehearsal in a whole run, about 25 s each
	@$(BIN)/python -m pytest tests/e2e/test_faults.py --every-fault $(ARGS)

fuzz: platform $(TEST_READY) ## the properties of HTTP, SSE, streams with fresh examples, SECONDS=60
	@$(BIN)/python -m pytest $(FUZZED) --fuzz-seconds $(SECONDS) $(ARGS)

bench: platform $(BENCH_READY) ## CPU and time error beside other clients on one server, ARGS="--yardstick DIR"
	@.venv-bench/bin/python bench/sse_cpu.py $(ARGS)

test-cluster: need-cluster platform $(TEST_READY) ## the suite of a real cluster: make test-cluster KUBECONFIG=FILE
	@$(BIN)/python -m pytest tests/cluster $(ARGS)

image: need-docker ## build the image of all parts, IMAGE=midstream:local
	@$(DOCKER) build --tag "$(BUILT_IMAGE)" \
	  --build-arg REVISION="$$(git rev-parse --verify --quiet HEAD || echo unknown)" .

image-minikube: need-minikube image ## build it, then load it into Minikube's nodes
	@$(MINIKUBE) image load "$(BUILT_IMAGE)"

lint: $(TEST_READY) ## style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/shellcheck scripts/*.sh scripts/parts/*.sh .ci/*

types: $(TEST_READY) ## strict types
	@$(BIN)/mypy

docs: $(TEST_READY) ## write docs/Endings.md, docs/Verdict.md from the code
	@$(BIN)/python -m midstream.reports.endings_page > docs/Endings.md.new && mv docs/Endings.md.new docs/Endings.md
	@$(BIN)/python -m tests.docs.verdict_page > docs/Verdict.md.new && mv docs/Verdict.md.new docs/Verdict.md

clean: ## remove what the commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

need-docker:
	@if ! command -v $(DOCKER) >/dev/null; then \
	  echo "make image needs docker: https://docs.docker.com/engine/install/, or DOCKER=podman" >&2; exit 2; fi
	@if ! $(DOCKER) version >/dev/null 2>&1; then \
	  echo "make image: $(DOCKER) has no engine that answers: start it, or see what '$(DOCKER) version' says" >&2; exit 2; fi

need-minikube:
	@if ! command -v $(MINIKUBE) >/dev/null; then \
	  echo "make image-minikube needs minikube: https://minikube.sigs.k8s.io/docs/start/" >&2; exit 2; fi

# Whoever has a production cluster as the default of kubectl must not change it by a word less.
need-cluster:
	@if [ -z "$$KUBECONFIG" ]; then \
	  echo "make test-cluster changes the cluster it runs on, hence takes no default: add KUBECONFIG=FILE" >&2; exit 2; fi

platform:
	@if [ "$$(uname -s)" != Linux ]; then \
	  echo "Midstream's rehearsal needs Linux: run it in a container with docker compose" >&2; exit 2; fi
	@if ! $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "Midstream needs Python >= 3.11 with venv: install it, or name it: make PYTHON=python3.12 ..." >&2; exit 2; fi

# A stamp file, so that a second run installs nothing.
$(REHEARSE_READY): requirements.txt constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(TEST_READY): requirements-dev.txt $(REHEARSE_READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(BENCH_READY): requirements-bench.txt requirements.txt constraints.txt
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@
