# Every target sets itself up: the first one you type builds .venv, the next ones find it ready.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup lint types test test-long test-lowest wheel-test docker-test docs notebooks faults nodes bench demo example-qm9 example-moleculenet clean

PYTHON ?= python3# any Python from 3.11 on; used once, to make .venv
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHONS ?= python3.11 python3.12 python3.13# of wheel-test
WORKERS ?= 3# test processes; a third of their time is waiting
PYTEST := -m pytest -q -n $(WORKERS) --dist worksteal# neighbours stay together: what a module makes is made once
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# One thread per process, and idle threads sleep: two spinning threads on a busy core cost six times the time.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

help: ## say what each target does (the default)
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-20s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with pinned packages, this package and a unicore-train command
	@echo "setup: $(VENV) is ready (activate it with: source $(BIN)/activate)"

$(READY): requirements.txt pyproject.toml setup.py tools/unicore_train_shim.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: make setup needs Python 3.11 or newer, $(PYTHON) is %d.%d; try make setup PYTHON=python3.12" % sys.version_info[:2])'
	@echo "setup: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "setup: installing the pinned packages of requirements.txt (one to a few minutes)"
	@$(PIP) install --quiet -r requirements.txt
	@echo "setup: installing moleblend_plugin from this folder"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@echo "setup: adding unicore-train, which runs Uni-Core where it is installed and the embedded trainer elsewhere"
	@printf '#!/bin/sh\nexec "%s/python" "%s" "$$@"\n' '$(abspath $(BIN))' '$(abspath tools/unicore_train_shim.py)' >$(BIN)/unicore-train
	@chmod +x $(BIN)/unicore-train
	@touch $@

lint: $(READY) ## check style and format (ruff)
	@echo "lint: ruff check and ruff format --check"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## check the types (mypy, strict)
	@echo "types: mypy on moleblend_plugin"
	@$(BIN)/mypy

test: lint types ## the gate: lint, types and all tests, as continuous integration runs them
	@echo "test: the compiled loops, once, before several processes would compile them side by side"
	@$(BIN)/python -m pytest -q tests/models/test_packed.py -k "pretraining_gives or property_network"
	@echo "test: pytest in $(WORKERS) processes"
	@$(BIN)/python $(PYTEST) -m "not long"

test-long: $(READY) ## the tests that make test leaves out because they take long
	@$(BIN)/python $(PYTEST) -m long

test-lowest: ## all tests with the lowest versions that pyproject.toml allows, in .venv-lowest (PYTHON=python3.11)
	@$(PYTHON) -m venv $(LOWEST)
	@$(PYTHON) tools/lowest.py >$(LOWEST)/constraints.txt
	@echo "test-lowest: installing $$(tr '\n' ' ' <$(LOWEST)/constraints.txt)"
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input install --quiet -c $(LOWEST)/constraints.txt -e '.[test,tensorboard]'
	@$(LOWEST)/bin/python $(PYTEST)

wheel-test: ## build wheel and sdist, and try them in fresh environments: make wheel-test PYTHONS="python3.11 python3.13"
	@bash tools/wheel_test.sh $(PYTHONS)

docker-test: ## what the Dockerfile does, in a fresh folder and environment, without a container engine
	@bash tools/docker_steps.sh $(PYTHON)

docs: $(READY) ## write the documentation site to site/, without network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: open site/index.html, or for the search: $(BIN)/python -m http.server --directory site"

notebooks: $(READY) ## execute the four notebooks of examples/notebooks (about 100 processor seconds)
	@$(BIN)/python -m pytest -q --nbmake --durations=4 -n $(WORKERS) examples/notebooks

faults: $(READY) ## the long fault injection: 50 kills, 50 signals, 1,000 flipped bytes each (about 8 minutes)
	@echo "faults: what make test does in small, with the full counts (docs/faults.md)"
	@MOLEBLEND_FAULTS=long $(BIN)/python -m pytest -q -s tests/faults

nodes: $(READY) ## two nodes on one machine: joined, cut off, killed (Linux, root, iproute2; about 6 minutes)
	@MOLEBLEND_NODES=two $(BIN)/python -m pytest -q -ra tests/nodes

demo: $(READY) ## pretrain on 2,000 real molecules, then fine-tune on FreeSolv (some 12 minutes of processor time on 2 cores)
	@PATH="$(abspath $(BIN)):$$PATH" bash examples/00_demo/run.sh

example-qm9: $(READY) ## pretrain on QM9 geometries: make example-qm9 QM9=path/to/qm9_geometry_128k.npz [COUNT=12500]
	@PATH="$(abspath $(BIN)):$$PATH" bash examples/10_pretrain_qm9/run.sh "$(QM9)" $(COUNT)

example-moleculenet: $(READY) ## pretrain, fine-tune and compare on seven MoleculeNet sets: make example-moleculenet DATA=path (3 hours)
	@PATH="$(abspath $(BIN)):$$PATH" bash examples/20_moleculenet/run.sh "$(DATA)"

bench: $(READY) ## speed figures beside their targets: make bench BENCH=molecules [TABLES=moleculenet] [CHEMPROP=bin/chemprop] (docs/speed_tables.md; up to an hour)
	@test -d "$(BENCH)" || { echo "error: BENCH='$(BENCH)' is no folder; it holds mols500.npz, batch32_small.npz, batch32_drug.npz" >&2; exit 2; }
	@$(BIN)/python tools/bench/run.py "$(BENCH)" $(if $(TABLES),--tables "$(TABLES)") $(if $(CHEMPROP),--chemprop "$(CHEMPROP)") --out runs/speed --page docs/speed_tables.md

clean: ## remove .venv, runs and caches
	@echo "clean: removing $(VENV), runs, site, build folders and caches"
	@rm -rf $(VENV) $(LOWEST) runs site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
