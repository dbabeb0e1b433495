# `make up` and `make test` are all a newcomer needs; both work on a fresh machine with Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Cluster tests start and kill real servers: they come after the rest, and mostly wait.
WORKERS ?= 2
CLUSTER_WORKERS ?= 3
PYTEST_ARGS ?=

# The long campaign: interrupted or not, the next `make hunt` of the same source goes on where it stopped.
SEEDS ?= 1..1000000
CAMPAIGN ?= campaigns/hunt.jsonl

# Tests start some hundred processes of ours: what was compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up install test verify fix gallery hunt hunt-engines bench bench-quick proto clean

help:
	@echo "make up           start a three-server cluster on this machine (UP_ARGS='...' is passed on)"
	@echo "make test         install what tests need, check the floors, run the tests (PYTEST_ARGS='...')"
	@echo "make verify       ruff, format, mypy, types of the page, floors and tests; changes no file"
	@echo "make fix          let ruff repair and format the code"
	@echo "make hunt         simulate a million seeds, and go on where the last time stopped (SEEDS=A..B, HUNT_ARGS='...')"
	@echo "make hunt-engines test hunts on a Ray cluster too; installs Ray, about 240 MB"
	@echo "make gallery      a page for each known bug, in gallery/: an hour, and goes on where it stopped (GALLERY_ARGS='...')"
	@echo "make bench        compare with etcd and PySyncObj, half an hour (BENCH_ARGS='...', LIBRARY_BENCH_ARGS='...')"
	@echo "make bench-quick  the same in about 4 minutes, with more noise"
	@echo "make proto        generate the protobuf modules again"
	@echo "make clean        remove the virtual environment, caches and build products"

up: $(STAMPS)/run
	@exec $(BIN)/oarlock up $(UP_ARGS)

install: $(STAMPS)/run

test: $(STAMPS)/test
	$(BIN)/lint-imports
	@status=0; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not cluster and not engines" $(PYTEST_ARGS) || status=$$?; \
	$(BIN)/python -m pytest -n $(CLUSTER_WORKERS) --dist loadgroup -m cluster $(PYTEST_ARGS) || status=$$?; \
	exit $$status

verify: $(STAMPS)/lint
	$(BIN)/ruff check --no-fix
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python scripts/check_page.py
	@$(MAKE) --no-print-directory test

fix: $(STAMPS)/lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hunt: $(STAMPS)/hunt
	$(BIN)/oarlock hunt --seeds $(SEEDS) --keep-going --record $(CAMPAIGN) --resume $(HUNT_ARGS)

gallery: $(STAMPS)/run
	$(BIN)/oarlock zoo gallery -o gallery $(GALLERY_ARGS)

hunt-engines: $(STAMPS)/test $(STAMPS)/ray
	$(BIN)/python -m pytest -m engines tests/sim

bench: $(STAMPS)/bench
	$(BIN)/python -m benchmarks.compare $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.library $(LIBRARY_BENCH_ARGS)

bench-quick: $(STAMPS)/bench
	$(BIN)/python -m benchmarks.compare --quick $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.library --quick $(LIBRARY_BENCH_ARGS)

proto: $(STAMPS)/proto
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/generate_proto.sh

clean:
	rm -rf $(VENV) build dist benchmarks/build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that the extras of that name are installed as pyproject.toml asks; the package itself is
# installed in place, so a change of the source needs no new installation.
$(BIN)/python:
	scripts/make_venv.sh "$(PYTHON)" $(VENV)

$(STAMPS)/run: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test $(STAMPS)/bench $(STAMPS)/hunt $(STAMPS)/proto $(STAMPS)/ray: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable ".[$(@F)]"
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/run

$(STAMPS)/lint: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable ".[test,lint]"
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/test $(STAMPS)/run
