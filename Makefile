# The commands that people and CI share. uv is used where it is on PATH, else venv and pip.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
UV     := $(shell command -v uv 2>/dev/null)

# Each test starts processes: they must not compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-newest demo demo-stack test test-core test-slow test-all test-servers check format docs pictures lock bench house proof mutation \
  alert-study rules-load boards-load \
  image-test dist deploy-check manifests clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Create the virtual environment with everything for development

$(STAMP): pyproject.toml requirements-dev.lock
ifdef UV
	test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV)
	uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --editable .
else
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
endif
	touch $(STAMP)

install-newest: ## The same with the newest release of each dependency, without the lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --upgrade --editable . --group tests --group boards
	touch $(STAMP)

# What the exporter needs to run and nothing else: no package of the tests, no build.
# A pip that is there is quicker than one that must be unpacked first.
DEMO := build/demo
LOCKED := install --quiet --no-compile --no-deps --require-hashes -r requirements.lock
$(DEMO)/.installed: requirements.lock
ifdef UV
	test -x $(DEMO)/bin/python || uv venv --quiet --python $(PYTHON) $(DEMO)
	uv pip install --quiet --python $(DEMO)/bin/python --require-hashes -r requirements.lock
else
	$(PYTHON) -m venv --without-pip $(DEMO)
	$(PYTHON) -m pip --python $(DEMO)/bin/python $(LOCKED) 2>/dev/null || \
	  { $(PYTHON) -m venv $(DEMO) && $(DEMO)/bin/python -m pip $(LOCKED); }
endif
	touch $@

demo: $(DEMO)/.installed ## Simulator and exporter on loopback, nothing to set up
	@exec $(DEMO)/bin/python -m exporter demo

demo-stack: $(DEMO)/.installed ## The demo with Prometheus, Alertmanager and the rules, where installed
	@PYTHONPATH=. exec $(DEMO)/bin/python deploy/demo-stack/demo_stack.py

# More than there are cores: many tests wait. A file stays with one of them, for its fixtures.
PYTEST := pytest -q --numprocesses=3 --dist=loadfile --no-loadscope-reorder

test: $(STAMP) ## The tests with branch coverage, but for the slow ones (three minutes)
	$(BIN)/python -m $(PYTEST) -m "not slow" --hypothesis-profile=quick --cov --cov-report=

test-core: $(STAMP) ## Those that start no process of the exporter, without coverage (a minute)
	$(BIN)/python -m $(PYTEST) -m "not slow and not e2e" --hypothesis-profile=quick

test-slow: $(STAMP) ## The slow tests: all faults of the rules, boards of five weeks, the proof itself
	$(BIN)/python -m $(PYTEST) -m "slow or hypothesis"

test-all: test test-slow ## All tests

NEWER := build/newer/usr/bin
SERVERS := test_rules.py test_rules_alertmanager.py test_rules_corrections.py test_rules_day.py \
  test_alert_messages.py test_grafana_alerting.py test_rules_e2e.py test_prometheus.py test_tools_commands.py \
  test_dashboards_queries.py test_dashboards_prometheus.py test_end_to_end_level.py test_metrics.py \
  test_rules_vmalert.py
$(NEWER)/prometheus:
	scripts/newer-servers.sh

test-servers: $(STAMP) $(NEWER)/prometheus ## The tests against newer Prometheus and Alertmanager, and vmalert (Debian)
	PATH="$(CURDIR)/$(NEWER):$$PATH" $(BIN)/python -m $(PYTEST) $(addprefix tests/,$(SERVERS))

check: $(STAMP) ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## Generate the reference pages and the schema from the code
	$(BIN)/python -m exporter.metrics.reference > docs/metrics.md
	$(BIN)/python -m exporter.config.reference docs/configuration.md docs/wolkvox.schema.json
	$(BIN)/python -m scripts.dashboards
	$(BIN)/python -m scripts.grafana_templates

pictures: $(STAMP) ## Draw the boards and the status page anew for the documentation (needs prometheus, chromium)
	$(BIN)/python -m tests.dashboards_pictures
	$(BIN)/python -m tests.status_pictures

PIN := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate --no-strip-extras

lock: ## Pin every dependency with its hashes (needs uv)
	$(PIN) pyproject.toml -o requirements.lock
	$(PIN) --group dev pyproject.toml -o requirements-dev.lock
	for n in audit build check tools; do $(PIN) scripts/dist-$$n.in -o scripts/dist-$$n.lock || exit 1; done

house: $(STAMP) ## How large the code is and how long the ways through it are, beside the limits
	$(BIN)/python -m scripts.house

bench: $(STAMP) ## Measure scrapes, starts and a fleet beside other servers (eight minutes)
	$(BIN)/python -m benchmarks

proof: $(STAMP) ## Try faults, fuzzing, crashes and a soak, and print what held (under 40 minutes)
	$(BIN)/python -m proof

alert-study: $(STAMP) ## Draw queues by chance: whom do the alerts page wrongly, whom how late? (twenty minutes)
	$(BIN)/python -m scripts.alert_study

rules-load: $(STAMP) ## Measure what the rules cost a real Prometheus at 200 skills (a quarter of an hour)
	$(BIN)/python -m scripts.rules_load

boards-load: $(STAMP) ## Measure how long a refresh of the boards takes at 200 skills (five minutes)
	$(BIN)/python -m scripts.boards_load

mutation: $(STAMP) ## Change the pure core in every small way: do its tests notice? (half an hour)
	$(BIN)/python -m proof.mutation

image-test: ## Build and run the image for real (root, docker.io, debootstrap)
	tests/image/run.sh

dist: ## Wheel, sdist, chart, bill of materials and checksums, built twice and compared
	PYTHON=$(PYTHON) scripts/dist.sh

CHECK := build/deploy-check
$(CHECK)/.installed: scripts/dist-check.lock
	$(PYTHON) -m venv $(CHECK)
	$(CHECK)/bin/python -m pip install --quiet --require-hashes -r scripts/dist-check.lock
	touch $@

deploy-check: $(CHECK)/.installed ## Lint and render what is shipped for deployment (500 MB of tools)
	$(CHECK)/bin/python -m pytest -q --noconftest tests/test_deploy_tools.py

manifests: $(CHECK)/.installed ## Render the chart into deploy/kubernetes
	$(CHECK)/bin/python scripts/dist-manifests.py

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
