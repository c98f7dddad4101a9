# `make help` lists what there is. Everything runs in `.venv`, which `make bootstrap` makes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many processes share the tests; 0 is this one alone, which is what a debugger wants. Many of
# the tests wait for other processes, so that two for each core are not too many.
WORKERS ?= 4
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs
BROWSER := $(VENV)/.browser
CHROMIUM = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# Tests and benchmarks start processes by the hundred, and without it each compiles all of ours again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: bootstrap
bootstrap: $(STAMP)  ## Make the virtual environment and install everything into it

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: bootstrap  ## Run the main job: audit the distributions that are really installed
	@$(BIN)/python -m examples.dependency_audit

.PHONY: test
test: bootstrap lint typecheck generate-check docs browser  ## Run every check and every test
	@export TMPDIR="$$($(BIN)/python -m tests.scratch)" && \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: test-lowest
test-lowest: bootstrap  ## Test the client wing on the oldest dependencies that are allowed
	@$(BIN)/python -m tests.lowest

.PHONY: lint
lint: bootstrap  ## Run ruff and hold the floors of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@PYTHONPATH=src $(BIN)/lint-imports --no-cache pyproject.toml > .lint-imports.log || (cat .lint-imports.log; exit 1)
	@rm -f .lint-imports.log

.PHONY: typecheck
typecheck: bootstrap  ## Run mypy --strict, and a second checker over what users see
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q --no-header -p no:cacheprovider tests/typing

.PHONY: generate
generate: bootstrap  ## Write anew what is generated from api/ and from the server
	@$(BIN)/python -m codegen
	@$(BIN)/python -m tests.docs.not_served
	@$(BIN)/python -m tests.docs.figures
	@PYTHONPATH=src $(BIN)/python -m tests.docs.cli_reference

.PHONY: generate-check
generate-check: bootstrap  ## Fail when `make generate` would change anything
	@$(BIN)/python -m codegen --check

.PHONY: docs
docs: $(DOCS)  ## Build the documentation into `site/`; a link that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# What only the documentation needs is installed when it is built for the first time.
$(DOCS): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

.PHONY: browser
browser: $(BROWSER)  ## Bring what the tests of the dashboard in a real browser need, where that may be done
	@test -n "$(CHROMIUM)" || $(MAKE) -s chromium || \
		echo "left out: tests of the dashboard in a browser (no Chromium, and it could not be installed)"

$(BROWSER): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@touch $@

# Only who may install packages of the system does; nobody is asked for a password.
.PHONY: chromium
chromium:
	@test "$$(id -u)" = 0 && command -v apt-get >/dev/null
	@apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 || \
		(apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1

.PHONY: screenshots
screenshots: browser  ## Take the pictures of the dashboard that the documentation shows
	@cd tests && PYTHONPATH=../src:. ../$(BIN)/python -m browser.screenshots

.PHONY: bench
bench: bootstrap  ## Measure, and print the ratios that docs/benchmarks.md shows
	@$(BIN)/python -m benchmarks

.PHONY: bench-million
bench-million: bootstrap  ## Measure a platform with a million runs beside an empty one
	@$(BIN)/python -m benchmarks.million

.PHONY: soak
soak: bootstrap  ## Kill the platform again and again under load, count what was lost, and run twenty proofs
	@$(BIN)/python -m benchmarks.soak
	@$(BIN)/python -m benchmarks.proofs

.PHONY: faults
faults: bootstrap  ## Make 50,000 calls, break a fifth of them, and count what they did
	@$(BIN)/python -m tests.faults

.PHONY: simulate
simulate: bootstrap  ## Simulate ten thousand lives of a platform, with crashes and clocks that are set
	@cd tests && PYTHONPATH=../src:. ../$(BIN)/python -m simulation
	@cd tests && PYTHONPATH=../src:. ../$(BIN)/python -m simulation --stories days
	@cd tests && PYTHONPATH=../src:. ../$(BIN)/python -m simulation --stories terms

.PHONY: fuzz
fuzz: bootstrap  ## Send 100,000 odd requests to a server, and hold every answer against the description
	@cd tests && PYTHONPATH=../src:. ../$(BIN)/python -m fuzz

.PHONY: run-all
run-all: lint typecheck test  ## Lint, typecheck and test

.PHONY: clean
clean:  ## Remove what was built, and the virtual environment
	@rm -rf $(VENV) .venv-lowest .bench dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis
