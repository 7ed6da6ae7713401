# `make run` starts the demo, `make test` runs every check. Both set up all they
# need; a machine needs Go 1.26, make, for the race detector a C compiler, and
# for the clients that the tests run Node 20 and Python 3 with websockets.

SHELL     := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO        ?= go
FUZZTIME  ?= 60s
BENCHTIME ?= 1s
COUNT     ?= 5
VERSION   ?=
PACKAGES  := ./...
LDFLAGS   := -s -w $(if $(VERSION),-X main.version=$(VERSION))

CLIENTS   := testdata/clients

.PHONY: run build test unit clients bench-once bench bench-raw fuzz soak lint web clean

## run: build, then the demo on 127.0.0.1:8080 (a simulated Lighter, recorded into ./data/demo)
run: build
	exec bin/hyperlight serve -c config/demo.yaml

## build: the static binary bin/hyperlight; VERSION=1.2.3 overrides the version in the source
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/hyperlight .

## test: everything that has to hold before a change is merged
test: lint build unit bench-once

## lint: formatting, go.mod, vet, staticcheck, generated files
lint:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$bad" ]; then echo "run gofmt -w on:" $$bad; exit 1; fi
	$(GO) mod tidy -diff
	$(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	@if ! git grep -q '^//go:generate' -- '*.go' 2>/dev/null; then exit 0; fi; \
	if [ -n "$$(git status --porcelain 2>/dev/null)" ]; then echo "tree has changes: go generate is not compared"; exit 0; fi; \
	$(GO) generate $(PACKAGES) && git diff --exit-code

## unit: every test with the race detector; fuzz targets run on their seeds
unit: clients
	@# Built beside the tests of other packages: from an empty cache it takes a minute, for which the tests that need it wait.
	@(cd testdata/s3 && CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice $(GO) build -ldflags='-s -w' -o /dev/null .) & \
	CGO_ENABLED=1 $(GO) test -race -parallel 3 -timeout 45m $(PACKAGES)
	@# What counts bytes says nothing, or takes too long, under the race detector.
	$(GO) test -run 'Memory|Allocate' ./engine/access ./engine/feed/lighter
	$(GO) test -run 'BytesPer' ./bench

## clients: the clients of other people that the tests run, as their lock file pins them; needs Node 20
# `npm ci` would want every system's build of DuckDB in the lock file, and registries that mirror some do not have all.
clients:
	@python3 -c 'import websockets' 2>/dev/null || /usr/bin/python3 -c 'import websockets' 2>/dev/null || \
		echo "clients: no Python 3 has the package websockets (Debian: python3-websockets); the Python examples do not run"
	@command -v npm >/dev/null || { echo "clients: npm is not installed; their tests do not run"; [ -z "$${CI:-}" ]; exit; }; \
	lock=$$(sha256sum < $(CLIENTS)/package-lock.json | cut -d' ' -f1); \
	if [ "$$(cat $(CLIENTS)/node_modules/.lock 2>/dev/null)" = "$$lock" ]; then exit 0; fi; \
	cd $(CLIENTS) && npm install --no-save --no-audit --no-fund && npm run build && echo "$$lock" > node_modules/.lock

## bench-once: every benchmark runs, its figures do not count
bench-once:
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m $(PACKAGES) \
		| { grep -vE '^(goos|goarch|cpu|pkg|PASS|ok |\?)' || true; }

## bench: the benchmarks of BENCHMARKS.md against their baselines, as its tables; some minutes
bench:
	@$(GO) run ./bench/report -count $(COUNT)

## bench-raw: any benchmarks as go test prints them; BENCH chooses by name, PACKAGES by package
bench-raw:
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) -timeout 60m $(PACKAGES) \
		| grep -E '^(goos|goarch|cpu|pkg|Benchmark|FAIL|panic)'

## fuzz: each fuzz target for FUZZTIME
fuzz:
	@for pkg in $$($(GO) list $(PACKAGES)); do \
		for target in $$($(GO) test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "$$pkg"; \
		done; \
	done

## soak: the long forms of the tests (crash loops, random simulations); an hour or more
soak:
	HYPERLIGHT_SOAK=1 CGO_ENABLED=1 $(GO) test -race -count 1 -timeout 12h $(PACKAGES)

## web: the dashboard
web:
	@echo "web: the dashboard has no sources yet; nothing to build"

## clean: remove what was built and installed, and the demo's data
clean:
	rm -rf bin data/demo $(CLIENTS)/node_modules
