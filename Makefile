# make demo and make test are all you need: each installs what is missing, then works.
# Python 3.11 to 3.14 and make must be there; pip uses your own configuration (index, proxy, certificates).

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$p && break; done)
NO_PYTHON := no Python 3.11 to 3.14 here (for 3.15 there are no wheels of the tested numpy, scipy and others)

# Python compiles what it imports and keeps that; pip would compile every library, for more than a minute.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python

# The extras of the steps that exist (step1 of step1_foundations, ...), and the developers' tools.
comma := ,
space := $(subst ,, )
PACKAGES := shared $(sort $(patsubst %/,%,$(wildcard step[0-9]_*/)))
EXTRAS := $(subst $(space),$(comma),$(strip dev $(foreach step,$(wordlist 2,9,$(PACKAGES)),$(firstword $(subst _, ,$(step))))))

# A test that hangs fails by name, with all stacks, rather than the whole run without a word.
HANG := --timeout 420 --session-timeout 3000

.PHONY: help install demo classroom-demo test test-fast lint format docs site bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## install all steps into .venv; then: source .venv/bin/activate

demo: $(VENV)/.weights  ## run every step on a real model, then write reports/index.html
	@$(PY) -m shared demo

classroom-demo: $(VENV)/.installed  ## for instructors: from an assignment to a graded class of five
	@ROADMAP_REPORTS_DIR=reports $(PY) -m classroom demo --out reports/classroom

test: lint  ## lint, types, layers and all tests, as CI's job `everything`
	@ROADMAP_HUB=false $(PY) -m shared weights || echo "no weights: the tests on real models will say so"
	@$(PY) -m pytest $(HANG) -m "not real" -n auto --dist loadfile
	@$(PY) -m pytest $(HANG) -m real -n 2 --dist worksteal

test-fast: $(VENV)/.installed  ## the tests on the tiny model, without real servers and gradings
	@$(PY) -m pytest $(HANG) -m "not real and not slow" -n auto --dist loadfile

lint: $(VENV)/.installed  ## ruff, types, and who may import whom
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet . || { echo "not formatted: run make format"; exit 1; }
	@$(PY) -m pyrefly check --python-interpreter-path $(PY) --summary=none
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed  ## put the code into shape
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format --quiet .

docs: $(VENV)/.weights  ## run the commands of the lessons; fill in outputs, code, goals and drawings
	@$(PY) -m docs.drawings.transformer_block
	@$(PY) -m docs.drawings.rotation
	@$(PY) -m docs.drawings.shared_heads
	@$(PY) -m docs.drawings.generation_loop
	@$(PY) -m docs.drawings.demo_terminal
	@$(PY) -m docs.drawings.branch_mask
	@$(PY) -m docs.drawings.reading_window
	@$(PY) -m docs.lessons
	@$(PY) -m docs.drawings.coverage  # after the table that it draws
	@$(PY) -m docs.drawings.results  # after the outputs that it draws

site: $(VENV)/.installed  ## the chapters as a website, in build/site (needs npm, for the diagrams)
	@$(PY) -m pip install --quiet -c constraints.txt -e ".[site]"
	@$(PY) -m docs.site

bench: $(VENV)/.weights  ## measure the speeds of step 1, chapter 8
	@$(PY) -m step1_foundations bench

clean:  ## remove the virtual environment and caches; weights and reports stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: $(NO_PYTHON); name one: make PYTHON=/path/to/python3.12"; exit 2; }
	@echo "Installing into $(VENV) (once, a minute or more)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --upgrade pip
	@$(PY) -m pip install --quiet --no-compile -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

$(VENV)/.weights: $(VENV)/.installed
	@$(PY) -m shared weights
	@touch $@
