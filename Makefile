# Every task is here; CI calls the same ones by name.
.DEFAULT_GOAL := help
BIN := .venv/bin
SHELL := bash

.PHONY: help setup tools demo demo-down test lint types imports docs docs-check unit engine e2e bench lock wheel clean

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

test: lint types imports docs-check unit engine e2e ## Run every check; MLPLAT_REQUIRE=engine fails without an engine

tools: ## Build the programs that some tests need: the Pulumi engine, unless one is on PATH
	@scripts/tools

lint: setup ## Style of code
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## Types
	$(BIN)/mypy

imports: setup ## Layers: who may import whom
	$(BIN)/lint-imports

docs: setup ## Write the generated pages and the schema of stack files again
	$(BIN)/python docs/generate.py

docs-check: setup ## Fail when a generated page is stale
	$(BIN)/python docs/generate.py --check

unit: setup ## Tests that start no platform
	$(BIN)/pytest -n auto -m "not e2e and not engine"

engine: setup ## Tests with a real Pulumi engine; one line of notice where there is none
	@[ -z "$(MLPLAT_REQUIRE)" ] || scripts/tools $(MLPLAT_REQUIRE)
	$(BIN)/pytest -m engine

e2e: setup ## Tests with the local platform's real processes
	$(BIN)/pytest -m e2e

bench: setup ## Measure the model server beside others, and the platform, into docs/benchmarks.md (13 min, needs wrk)
	$(BIN)/python -m bench

lock: setup ## Write every requirements file again from its .in, with hashes
	scripts/lock

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## Remove what can be made again
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
