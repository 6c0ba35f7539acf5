# `make help` lists what there is.

VENV ?= .venv
PYTHON ?=
ARGS ?=
BIN = $(VENV)/bin
WORKERS ?= 2
OUT ?= dist

export WATCHWORD_VECTORS ?= $(abspath ../shared/vectors/wycheproof)

.DEFAULT_GOAL := help
.PHONY: help install dev demo test lint types contracts unit bench bench-deps soak interop interop-deps system-deps test-pythons requirements licences sbom audit release clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

install:  ## an isolated environment with the package and all its extras, by hash
	@PYTHON="$(PYTHON)" sh scripts/environment.sh "$(VENV)" demo

dev:  ## the same with everything that tests and benchmarks need
	@PYTHON="$(PYTHON)" sh scripts/environment.sh "$(VENV)" dev

demo: install  ## the whole story in real processes; ARGS=--once exits after it
	@exec $(BIN)/watchword demo $(ARGS)

test: dev lint types contracts  ## everything: lint, types, import contracts, docs and tests
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup $(ARGS)

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "watchword: expected formatted files; run: $(BIN)/ruff format ." >&2; exit 1; }

types:
	@$(BIN)/mypy

contracts:
	@$(BIN)/lint-imports --no-cache

unit: dev  ## only the unit tests, without processes and stories
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup tests/tokens tests/keys tests/trust tests/grants tests/authority tests/resource tests/client tests/service $(ARGS)

bench: dev bench-deps  ## side by side with named peers: ratios of medians from interleaved runs
	@$(BIN)/python -m benchmarks $(ARGS)

bench-deps:  ## the peers that benchmarks stand beside: npm packages, Python packages in an environment of their own
	@VENV="$(VENV)" sh scripts/bench-deps.sh

soak: dev  ## the long forms of the hunts that `make test` does briefly
	@WATCHWORD_SOAK=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadgroup $(ARGS)

interop: dev interop-deps  ## our tokens at gateways, in other languages and tools, configured as docs/how-to says
	@$(BIN)/python -m pytest interop -q -n $(WORKERS) --dist loadfile $(ARGS)

interop-deps:  ## those gateways and tools: Debian packages (as root), npm packages, OpenBao, Envoy, Go modules, a jar
	@VENV="$(VENV)" sh scripts/interop-deps.sh

system-deps:  ## what needs the system's package manager (as root); nothing else here does
	@sh scripts/system-deps.sh

test-pythons:  ## the unit tests on each CPython 3.11-3.13 that this machine has
	@sh scripts/each-python.sh

requirements:  ## pin the newest dependencies that pyproject.toml allows
	@sh scripts/lock.sh

licences: dev  ## what each extra brings, with versions and licences
	@$(BIN)/python scripts/dependencies.py licences

sbom: dev  ## a bill of materials of the package with every extra, CycloneDX 1.6
	@$(BIN)/python scripts/dependencies.py sbom

audit:  ## the pinned dependencies against a database of known vulnerabilities; needs the network
	@PYTHON="$(PYTHON)" sh scripts/audit.sh "$(VENV)-audit"

release: dev  ## wheel, sdist, bill of materials and checksums of the last commit, into OUT
	@sh scripts/release.sh "$(VENV)" "$(OUT)"

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
