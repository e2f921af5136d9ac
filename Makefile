# Everything a checkout needs. `make setup` makes .venv and is a no-op while pyproject.toml stays as it is.
#   PYTHON=python3.12      the interpreter that makes the environment
#   TORCH=torch==2.13.0    which torch to install; empty leaves training (and its tests) out
#   JOBS=2                 test processes
# pip's own settings (pip.conf, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS) are honoured; docs/install.md tells
# how they choose the small CPU build of torch.

SHELL  := /bin/bash
comma  := ,
PYTHON ?= python3
TORCH  ?= torch==2.13.0
JOBS   ?= 2
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := dev,web,vision,worlds$(if $(strip $(TORCH)),$(comma)train)
STAMP   = $(VENV)/.ready-$(shell { cat pyproject.toml; echo '$(TORCH)' '$(CURDIR)'; } | cksum | cut -d' ' -f1)

.PHONY: setup system demo test test-long bench docs lint format clean help
.DEFAULT_GOAL := help

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) system ## make .venv with everything that the tests need

# The stamp's name holds a hash of what decides the installation, so that a change of any of it installs again.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH) -e ".[$(EXTRAS)]"
	@rm -f $(VENV)/.ready-* && touch $@

system:
	@bash scripts/system_packages.sh

demo: setup ## the whole loop offline, with the embedded model
	$(BIN)/tilth demo

lint: setup ## ruff, mypy and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup lint ## lint, then the suite without what is marked long
	$(BIN)/pytest -n $(JOBS) --dist loadfile

test-long: setup ## what takes minutes
	$(BIN)/pytest -m long

bench: setup ## every figure that the documents quote
	@set -e; for file in $$(grep -rl --include=*.py --exclude=client.py __main__ benchmarks | sort); do echo "== $$file"; $(BIN)/python $$file; done

docs: setup ## the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## forget the environment and everything that was built
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
