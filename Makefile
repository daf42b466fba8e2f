# make setup                                      an environment of its own in .venv
# make train ARGS="model=conv_vae data=mnist"     train.py in it      make apply ARGS="task=sample"   apply.py in it
# make test                                       style, types, tests      make test-slow             the slow tests too
PYTHON := .venv/bin/python
READY := .venv/.ready

.PHONY: setup train apply test test-slow

setup: $(READY)

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

train: setup
	$(PYTHON) train.py $(ARGS)

apply: setup
	$(PYTHON) apply.py $(ARGS)

# a process a core, with a thread each
test: export OMP_NUM_THREADS ?= 1
test: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n auto --dist worksteal $(ARGS)

test-slow: override ARGS += -m "slow or not slow"
test-slow: test
