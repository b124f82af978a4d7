# `make run` starts the server and `make test` runs every check, on a fresh clone with nothing but Python 3.11+.
# Other commands: see `make help`.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Much of the suite waits for processes and deadlines, so more of it runs at once than there are cores.
JOBS ?= 4
FLOORED := tests/billing tests/catalog tests/wire
COVERED := src/hypereal/billing/*,src/hypereal/wire/*,src/hypereal/catalog/*

.DEFAULT_GOAL := help
.PHONY: help run test check bench clean runtime dev

help: ## Show the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: runtime ## Start the server: make run ARGS="--port 9000"
	@exec $(BIN)/python -m hypereal serve $(ARGS)

test: check ## All checks and tests, with the coverage floors
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --cov --cov-report= $(FLOORED)
	$(BIN)/coverage report --include='$(COVERED)' --skip-covered --show-missing --fail-under=100
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope $(addprefix --ignore=,$(FLOORED)) $(ARGS)

check: dev ## Formatting, lint, types and layers: everything that needs no server
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: dev ## Compare with other gateways, pinned to cores: make bench ARGS="--quick"
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove what was installed and generated; the server's data (.hypereal) stays
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	rm -rf tests/sdk/js/node_modules tests/clients/node/node_modules
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@$(PYTHON) scripts/environment runtime

dev:
	@$(PYTHON) scripts/environment dev
