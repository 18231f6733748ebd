# Everything a developer does with Mainstay; `make` alone lists it.
PYTHON := .venv/bin/python
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run demo split up down test test-compose soak bench check docs lock clean runtime development

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: runtime ## Run the whole company in one process on SQLite
	@exec $(PYTHON) -m deploy.cli run

demo: runtime ## Play the demonstration; URL=… plays it against a running Mainstay
	@exec $(PYTHON) -m deploy.cli demo $(if $(URL),--url $(URL))

split: runtime ## Run every service as a process of its own
	@exec $(PYTHON) -m deploy.cli split

COMPOSE := deploy/compose/mainstay.sh $(if $(PRODUCTION),--production)
up: ## Bring everything up under Docker Compose; PRODUCTION=1: with three brokers, TLS and your own identity provider
	@exec $(COMPOSE) up

down: ## Stop what `make up` started; its data stays
	@exec $(COMPOSE) down

# Three processes, as many tests wait; a file's tests stay together, so that each process has servers of its own and shares them.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder
test: development ## Run the tests; ARGS=… goes to pytest, MAINSTAY_REQUIRE=postgres,kafka,restic,faketime,kustomize,promtool insists on real servers
	@exec $(PYTHON) -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-compose: development ## Play the company under Docker Compose while its containers die; ARGS='--only production'
	@exec $(PYTHON) -m tests.compose $(ARGS)

soak: development ## Simulate two thousand customers for ten years; ARGS='--seed N' for another life; after an hour of faults
	@$(PYTHON) -m tests.faults --minutes $(or $(MINUTES),60) && $(PYTHON) -m tests.faults.away_for_long
	@exec $(PYTHON) -m tests.simulation --customers 2000 --years 10 $(ARGS)

bench: development ## Measure how fast it is, each path beside its floor; ARGS='--quick', or names of rows
	@exec $(PYTHON) -m tests.performance $(ARGS)

check: development ## Check style, types, the direction of imports, and the dependencies for known vulnerabilities
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m tests.dependencies

docs: development ## Write the generated documents
	@exec $(PYTHON) -m deploy.cli docs write

LOCK := .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
lock: development ## Pin the dependencies of pyproject.toml with their hashes
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean: ## Remove what was installed and cached; your data in .data stays
	rm -rf .venv .infrastructure .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime development:
	@deploy/bootstrap.sh $@
