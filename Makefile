# Every task is here; CI calls the same ones by name.
.DEFAULT_GOAL := help
BIN := .venv/bin
SHELL := bash

.PHONY: help setup tools demo demo-down test lint types imports docs docs-check golden required unit engine cluster node e2e bench e2e-aws lock wheel clean

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Stand a platform up here and take a real model through its life
	@scripts/setup cli
	@scripts/demo

demo-down: ## End the demo's platform and remove what it made
	@scripts/setup cli
	@scripts/demo down

setup: ## Make .venv with everything the checks need
	@scripts/setup dev

test: lint types imports docs-check unit engine cluster node e2e ## Run every check; MLPLAT_REQUIRE=engine,cluster fails without those

tools: ## Build or install what some tests need, unless it is there: the Pulumi engine, PostgreSQL, Kubernetes' API server
	@scripts/tools

lint: setup ## Style of code, and whether the table of AWS rights is what its generator makes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/permissions.py --check

types: setup ## Types
	$(BIN)/mypy

imports: setup ## Layers: who may import whom
	$(BIN)/lint-imports

docs: setup ## Write the generated pages and the schema of stack files again
	$(BIN)/python docs/generate.py

docs-check: setup ## Fail when a generated page is stale
	$(BIN)/python docs/generate.py --check

required: setup
	@[ -z "$(MLPLAT_REQUIRE)" ] || scripts/tools $(MLPLAT_REQUIRE)

golden: setup ## Write the reviewed graphs of the AWS stacks again
	PYTHONPATH=tests/support:. $(BIN)/python -W ignore -m golden

unit: required ## Tests that start no platform
	$(BIN)/pytest -n auto -m "not e2e and not engine and not cluster and not node"

engine: required ## Tests with a real Pulumi engine; one line of notice where there is none
	$(BIN)/pytest -m engine

cluster: required ## Tests with a real Kubernetes API server; one line of notice where there is none
	$(BIN)/pytest -m "cluster and not engine"

node: required ## Tests with real containers on a node of this computer, as root on Linux
	$(BIN)/pytest -m node

e2e: setup ## Tests with the local platform's real processes
	$(BIN)/pytest -m e2e

bench: setup ## Measure the model server beside others, and the platform, into docs/benchmarks.md (13 min, needs wrk)
	$(BIN)/python -m bench

e2e-aws: setup ## A platform's life in a real AWS account, at most 25 USD and 4 hours (E2E=--emulated: in none)
	@scripts/e2e-aws $(E2E)

lock: setup ## Write every requirements file again from its .in, with hashes
	scripts/lock

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## Remove what can be made again
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
