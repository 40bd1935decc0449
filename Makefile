# Each target sets up what it needs; `make bench TASK=beat` on a fresh clone is enough.

PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TASK ?= beat

.PHONY: setup bench report test lint regression leaderboard docs clean

setup: $(READY)

$(READY): requirements.lock requirements-no-deps.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 with venv is needed; install it or name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-no-deps.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $@

bench: $(READY)
	$(BIN)/motionbeat bench --task $(TASK) $(if $(DATASET),--dataset $(DATASET)) \
		$(if $(ENCODER),--encoder $(ENCODER)) $(if $(SEEDS),--seeds $(SEEDS))

report: $(READY)
	$(BIN)/motionbeat report --open

test: $(READY)
	OMP_NUM_THREADS=1 LOKY_MAX_CPU_COUNT=1 $(BIN)/python -m pytest -n auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

regression: $(READY)
	$(BIN)/motionbeat regression

leaderboard: $(READY)
	$(BIN)/motionbeat leaderboard
	$(BIN)/python -m motionbeat.benchmarks.results_page
	$(BIN)/python -m scripts.protocol_pictures

docs: $(READY) # not --quiet, which would hide the warnings from --strict
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .cache build site *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
