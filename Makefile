# Everything sets itself up: `make demo` and `make test` need a fresh clone, Python 3.11 or newer, and make.

VENV := .venv
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready

# The first interpreter that is new enough; PYTHON=/path/to/python chooses another.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c "$(NEW_ENOUGH)" 2>/dev/null && { command -v "$$python"; break; }; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint format bench bench-peers bench-restore performance crash crash-backups tamper constraints clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: $(READY) ## an environment in .venv with everything; again only when pyproject.toml or constraints.txt change

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c "$(NEW_ENOUGH)" || { \
		echo "Python 3.11 or newer with its venv module is needed: install one, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(RUN) pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cli,dev]'
	@touch $@

demo: setup ## a simulated engine on a fresh log, about 20 seconds; DEMO="--seed 7" passes options on
	@$(VENV)/bin/byjy demo $(DEMO)

test: setup ## all tests, on SQLite and PostgreSQL; TEST="-k name" passes options on
	$(RUN) pytest $(TEST)

lint: setup ## style, types, and which package may import which
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

format: setup ## what ruff can mend by itself
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: setup ## how fast, as a table
	$(RUN) benchmarks $(BENCH)

bench-peers: setup ## the same workload through eventsourcing and eventsource-py, side by side with ours
	$(RUN) benchmarks.peers $(BENCH)

bench-restore: setup ## seconds to restore a million events, and how long an append waits for a backup; some minutes
	$(RUN) benchmarks backup restore $(BENCH)

performance: setup ## every benchmark, ours and the peers', and docs/performance.md of what they found; an hour
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plots]'
	-$(RUN) benchmarks $(BENCH)
	-$(RUN) benchmarks.peers
	$(RUN) benchmarks.page

crash: setup ## 5,000 kills of a process that appends, 5,000 of one that projects, and 500 of one that rebuilds; takes a while
	$(RUN) tests.crash.campaign --kills 5000 $(CRASH)
	$(RUN) tests.crash_projector.campaign --kills 5000 $(CRASH)
	$(RUN) tests.crash_rebuild.campaign --kills 500 $(CRASH)

crash-backups: setup ## 2,000 kills of backups, restores and migrations, full disks (as root), 500 damaged backups; takes a while
	$(RUN) tests.crash_backup.campaign --kills 2000 --damages 500 $(CRASH)

tamper: setup ## 10,000 tamperings with a sealed log, on both databases: each has to be found, and where
	$(RUN) tests.tamper.campaign --count 10000 $(TAMPER)

constraints: ## constraints.txt anew: the newest version of everything, in a fresh environment
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -e '.[cli,dev,plots]' hatchling editables
	{ sed '/^[^#]/,$$d' constraints.txt; $(RUN) pip freeze --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
