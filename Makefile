# Needs Python >= 3.11 and make; `make install` installs everything else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Ignore the Python settings of the user's environment.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help install demo run test test-deep unit templates system check docs format lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## create the virtual environment, with Node.js and the CDK command line

$(VENV)/.installed: requirements.txt pyproject.toml package.json package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Daybook needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Use another one: make PYTHON=/path/to/python3.13 ..."; exit 1; }
	@echo "Installing into $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.txt)"
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.txt
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/npm ci --loglevel error --no-audit --no-fund --no-update-notifier
	@touch $@

demo: install  ## start the whole system on this machine, send sample events, show the trace of each; one business only: make demo BUSINESS=shop
	@$(BIN)/python -m daybook.local demo $(if $(BUSINESS),--business "$(BUSINESS)")

include $(wildcard */targets.mk)  # of bench and chaos

PORT ?= 4566
run: install  ## run the system on this machine until Ctrl-C (PORT=4566)
	@$(BIN)/python -m daybook.local run --port $(PORT)

# One worker more than two cores, because tests of the deployed system wait a lot. SEED=n sets a random order.
# Deep tests wait less: chaos and soak keep a core busy.
JOBS ?= 3
PYTEST = $(BIN)/python -m pytest $(if $(FILE),,-n $(JOBS) --no-loadscope-reorder) \
	$(if $(SEED),-p randomly --randomly-seed=$(SEED)) --durations=20 --durations-min=0

test: install  ## test every guarantee, in 9 to 14 minutes; one file: make test FILE=tests/unit/test_work.py; random order: SEED=1
	@$(PYTEST) $(or $(FILE),tests --ignore tests/deep)

test-deep: JOBS = 2
test-deep: install  ## long tests: kills at every AWS call, chaos, fuzz, soak, all permissions, many random examples
	@$(PYTEST) $(or $(FILE),tests/deep)
	@$(if $(FILE),,$(PYTEST) tests/unit -m hypothesis --hypothesis-profile deep)

unit: install  ## tests of single functions and of daybook's own code
	@$(PYTEST) tests/unit

templates: install  ## tests of the CloudFormation templates
	@$(PYTEST) tests/templates

system: install  ## tests of the deployed system, on MiniStack
	@$(PYTEST) tests/deployed tests/faults

check: install  ## format, lint, types, import rules, and the words of the glossary
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tools.language

docs: install  ## build the docs as a site with search, in build/site; fails on a broken link
	@$(BIN)/python -m tools.pages
	@$(BIN)/zensical build --clean --strict

format: install  ## format the code and apply the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# A service's own layer omits the packages of the layer that all functions share.
LOCK_LAYER = $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --python-version 3.13 --python-platform aarch64-unknown-linux-gnu --custom-compile-command "make lock" -c requirements.txt

lock: install  ## resolve requirements*.in into the lock files
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" -o requirements.txt requirements.in $(wildcard requirements-lambda*.in)
	@$(LOCK_LAYER) -o requirements-lambda.txt requirements-lambda.in
	@for service in $(patsubst requirements-lambda-%.in,%,$(wildcard requirements-lambda-*.in)); do \
		$(LOCK_LAYER) $$(sed -nE 's/^([a-z0-9-]+)==.*/--no-emit-package \1/p' requirements-lambda.txt) \
			-o requirements-lambda-$$service.txt requirements-lambda-$$service.in; \
	done
	@$(BIN)/npm install --silent --package-lock-only

clean:  ## remove the virtual environment and everything that was built
	rm -rf $(VENV) node_modules build .cache cdk.out .daybook .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
