# Two commands: `make lab` opens the quickstart in JupyterLab, `make test` runs every test. Both set up what they need.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A CPU build of exactly this version may be at hand; a wider request would fetch gigabytes of GPU libraries on a machine without a GPU.
TORCH ?= torch==2.13.0

# Jupyter refuses to run as root unless it is told; in a container there is often nobody else.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

TYPESCRIPT := $(shell find labextension -type f -not -path '*/tests/*' 2>/dev/null) package.json tsconfig.json tsconfig.build.json

# The tests of one file share kernels and servers, so a file stays in one process; the files begin in the order of the tiers.
PYTEST := $(BIN)/pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# Bytecode is kept even where the environment forbids it, as that of many containers does: otherwise each process compiles the tests and the
# package again.
TESTS := PYTHONDONTWRITEBYTECODE= $(PYTEST)

# A gigabyte must be free: in a container it is often 64 MB.
IN_MEMORY = $(shell df -k /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 1000000 {print "TMPDIR=/dev/shm"}')

# Where the lowest versions of the dependencies are installed.
OLDEST := .cache/oldest

.PHONY: lab test quick docs pictures lint lint-python lint-browser vitest browser build clean wheel coverage oldest release-check check-python check-node

lab: $(VENV)/.installed
	$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks/quickstart/quickstart.ipynb

test: lint vitest docs browser
	$(TESTS) --durations=30

# A minute instead of a quarter of an hour: neither Jupyter nor a browser. The files of the tests are in memory where the system has room for
# them there, because every checkpoint is synchronized with the disk.
quick:
	$(MAKE) --no-print-directory --jobs=2 lint vitest
	$(IN_MEMORY) $(TESTS) -o tmp_path_retention_policy=failed tests/architecture tests/unit tests/contract

# The documentation, into docs/_build/html. A warning is an error: a link that leads nowhere, a public name without a page. It needs no network.
docs: $(VENV)/.installed
	$(BIN)/sphinx-build -q --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html."

# The pictures of the documentation and of the README, from real sessions. Not part of `make test`: look at them before a commit.
pictures: $(VENV)/.installed browser
	$(BIN)/python docs/pictures.py

# Which lines of the package the tests run in their own process: what only a kernel or a browser runs is not counted. Not part of `make test`,
# because counting doubles the time of the quick tests.
coverage: $(VENV)/.installed
	mkdir -p .cache
	$(BIN)/pytest --cov=detjupyter tests/architecture tests/unit tests/contract tests/integration tests/jupyter/server

# Warnings are no errors here: old packages warn of each other.
oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/pytest -W default tests/unit tests/contract tests/jupyter/server

lint: lint-python lint-browser

lint-python: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-browser: node_modules/.installed
	npm run --silent lint
	npm run --silent typecheck
	npm run --silent format:check

vitest: node_modules/.installed
	npm test --silent

build: $(VENV)/.installed

wheel: build
	rm -rf dist && $(BIN)/python -m build --no-isolation

release-check: wheel
	DETJUPYTER_DIST=dist $(BIN)/pytest tests/jupyter/test_wheel.py

# Debian's Chromium where we may install it; a person who may not is told what to do.
browser:
	@if command -v chromium >/dev/null || [ -n "$$DETJUPYTER_CHROMIUM" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	else echo "The browser tests need Chromium: install it (Debian: sudo apt-get install chromium), or point DETJUPYTER_CHROMIUM at one." >&2; exit 1; fi

check-python:
	@$(PYTHON) -c pass >/dev/null 2>&1 || { echo "Python 3.11 or newer is needed, and '$(PYTHON)' does not run here. Install it, or name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name a newer one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python has no venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }

check-node:
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node 20.19 or newer is needed to build the browser side, and there is no node or npm here." >&2; exit 1; }
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || { echo "Node 20.19 or newer is needed to build the browser side; this is $$(node --version)." >&2; exit 1; }

node_modules/.installed: package.json package-lock.json | check-node
	npm ci --no-audit --no-fund
	@touch $@

detjupyter/labextension/package.json: node_modules/.installed $(TYPESCRIPT)
	npm run --silent clean
	npm run --silent build
	@touch $@

$(VENV)/bin/python: | check-python
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: | $(VENV)/bin/python
	$(BIN)/pip install --quiet $(TORCH)
	@touch $@

# An editable install copies what JupyterLab reads, so it is made again after every build of the browser side. The package's own build hook
# would build that side once more and touch the lock file.
$(VENV)/.installed: pyproject.toml detjupyter/labextension/package.json $(VENV)/.torch
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(BIN)/pip install --quiet --editable '.[docs,lab,test]'
	@touch $@

$(OLDEST)/.installed: pyproject.toml $(VENV)/.installed
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	{ echo $(TORCH); $(BIN)/python tests/support/lowest_versions.py; } > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/pip install --quiet $(TORCH)
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(OLDEST)/bin/pip install --quiet --constraint $(OLDEST)/constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) node_modules dist lib .cache screenshots docs/_build detjupyter/labextension detjupyter/widgets/static/*.js
