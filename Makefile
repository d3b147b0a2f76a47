# Every target sets up .venv by itself from the hash-locked requirements; Python 3.11 or newer and make are all it asks for.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
# The locks are whole, so nothing is left to resolve: pip 23.2, which comes with Python 3.11, took the newest
# release for `coverage[toml]` in place of the locked one, and then refused it for having no hash.
LOCKED := install --require-hashes --no-deps

.DEFAULT_GOAL := help
SUITE := $(BIN)/pytest --numprocesses 2

.PHONY: help demo test long coverage reliability reference model bench bench-emulator lint lock clean

help:
	@echo "make demo   everything on this machine: org emulator, SQLite warehouse, one run by Prefect"
	@echo "make test   lint, types and the whole suite: SQLite and a real PostgreSQL, the emulator over HTTP"
	@echo "make long   the tests that make test leaves out for their length: workers killed, a cluster that is away"
	@echo "make coverage   the same suite, with the branches it runs counted (a third slower)"
	@echo "make reliability   every boundary of a run, killed, frozen and spoiled; planted bugs; under two hours (RELIABILITY=--help)"
	@echo "make bench   our speed beside the floor's and a naive script's, in 15 minutes; BENCH=--help for more"
	@echo "make reference   a million persons, each held against a slow and obvious reference (REFERENCE=--help)"
	@echo "make model   every schedule of the delivery protocol within 2 faults and 3 preemptions (3 minutes)"
	@echo "make lint   ruff, mypy, sqlfluff"
	@echo "make bench-emulator   how many Leads a second the org emulator takes (RATE='--runs 9 --json FILE')"
	@echo "make lock   resolves the requirements anew (needs uv)"

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Person Sync needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo"; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/use: requirements.txt pyproject.toml | .venv/made
	@echo "setting up .venv (about a minute, once)" >&2
	@$(PIP) $(LOCKED) -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.txt .venv/use
	@$(PIP) $(LOCKED) -r requirements-dev.txt
	@touch $@

demo: .venv/use
	@$(BIN)/person-sync demo --prefect

lint: .venv/development
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/sqlfluff lint --disable-progress-bar sql

test: .venv/development lint
	@$(SUITE) -m "not long"

long: .venv/development
	@$(SUITE) -m long

coverage: .venv/development
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m $(SUITE:$(BIN)/%=%)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

reliability: .venv/development
	@$(BIN)/python -m tests.crash $(RELIABILITY)
	@$(BIN)/python -m tests.crash.kill_many --engine sqlite
	@$(BIN)/python -m tests.crash.kill_many --engine postgres

# matplotlib draws the chart; what was measured stays in .bench/ for a later BENCH="--compare FILE".
bench: .venv/development
	@mkdir -p .bench
	@$(BIN)/python -m tests.benchmarks --json .bench/bench.json --chart .bench/bench.png $(BENCH)

bench-emulator: .venv/use
	@$(BIN)/python -m tests.benchmarks.emulator_rate $(RATE)

reference: .venv/development
	@$(BIN)/python -m tests.oracle $(REFERENCE)

model: .venv/development
	@$(BIN)/python -m tests.crash.model.long_run

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build --group dev --extra dask -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv .demo .bench
