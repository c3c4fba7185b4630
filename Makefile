# Everything that is typed often. `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the path that LAST runs with; name another with `make setup PYTHON=...`.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(FITS)' 2>/dev/null && echo $$python && break; done)
INSTALLED := $(VENV)/.installed

.PHONY: help setup test demo format clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED)  ## make .venv and install LAST there, with the tested versions

# Installs again only when what is to be installed has changed.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "LAST needs Python 3.11, 3.12 or 3.13; name one: make setup PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# One thread each, because the test processes already share the cores. A file's tests run in one process, so that what
# they share is made once; in order of their names, so that short files come last and the processes end together.
test: setup  ## check style and types, then run the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

demo: setup  ## go the whole way on synthetic data: synthesize, preprocess, train, evaluate
	$(BIN)/python -m last demo

format: setup  ## lay out the code as `make test` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove caches and build outputs; data, runs and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
