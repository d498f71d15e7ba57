# Crisper. `make help` lists the targets; HACKING.md explains them.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO      ?= go
PYTHON  ?= python3
TRIALS  ?= 100
FUZZTIME ?= 30s

BUILD  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.release=$(VERSION)'
CELERY = $(CURDIR)/.cache/celery57/bin/python
OLD    = $(CURDIR)/.cache/celery53/bin/python
PEERS  = $(CURDIR)/.cache/peers/bin/python
GEVENT = $(CURDIR)/.cache/gevent/bin/python
OBSERVERS = $(CURDIR)/.cache/observers/bin/python
EXPORTER  = $(CURDIR)/.cache/exporter/bin/python
# What everything that needs real Celery is told.
REAL   = CRISPER_TEST_PYTHON=$(CELERY) CRISPER_TEST_PYTHON_OLD=$(OLD) CRISPER_TEST_PYTHON_PEERS=$(PEERS) CRISPER_TEST_PYTHON_GEVENT=$(GEVENT) \
	CRISPER_TEST_PYTHON_OBSERVERS=$(OBSERVERS) CRISPER_TEST_PYTHON_EXPORTER=$(EXPORTER) CRISPER_BIN=$(CURDIR)/bin/crisper

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOTESTSUM   = gotest.tools/gotestsum@v1.13.0

export PYTHON VERSION GO

.DEFAULT_GOAL := help
.PHONY: help build demo test unit test-race test-py test-integration integration fuzz bench bench-smoke bench-beat chaos chaos-beat lifecycle conformance differential controlplane \
	pythons lint generate verify simulate clean venvs cross fmt vet tools

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: tools ## Build bin/crisper, static, with the version of the working tree
	@mkdir -p bin
	@$(BUILD) -o bin/crisper ./cmd/crisper
	@echo "built bin/crisper $(VERSION)"

demo: build ## Watch tasks arrive, run, crash, leak and get recycled (SECONDS=20 ends it)
	@integration/tools/venv.sh celery57
	@integration/tools/demo.sh $(SECONDS)

test: ## Everything: the whole truth about this tree, on a machine with Go, Python and redis-server
	@integration/tools/test.sh

unit: tools ## Tests that need nothing but Go, and Python's standard library if there is a Python (< 30 s)
	@$(GO) test ./...
	@integration/tools/pytests.sh $(PYTHON)

test-race: tools ## The unit tests under the race detector
	@$(GO) test -race ./...

test-py: venvs ## Tests of the Python agent: standard library only, newest and oldest Celery
	@integration/tools/pytests.sh $(PYTHON) $(CELERY) $(OLD)

pythons: build ## Children under every other Python that is installed here, minutes each; PYTHONS="3.9 3.13" chooses
	@integration/tools/pythons.sh

test-integration: build venvs controlplane ## Real Celery, Redis, RabbitMQ and API server; RUN=regexp chooses, V=1 tells more
	@$(REAL) RUN='$(RUN)' V='$(V)' $(GO) run ./integration/controlplane/beside -- integration/tools/gotest.sh $(GOTESTSUM)

integration: test-integration

controlplane: tools
	@integration/tools/cluster.sh

conformance: build ## Celery's own integration tests against stock and Crisper; ARGS="--repeat 3" and more
	@integration/tools/conformance.sh $(ARGS)

fuzz: tools ## Every fuzz target for FUZZTIME each
	@integration/tools/fuzz.sh $(FUZZTIME)

bench: build venvs ## Crisper beside stock Celery and others; ratios with min/median/max
	@$(REAL) $(GO) run ./integration/bench $(ARGS)

bench-smoke: build venvs
	@$(REAL) $(GO) run ./integration/bench -smoke $(ARGS)

chaos: build venvs ## Break things TRIALS times each and count lost and doubled tasks
	@$(REAL) $(GO) run ./integration/chaos -trials $(TRIALS) $(ARGS)

chaos-beat: build venvs controlplane ## Break the beat's replicas TRIALS times each and count missed and doubled ticks
	@$(REAL) $(GO) run ./integration/chaosbeat -trials $(TRIALS) $(ARGS)

lifecycle: build venvs ## What can happen to a wrapped Celery worker, with real processes: all 792 cells, an hour; RUN=regexp for some
	@cd integration/lifecycle && $(REAL) CRISPER_LIFECYCLE=all $(GO) test -tags integration -count=1 -timeout 4h -run 'TestLifecycle/$(RUN)'

bench-beat: build venvs ## 10 000 entries under crisper beat and celery beat
	@$(REAL) $(GO) run ./integration/benchbeat $(ARGS)

differential: build venvs ## The same cases under Celery's worker and Crisper's, compared field by field
	@$(REAL) $(GO) run ./integration/differential $(ARGS)

lint: tools ## go vet, staticcheck, known vulnerabilities, and the house rules
	@integration/tools/lint.sh $(STATICCHECK) $(GOVULNCHECK)

generate: tools ## Write the generated pages anew
	@$(GO) generate ./...

verify: tools ## Fail when anything generated is stale
	@integration/tools/verify.sh

simulate: build ## Replay a pool script: FILE=supervisor/pool/testdata/drain.txt
	@bin/crisper simulate $(or $(FILE),supervisor/pool/testdata/drain.txt)

clean: ## Remove what was built, the virtual environments and kept test runs
	rm -rf bin dist .cache integration/.runs

fmt: tools
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$out" ]; then echo "not formatted (gofmt -w): $$out"; exit 1; fi

vet: tools
	@$(GO) vet ./...
	@$(GO) vet -tags integration ./...

venvs:
	@integration/tools/venv.sh celery57
	@integration/tools/venv.sh celery53
	@integration/tools/venv.sh peers
	@integration/tools/venv.sh gevent
	@integration/tools/venv.sh observers
	@integration/tools/venv.sh exporter

cross: tools
	@for target in linux/arm64 darwin/arm64; do \
		echo "building for $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -o /dev/null ./cmd/crisper || exit 1; \
	done
	@echo "checking all packages and tests for darwin/arm64"
	@GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet -tags integration ./...

tools:
	@command -v $(GO) >/dev/null || { echo "make: Go is missing; install Go $$(awk '/^go /{print $$2}' go.mod) or later"; exit 1; }
