PYTHON := .venv/bin/python
READY := .venv/.ready

.PHONY: help setup train apply test test-long test-slow coverage docs examples

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(READY)  ## an environment in .venv, with everything that tests and documentation need

# The stamp is made again when what it depends on has changed. Some systems' Python comes without ensurepip.
$(READY): pyproject.toml setup.py constraints.txt
	@[ -x .venv/bin/pip ] || { \
	  for python in python3.11 python3.12 python3.13 python3; do \
	    $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	      && exec $$python -m venv .venv; \
	  done; \
	  echo "vaekit needs Python 3.11 or newer, with venv and ensurepip, and found none; install one and repeat." >&2; \
	  exit 1; }
	$(PYTHON) -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@

train: setup  ## make train ARGS="model=conv_vae data=mnist": train.py, without ARGS on 8x8 digits
	$(PYTHON) train.py $(ARGS)

apply: setup  ## make apply ARGS="task=sample": apply.py, of the newest run
	$(PYTHON) apply.py $(ARGS)

# a process a core, with a thread each
test: export OMP_NUM_THREADS ?= 1
test: setup  ## style, types, tests; ARGS="tests/priors -k vamp" for some of them
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n auto --dist worksteal $(ARGS)

test-long: export OMP_NUM_THREADS ?= 1
test-long: setup  ## the longer tests, which `make test` leaves out
	$(PYTHON) -m pytest -n auto --dist worksteal -m "long and not slow" $(ARGS)

test-slow: override ARGS += -m "slow or not slow"
test-slow: test  ## everything: `make test`, `make test-long`, and the tests that take longer still

coverage: override ARGS += --cov --cov-report=term:skip-covered
coverage: test  ## the lines and branches that `make test` reaches

docs: export NO_MKDOCS_2_WARNING = 1
docs: setup  ## the documentation site, in site/index.html; warnings and dead links are errors
	$(PYTHON) -m mkdocs build --strict

examples: setup  ## run what the documentation shows: notebooks, and the walk-throughs of CONTRIBUTING.md
	$(PYTHON) -m pytest -m slow tests/test_notebooks.py tests/test_contributing.py
