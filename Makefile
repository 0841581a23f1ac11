# Everything is done by two commands: `make demo` and `make test`. Each installs what it needs into environments of its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COLAB := .venv-colab
BARE := .venv-bare
PYTEST := scripts/run_tests.py
MAIN := not heavy
# Of the other environments' tests: those that see neither values nor packages run once, in the main one.
ONCE_ONLY := not heavy and not once

.PHONY: demo test test-all test-main others test-fast test-colab test-bare readme environments colab system-packages torture soak lab lint format bench clean help

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

## make test: install, lint, run the tests, those with Colab's versions and without any optional package, and README.ipynb
test: $(VENV)/installed
	@$(MAKE) --no-print-directory --jobs 4 --output-sync=target lint environments
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-main others

# With a "+", make shows what this says while it runs.
test-main: $(VENV)/installed
	+$(BIN)/python $(PYTEST) main -m "$(MAIN)"

# Beside the main tests, which often wait for processes: one after the other, each told when it is done. They wait for little, so
# that workers would add no more than what they cost: each collects the tests, and tells another process of each.
others: export WORKERS ?= 0
others: $(VENV)/installed
	@failed=0; for one in test-bare test-colab readme; do $(MAKE) --no-print-directory $$one || failed=1; done; exit $$failed

## make test-all: with what repeats it: full sizes, all wrappers on all engines, all scenarios in kernels started anew, other environments in full
test-all:
	ON_DISK=1 HASHSTASH_ALL_SCENARIOS=1 $(MAKE) --no-print-directory test MAIN="" ONCE_ONLY="not browser and not server"

## make test-fast: the tests without kernels and servers
test-fast: $(VENV)/installed
	$(BIN)/python $(PYTEST) fast -m "not slow and not browser and not server and not heavy"

environments: colab $(BARE)/installed system-packages

colab:
	@sh scripts/make_colab.sh $(COLAB)

system-packages:
	@sh scripts/make_servers.sh
	@sh scripts/make_browser.sh

# Where the versions of Python, IPython and pandas matter; engines, policies and settings do not see them. What the processes of
# every Python write and find (tests/portable, test_keys.py) is seen from the main environment.
COLAB_TESTS := $(addprefix tests/,cells display magics serializers fingerprint golden frames stash/test_mapping.py \
	test_keys_of_every_kind.py \
	$(addprefix functions/test_,arguments.py calls.py kinds.py modules.py travel.py validity.py) \
	$(addprefix profiling/test_,frame.py measured.py))
NOT_IN_COLAB := $(addprefix --ignore=tests/display/test_,browser_model.py cards_of_broken_stashes.py progress_terminal.py)
# What sees no optional package, and behaves as in the main environment, where Python is the same.
NOT_IN_BARE := $(addprefix --ignore=tests/,policies command_line fuzz portable test_data_or_code.py test_keys.py \
	test_keys_of_every_kind.py test_trust.py test_loose.py test_large_values.py \
	$(addprefix serializers/test_,graph_bounds.py graph_cycles.py graph_processes.py) \
	$(addprefix stash/test_,append.py archive.py archive_hostile.py entries.py settings_roundtrip.py upkeep.py versions.py) \
	$(addprefix functions/test_,arguments.py async.py errors.py explain.py options.py single_flight.py validity.py) \
	$(addprefix mapping/test_,concurrency.py failure.py inputs.py interrupts.py map_kinds.py map_options.py whole.py))
ifeq ($(MAIN),)
COLAB_STASH := $(addprefix stash/test_,mapping.py entries.py batches.py archive.py metadata.py)
COLAB_TESTS := $(addprefix tests/,cells display magics serializers fingerprint functions golden $(COLAB_STASH) frames profiling \
	test_keys.py test_keys_of_every_kind.py)
NOT_IN_COLAB :=
NOT_IN_BARE :=
endif

test-colab: $(VENV)/installed
	@if [ -x $(COLAB)/bin/python ]; then \
		$(COLAB)/bin/python $(PYTEST) colab -q -m "not slow and not browser and not server and ($(ONCE_ONLY))" $(COLAB_TESTS) $(NOT_IN_COLAB); \
	else echo "the tests with Colab's versions are skipped: no Python 3.13 was found"; fi

$(BARE)/installed: pyproject.toml scripts/make_environment.sh
	sh scripts/make_environment.sh $(PYTHON) $(BARE) pytest pytest-timeout pytest-xdist hypothesis -e .
	touch $@

## make test-bare: the tests in an environment without any optional package, with their folders on a disk
test-bare: $(BARE)/installed
	ON_DISK=1 $(BARE)/bin/python $(PYTEST) bare -q -m "$(ONCE_ONLY)" $(NOT_IN_BARE)

readme: $(VENV)/installed
	$(BIN)/python scripts/check_readme.py

## make torture: faults, kills, races, damaged bytes and hostile stores on every engine, a line for each (ARGS="--check kill9 --engine lmdb")
torture: $(VENV)/installed
	cd tests && ../$(BIN)/python -m torture $(ARGS)

## make soak: ten minutes of work by four processes; nothing may grow or be left behind (ARGS="--minutes 3 --engine pairtree sqlite")
soak: $(VENV)/installed
	cd tests && ../$(BIN)/python -m torture.soak $(ARGS)

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

## make bench: speed against raw lmdb, diskcache, joblib and others, as ratios within one run; then maps, cells, serializers, engines, checks
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.maps
	$(BIN)/python -m benchmarks.cells
	$(BIN)/python -m benchmarks.serializers
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.safety

## make clean: remove environments and caches of the tools
clean:
	rm -rf $(VENV) $(COLAB) $(BARE) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
