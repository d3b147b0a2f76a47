# Every target sets up .venv from the hash-locked requirements; Python 3.11 or newer and make are enough.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
# The locks are complete, so nothing is left to resolve: pip 23.2, which comes with Python 3.11, took the
# newest release for `coverage[toml]` in place of the locked one, and then failed because it had no hash.
LOCKED := install --require-hashes --no-deps

.DEFAULT_GOAL := help
# One more than the two cores the suite is measured on: tests wait for servers a quarter of their time.
WORKERS ?= 3
SUITE := $(BIN)/pytest --numprocesses $(WORKERS)
TARGETS := demo test coverage test-slow test-oracle test-model test-crash bench bench-emulator lint lock clean

.PHONY: help types sql-style $(TARGETS)

# What stands after ## at a target is its help.
help:
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r target text; do printf 'make %-15s %s\n' "$$target" "$$text"; done

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

demo: .venv/use  ## everything on this machine: org emulator, SQLite warehouse, one run by Prefect
	@$(BIN)/person-sync demo --prefect

test: .venv/development lint  ## lint, types and the suite: SQLite and a real PostgreSQL, the emulator over HTTP
	@$(SUITE) -m "not slow"

coverage: .venv/development  ## the whole suite, counting the branches it runs (a third slower)
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m $(SUITE:$(BIN)/%=%)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

test-slow: .venv/development  ## the tests that make test leaves out for their length
	@$(SUITE) -m slow

test-oracle: .venv/development  ## a million persons, each compared with a slow and obvious reference (ORACLE=--help)
	@$(BIN)/python -m tests.oracle $(ORACLE)

test-model: .venv/development  ## every schedule of the delivery protocol within 2 faults and 3 preemptions (3 minutes)
	@$(BIN)/python -m tests.crash.model.long_run

test-crash: .venv/development  ## kill, freeze and disturb a run at every boundary; mutants; under two hours (CRASH=--help)
	@$(BIN)/python -m tests.crash $(CRASH)
	@$(BIN)/python -m tests.crash.kill_many --engine sqlite
	@$(BIN)/python -m tests.crash.kill_many --engine postgres

# matplotlib draws the chart; the measurements stay in .bench/ for a later BENCH="--compare FILE".
bench: .venv/development  ## our speed compared with the floor and a naive script, in 15 minutes (BENCH=--help)
	@mkdir -p .bench
	@$(BIN)/python -m tests.benchmarks --json .bench/bench.json --chart .bench/bench.png $(BENCH)

bench-emulator: .venv/use  ## how many Leads a second the org emulator takes (RATE='--runs 9 --json FILE')
	@$(BIN)/python -m tests.benchmarks.emulator_rate $(RATE)

lint: .venv/development  ## ruff, mypy, sqlfluff
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types sql-style

# Each takes one core for half a minute, so lint runs them side by side.
types:
	@$(BIN)/mypy

sql-style:
	@$(BIN)/sqlfluff lint --disable-progress-bar sql

lock:  ## resolve the requirements again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build --group dev --extra dask -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:  ## remove .venv and what demo and bench left
	rm -rf .venv .demo .bench
