# Every target sets up what it needs: on a fresh machine with Python 3.11, git, make, and root for
# apt, `make demo` runs the main job and `make test` passes the tests.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo desk test check bench soak screenshots clean

demo: $(READY)
	$(BIN)/python -m rhdesk.demo

desk: $(READY)
	$(BIN)/rhdesk

# What fails beside others is asked once more, alone: a test of real processes may meet a machine
# that is busy. What fails twice fails.
AGAIN := --last-failed --last-failed-no-failures none

test: $(READY) check
	./tests/install_system_packages.sh
	$(BIN)/pytest -q -n 2 -m "not ray" || $(BIN)/pytest -q -m "not ray" $(AGAIN)
	$(BIN)/pytest -q -m ray || $(BIN)/pytest -q -m ray $(AGAIN)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

bench: $(READY)
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.screen
	$(BIN)/python -m benchmarks.history
	$(BIN)/python -m benchmarks.names

# Half a million schedules of the sync protocol, on every processor; every fault at every durable
# call of a save; a crowd that writes for a minute.
soak: $(READY)
	RHDESK_SOAK=1 $(BIN)/pytest -q tests/integration/test_durable_calls.py tests/integration/test_names_faults.py
	$(BIN)/python -m tests.simulation.soak --seeds 500000

screenshots: $(READY)
	$(BIN)/python screenshots/draw.py

# constraints.txt pins every package with its hash; nothing else is installed. uv comes first, by
# its own lines of it, and installs the rest.
$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || $(MAKE) venv-from-apt
	sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $(READY)

# Debian keeps what `python -m venv` needs in a package of its own.
.PHONY: venv-from-apt
venv-from-apt:
	rm -rf $(VENV)
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $(notdir $(PYTHON))-venv
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
