# make train       a trained model in saved_models/digits-vae-z20
# make test        the fast tests: what a change is held to
# make test-long   the others: kills, workers, browser, training to the end
# make test-all    both; FULL=1 runs the long proofs at full length
# make test-versions   the fast tests with the oldest and with the newest versions allowed
# make lint        ruff and mypy
# make docs        the documentation as pages in site/: open site/index.html
#
# Each makes .venv first if need be. PYTHON=python3.12 chooses another interpreter.

VENV ?= .venv
BIN := $(VENV)/bin
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python $(FITS) 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help train test test-long test-all test-versions lint docs

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

train: $(VENV)/.installed
	$(BIN)/python scripts/train.py --latent_dim 20

# Two processes, since most tests keep one core busy; each test runs in one of them.
PYTEST := $(if $(FULL),KERAS_VAE_FULL_TESTS=1 )$(BIN)/python -m pytest -q --durations=10 \
	-p tests.side_by_side

test: $(VENV)/.installed-test
	$(PYTEST) -m 'not slow'

test-long: $(VENV)/.installed-test
	$(PYTEST) -m slow

test-all: $(VENV)/.installed-test
	$(PYTEST)

# In environments of its own, .versions/.
test-versions:
	$(PYTHON) tests/versions.py $(ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/.installed: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) $(FITS) || { \
		echo "Python 3.11, 3.12 or 3.13 is needed: install one, or name it with PYTHON="; \
		exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements.txt into $(VENV): about 1 GB, some minutes"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing what the documentation needs into $(VENV)"
	@$(PIP) -e '.[docs]'
	@touch $@
