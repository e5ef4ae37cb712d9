# Every target sets up what it needs: on a fresh machine with Python 3.11, git, make, and root for
# apt, `make demo` runs the main job and `make test` passes the tests.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo desk test check bench soak screenshots clean

demo: $(READY)
	$(BIN)/python -m rhdesk.demo

desk: $(READY)
	$(BIN)/rhdesk

test: $(READY) check
	./tests/install_system_packages.sh
	$(BIN)/pytest -q -n 2 -m "not ray"
	$(BIN)/pytest -q -m ray

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

# Half a million schedules of the sync protocol, on every processor.
soak: $(READY)
	$(BIN)/python -m tests.simulation.soak --seeds 500000

screenshots: $(READY)
	$(BIN)/python screenshots/draw.py

# constraints.txt pins every package with its hash; nothing else is installed.
$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' constraints.txt)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
