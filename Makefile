# Everything a newcomer runs; each target makes its own .venv first.
#   make demo    the whole plant on this machine        make test    all tests, with real servers
#   make check   format, lint, types, layers, tidiness   make bench   figures   make docs   reference pages
#   make cover   branches of the modules that judge: all of them, or it fails

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EFFORT ?= default
export EFFORT

COVERING := tests/collector/verdicts \
            $(patsubst %,tests/collector/test_%.py,catalogue certified conformance_command judge meter rules_command)

.PHONY: demo test check cover bench docs clean servers
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@$(BIN)/emitwatch demo $(ARGS)

test: $(VENV)/.installed servers
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_docs.py

# One seed, so that the same branches are taken each time.
cover: $(VENV)/.installed
	$(BIN)/coverage run --rcfile=.ci/coverage.toml --data-file=$(VENV)/.coverage -m pytest -q \
	    --hypothesis-seed=0 $(COVERING)
	$(BIN)/coverage report --rcfile=.ci/coverage.toml --data-file=$(VENV)/.coverage

bench: $(VENV)/.installed
	@for name in $$($(BIN)/python -m benchmarks --list); do $(BIN)/python -m benchmarks $$name || exit 1; done

docs: $(VENV)/.installed
	$(BIN)/python docs/build.py
	$(BIN)/python -m grafana.build

# The servers the tests start: a broker, a browser, time-series databases; strace. Where they cannot be installed the tests say so.
servers:
	@tests/install_servers

# One stamp: made again when the project file changes, so that a warm start installs nothing.
$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
