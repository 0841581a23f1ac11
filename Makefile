# Everything is done by two commands: `make demo` and `make test`. Each installs what it needs into environments of its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COLAB := .venv-colab
BARE := .venv-bare
WORKERS ?= auto
PYTEST := -m pytest -n $(WORKERS) --dist loadfile

.PHONY: demo test test-fast test-colab test-bare readme lab lint format bench clean help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml scripts/make_environment.sh
	sh scripts/make_environment.sh $(PYTHON) $(VENV) -e '.[dev,bench]'
	@$(BIN)/python -m pip install --quiet -e '.[memory]' 2>/dev/null \
		|| echo "ultradict cannot be built without a C compiler: its tests will be skipped"
	touch $@

$(VENV)/lab: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e '.[lab]'
	touch $@

## make demo: run README.ipynb from an empty cache, then again in a new kernel, and print what the second run saved
demo: $(VENV)/installed
	$(BIN)/python scripts/demo.py

## make test: install, lint, run all tests, those with Colab's versions, and README.ipynb
test: lint
	@sh scripts/make_colab.sh $(COLAB)
	@sh scripts/make_servers.sh
	$(BIN)/python $(PYTEST)
	@$(MAKE) --no-print-directory test-colab
	@$(MAKE) --no-print-directory test-bare
	@$(MAKE) --no-print-directory readme

## make test-fast: the tests without kernels and servers
test-fast: $(VENV)/installed
	$(BIN)/python $(PYTEST) -m "not slow and not browser and not server"

# Where the versions of Python, IPython and pandas matter; engines and policies do not see them.
COLAB_TESTS := $(addprefix tests/,cells magics serializers fingerprint functions golden stash test_keys.py test_keys_of_every_kind.py)

test-colab: $(VENV)/installed
	@if [ -x $(COLAB)/bin/python ]; then \
		$(COLAB)/bin/python $(PYTEST) -q -m "not slow and not browser and not server" $(COLAB_TESTS); \
	else echo "the tests with Colab's versions are skipped: no Python 3.13 was found"; fi

$(BARE)/installed: pyproject.toml scripts/make_environment.sh
	sh scripts/make_environment.sh $(PYTHON) $(BARE) pytest pytest-timeout pytest-xdist hypothesis -e .
	touch $@

## make test-bare: the tests in an environment without any optional package
test-bare: $(BARE)/installed
	$(BARE)/bin/python $(PYTEST) -q

readme: $(VENV)/installed
	$(BIN)/python scripts/check_readme.py

## make lab: open JupyterLab on the README
lab: $(VENV)/lab
	$(BIN)/python -m jupyterlab README.ipynb

## make lint: ruff and mypy --strict
lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## make bench: speed against raw lmdb, diskcache and joblib, as ratios within one run; then serializers and engines side by side
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.serializers
	$(BIN)/python -m benchmarks.engines

## make clean: remove environments and caches of the tools
clean:
	rm -rf $(VENV) $(COLAB) $(BARE) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
