# Every task is here; CI calls the same ones by name.
.DEFAULT_GOAL := help
BIN := .venv/bin
SHELL := bash
# Set, it would have each of many hundred Python processes read our sources anew.
unexport PYTHONDONTWRITEBYTECODE

# Of the programs that a level uses, make those that MLPLAT_REQUIRE names; without it a level does with what is there.
comma := ,
required = $(filter $(1),$(subst $(comma), ,$(MLPLAT_REQUIRE)))
need = $(if $(required),scripts/tools $(required))

.PHONY: help setup tools demo demo-down test lint types imports docs docs-check curves mutate golden required unit engine cluster node e2e bench e2e-aws lock wheel clean

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

test: setup ## Run every check, two levels at a time; MLPLAT_REQUIRE=engine,cluster fails without those
	@$(BIN)/python scripts/levels.py

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

curves: setup ## Find how often gate, alarms and retraining err, and what abstaining saves, into docs/concepts/*.json (20 min); then `make docs`
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python docs/curves.py
	$(BIN)/python docs/drift.py
	$(BIN)/python docs/retraining.py
	$(BIN)/python docs/abstention.py

mutate: setup ## Change what decides, spot by spot; fails where no test notices and nobody has said why (MODULE=… for one)
	$(BIN)/python scripts/mutate.py $(MODULE)

required: setup ## Make what MLPLAT_REQUIRE names, unless it is there
	@[ -z "$(MLPLAT_REQUIRE)" ] || scripts/tools $(subst $(comma), ,$(MLPLAT_REQUIRE))

golden: setup ## Write the reviewed graphs of the AWS stacks again
	PYTHONPATH=tests/support:. $(BIN)/python -W ignore -m golden

unit: setup ## Tests that start no platform
	@$(call need,postgres prometheus)
	$(BIN)/pytest -n auto -m "not e2e and not engine and not cluster and not node"

engine: setup ## Tests with a real Pulumi engine; one line of notice where there is none
	@$(call need,engine postgres cluster)
	$(BIN)/pytest -m engine tests/engine tests/conformance

cluster: setup ## Tests with a real Kubernetes API server; one line of notice where there is none
	@$(call need,cluster)
	$(BIN)/pytest -m "cluster and not engine" tests/cluster tests/engine tests/conformance

node: setup ## Tests with real containers on a node of this computer, as root on Linux
	@$(call need,node postgres)
	$(BIN)/pytest -m node tests/node

e2e: setup ## Tests with the local platform's real processes
	@$(call need,postgres prometheus)
	$(BIN)/pytest -m e2e tests/e2e tests/conformance

bench: setup ## Measure the model server beside others, and the platform, into docs/benchmarks.md (20 min, needs wrk)
	$(BIN)/python -m bench

e2e-aws: setup ## A platform's life in a real AWS account, at most 25 USD and 4 hours (E2E=--emulated: in none)
	@scripts/e2e-aws $(E2E)

lock: setup ## Write every requirements file again from its .in, with hashes
	scripts/lock

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## Remove what can be made again
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
