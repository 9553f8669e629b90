# Every task is here; CI calls the same ones by name.
.DEFAULT_GOAL := help
BIN := .venv/bin
SHELL := bash

.PHONY: help setup demo demo-down test lint types imports docs docs-check unit e2e lock wheel clean

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

test: lint types imports docs-check unit e2e ## Run every check

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
	$(BIN)/pytest -n auto -m "not e2e"

e2e: setup ## Tests with the local platform's real processes
	$(BIN)/pytest -m e2e

lock: setup ## Write every requirements file again from its .in, with hashes
	scripts/lock

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## Remove what can be made again
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
