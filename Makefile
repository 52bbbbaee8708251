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

ON_REHEARSAL := $(if $(filter-out 0 no false,$(REHEARSAL)),scripts/on_rehearsal.sh)
# Scripts run on another Python where one is named.
CLUSTER_READY := $(if $(MIDSTREAM_PYTHON),,platform $(REHEARSE_READY))

.DEFAULT_GOAL := help
.PHONY: help rehearse test faults fuzz bench lint types docs clean platform \
  bootstrap verify-cluster up status update port-forward smoke load verify logs down \
  image image-minikube test-cluster need-docker need-minikube need-cluster

help: ## list the commands
	@awk -F ':.*## ' '/^##@ /{print substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

##@ On this machine alone

rehearse: platform $(REHEARSE_READY) ## swap a model under 80 live streams on this machine, then judge it
	@$(BIN)/locust -f locustfiles/stream.py --headless $(ARGS)

##@ On your cluster (on a rehearsal: REHEARSAL=1). Which: NAMESPACE=llm-serving ROLLOUT=vllm CONTEXT=...
# Scripts read these and the other variables from the environment, where make puts all that it is given.
bootstrap: $(CLUSTER_READY) ## Argo Rollouts, NVIDIA device plugin, namespace: ARGS="--no-gpu", ARGS="--share-gpu 2"
	@$(ON_REHEARSAL) scripts/cluster_bootstrap.sh $(ARGS)

verify-cluster: $(CLUSTER_READY) ## what the cluster lacks, each with its mend: ARGS="--no-gpu"
	@$(ON_REHEARSAL) scripts/verify_cluster.sh $(ARGS)

up: $(CLUSTER_READY) ## deploy the engine: OVERLAY=base|gpu|sim IMAGE=... MODEL=...
	@scripts/deploy.sh up $(ARGS)

status: $(CLUSTER_READY) ## phase, revisions, pods and what holds them up
	@scripts/status.sh $(ARGS)

smoke: $(CLUSTER_READY) ## health, a completion, a stream: of the Rollout, or of TARGET_HOST=URL
	@scripts/smoke_test.sh $(ARGS)

load: $(CLUSTER_READY) ## a plain load: LOAD_CONCURRENCY=4 LOAD_DURATION=30, on the Rollout or TARGET_HOST=URL
	@scripts/load.sh $(ARGS)

verify: $(CLUSTER_READY) ## preflight, smoke, load, verdict; PROMOTE=1: under a promotion, to IMAGE=... or MODEL=...
	@scripts/verify_no_downtime.sh -- $(ARGS)

update: $(CLUSTER_READY) ## a new revision in the preview: IMAGE=... or MODEL=...; PROMOTE=1, UNDO=1
	@scripts/update.sh $(ARGS)

port-forward: $(CLUSTER_READY) ## the stable Service on LOCAL_PORT=8000, across promotions
	@scripts/port_forward.sh $(ARGS)

logs: $(CLUSTER_READY) ## what all pods wrote, FOLLOW=1
	@scripts/logs.sh $(ARGS)

down: $(CLUSTER_READY) ## remove all that up made
	@scripts/deploy.sh down $(ARGS)

##@ For those who change Midstream
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
