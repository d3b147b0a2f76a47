# Every target sets up .venv by itself from the hash-locked requirements; Python 3.11 or newer and make are all it asks for.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet

.DEFAULT_GOAL := help
# The demo and the deployments each go on where the test before stopped: a group stays together.
SUITE := $(BIN)/pytest --numprocesses 2 --dist loadgroup

.PHONY: help demo test coverage reliability lint lock clean

help:
	@echo "make demo   the whole story on this machine: org emulator, SQLite warehouse, one run"
	@echo "make test   lint, types and the whole suite: SQLite and a real PostgreSQL, the emulator over HTTP"
	@echo "make coverage   the same suite, with the branches it runs counted (a third slower)"
	@echo "make reliability   every boundary of a run, killed, frozen and spoiled; planted bugs; an hour or two"
	@echo "make lint   ruff, mypy, sqlfluff"
	@echo "make lock   resolves the requirements anew (needs uv)"

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Person Sync needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo"; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/use: requirements.txt pyproject.toml | .venv/made
	@echo "setting up .venv (about a minute, once)" >&2
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.txt .venv/use
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

demo: .venv/use
	@$(BIN)/person-sync demo

lint: .venv/development
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/sqlfluff lint --disable-progress-bar sql

test: .venv/development lint
	@$(SUITE)

coverage: .venv/development
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m $(SUITE:$(BIN)/%=%)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

reliability: .venv/development
	@$(BIN)/python -m tests.reliability $(RELIABILITY)
	@$(BIN)/python -m tests.reliability.crowd_killed

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --group build --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv .demo
