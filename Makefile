# Run `make` for the list of targets.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE := github.com/pgidem/pgidem

# Modules of their own, for what users of the library need not download. The
# tools module holds no code.
NESTED := $(patsubst %/go.mod,%,$(filter-out internal/tools/go.mod,$(wildcard internal/*/go.mod examples/go.mod bench/go.mod torture/go.mod)))

TOOL      := go tool -modfile=$(CURDIR)/internal/tools/go.mod
GOTESTSUM  = $(TOOL) gotestsum --format=pkgname --format-hide-empty-pkg -- -shuffle=on -parallel=$(PARALLEL) -timeout=10m
SERVERS   := $(CURDIR)/bin/withservers

# Tests wait for servers and clocks most of the time, so more of them than there
# are processors run at once.
PARALLEL ?= 4
# For example: make test TEST='-run=Commit -count=5'
TEST     ?=
BENCH    ?=
DEMO     ?=
TORTURE  ?=
FUZZTIME ?= 20s

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Storm two servers with retries, kill one, and count what the ledger holds
	cd examples && go run ./cmd/demo $(DEMO)

.PHONY: test
test: $(SERVERS) ## Run all tests with the race detector; finds or installs PostgreSQL and Redis
	$(SERVERS) -- $(MAKE) --no-print-directory test-with-servers

# A folder that the pooler's user can reach, wherever this runs.
PGBOUNCER := $(or $(TMPDIR),/tmp)/pgidem-pgbouncer

.PHONY: test-pooler test-unprepared test-prepared
test-pooler: test-unprepared test-prepared ## Run txstore's tests through PgBouncer, without and with prepared statements

test-unprepared:
	PGIDEM_TEST_POOLER=unprepared $(GOTESTSUM) $(TEST) ./txstore

test-prepared:
	internal/pgbouncer/newer.sh $(PGBOUNCER)
	PGIDEM_TEST_POOLER=prepared PGIDEM_PGBOUNCER=$(PGBOUNCER)/pgbouncer $(GOTESTSUM) $(TEST) ./txstore

# Everything runs even if something fails, and then the whole fails.
.PHONY: test-with-servers
test-with-servers:
	@failed=; for module in $(NESTED) .; do \
		echo "== tests of $$module"; \
		(cd $$module && $(GOTESTSUM) -race $(TEST) ./...) || failed="$$failed $$module"; \
	done; \
	if [ -n "$$failed" ]; then echo "tests failed in:$$failed"; exit 1; fi

.PHONY: test-unlocked
test-unlocked: $(SERVERS) ## Run txstore's tests without advisory locks and notifications
	$(SERVERS) -- env PGIDEM_TEST_NO_LOCKS=1 $(GOTESTSUM) $(TEST) ./txstore

.PHONY: torture
torture: ## Try to break the promise: kills, cuts, restarts, full disks, clock jumps
	cd torture && go run . $(TORTURE)

.PHONY: model
model: ## Search the model of waiting and waking in every order of events
	go run ./internal/waitmodel/cmd/waitmodel

.PHONY: fuzz
fuzz: ## Fuzz everything that parses bytes, FUZZTIME=20s for each target
	FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: limits
limits: ## Let 10 000 requests wait at once, and measure what each costs
	go test -run Crowd -v ./internal/limits

.PHONY: race
race: $(SERVERS) ## Run the library's tests ten times over, to find what happens rarely
	$(SERVERS) -- go test -race -shuffle=on -count=10 -timeout=60m $(TEST) ./...

.PHONY: lint
lint: ## Run the linters, the arrows between packages among them
	@for module in . $(NESTED); do \
		echo "== lint $$module"; (cd $$module && $(TOOL) golangci-lint run ./...); \
	done

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## Write db/ from sql/ and migrations/
	$(TOOL) sqlc generate

.PHONY: behaviours
behaviours: ## Write docs/behaviours.md from the tests
	go run ./internal/behaviours

.PHONY: verify
verify: verify-generated verify-modules verify-arrows ## Check that generated code, modules and imports are as they should be

.PHONY: verify-generated
verify-generated:
	$(TOOL) sqlc diff
	$(TOOL) sqlc vet

.PHONY: verify-modules
verify-modules:
	cd internal/tools && go mod tidy -diff
	@for module in . $(NESTED); do \
		echo "== go mod tidy, go vet: $$module"; (cd $$module && go mod tidy -diff && go vet ./...); \
	done

# What a package drags in by way of others, which a linter of files cannot see.
# $(1): the packages; $(2): a pattern of what they may depend on besides the
# standard library.
define only-depends-on
	@strays=$$(go list -deps $(1) | grep -E '^[^/]+\.[^/]+/' | grep -vE '^($(2))(/|$$)' || true); \
	if [ -n "$$strays" ]; then echo "$(1) must not depend on:"; echo "$$strays"; exit 1; fi; \
	echo "== $(1) depends on nothing it should not"
endef

.PHONY: verify-arrows
verify-arrows:
	$(call only-depends-on,./idem,$(MODULE)/idem)
	$(call only-depends-on,./idem/idemtest,$(MODULE)/idem)
	$(call only-depends-on,./memory,$(MODULE)/idem|$(MODULE)/memory)
	$(call only-depends-on,./sealed,$(MODULE)/idem|$(MODULE)/sealed|$(MODULE)/internal/record)
	$(call only-depends-on,./txstore,$(MODULE)/idem|$(MODULE)/txstore|$(MODULE)/db|$(MODULE)/internal|github.com/jackc|golang.org/x)
	$(call only-depends-on,./redisstore,$(MODULE)/idem|$(MODULE)/redisstore|$(MODULE)/internal|github.com/redis|github.com/cespare|go.uber.org/atomic|golang.org/x/sys)
	@strays=$$(go list -m -f '{{if not (or .Main .Indirect)}}{{.Path}}{{end}}' all \
		| grep -vE '^(|github.com/jackc/pgx/v5|github.com/redis/go-redis/v9|github.com/golang-migrate/migrate/v4)$$' || true); \
	if [ -n "$$strays" ]; then echo "go.mod must not require:"; echo "$$strays"; exit 1; fi; \
	echo "== go.mod requires nothing it should not"

.PHONY: bench
bench: ## Measure every store against the references; BENCH=-quick takes a minute
	cd bench && go run . $(BENCH)

# Go decides whether there is anything to build.
.PHONY: $(SERVERS)
$(SERVERS):
	@cd internal/testenv && go build -o $@ ./cmd/withservers
