# One .venv serves run, tests and benches; every target sets it up first, which takes no time when nothing changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
UV := $(BIN)/uv --no-python-downloads
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$python"; break; }; done)

RUN_ARGS ?= --config config.toml
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH ?= quick
BENCH_ARGS ?=
CYCLES ?= 20
SEED ?= 1

BENCHES := $(filter-out bench/fake_%.py,$(shell grep -l '^if __name__' bench/*.py))

.PHONY: help setup run demo test test-second lint locks-agree unit bench chaos lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' Makefile

# --- set-up ------------------------------------------------------------------

setup: $(READY) ## make .venv, with every dependency at its locked hash

$(BIN)/python:
	@[[ -n "$(PYTHON)" ]] || { echo "spotd needs Python 3.11 or newer with its venv module: install it, or name it with make PYTHON=…" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

$(READY): $(BIN)/python pyproject.toml requirements/bootstrap.txt requirements/build.txt requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt --require-build-hashes --editable .
	@touch $@

# --- use ---------------------------------------------------------------------

run: setup ## run the daemon in the foreground (RUN_ARGS="--config F")
	$(BIN)/spotd run $(RUN_ARGS)

demo: setup ## run the daemon on a simulated AWS, no account needed (DEMO_ARGS="--port N --state-dir D")
	$(BIN)/spotd demo $(DEMO_ARGS)

# --- proof -------------------------------------------------------------------

test: setup ## run the tests (TEST_ARGS="-k name")
	$(BIN)/pytest -n 2 --dist worksteal -m "not second_stage" $(TEST_ARGS)

test-second: setup ## run the long, seeded tests
	$(BIN)/pytest -m second_stage $(TEST_ARGS)

lint: setup locks-agree ## check style, types, import contracts and locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy bench
	$(BIN)/lint-imports

unit: ## check the systemd unit (needs systemd-analyze)
	systemd-analyze security --offline=true --threshold=12 --no-pager deploy/spotd.service

bench: setup ## measure (BENCH=quick|full); exits 1 if a target does not hold
	@held=0; for bench in $(BENCHES); do $(BIN)/python $$bench $(if $(filter quick,$(BENCH)),--quick) $(BENCH_ARGS) || held=1; done; exit $$held

chaos: setup ## kill -9 the daemon at seeded moments (CYCLES=20 SEED=1)
	SPOTD_CHAOS_CYCLES=$(CYCLES) SPOTD_CHAOS_SEED=$(SEED) $(BIN)/pytest -m second_stage tests/chaos $(TEST_ARGS)

# --- locks -------------------------------------------------------------------

LOCKS := requirements
COMPILE = $(UV) pip compile --quiet --python $(BIN)/python --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(LOCK_ARGS)

lock: setup ## lock again what pyproject.toml asks for (LOCK_ARGS=--upgrade for newer versions)
	$(COMPILE) pyproject.toml --output-file $(LOCKS)/base.txt >/dev/null
	$(COMPILE) pyproject.toml --all-extras --group dev --output-file $(LOCKS)/dev.txt >/dev/null
	$(COMPILE) requirements/build.in --output-file $(LOCKS)/build.txt >/dev/null
	awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' $(LOCKS)/dev.txt > $(LOCKS)/bootstrap.txt

locks-agree: setup
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; cp requirements/* "$$folder"; \
	$(MAKE) --no-print-directory --silent lock LOCKS="$$folder" LOCK_ARGS=; \
	diff -rq requirements "$$folder" || { echo "the locks are not what pyproject.toml asks for: run make lock" >&2; exit 1; }
