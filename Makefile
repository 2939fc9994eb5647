# Each target sets itself up: it needs Go and the module proxy, and says what else it would use.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GOTESTSUM := gotest.tools/gotestsum@v1.13.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 20s
BIN := bin
# A module of its own, for tests against what services publish in Go; it takes over what go.mod asks for.
PEERS := GOFLAGS=-mod=mod go -C revoke/revoketest/peers

.PHONY: build test race lint fuzz keys bench e2e golden generate crash drill check setup clean screenshots test-s3

build: ## the desk and the host's program, static
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./cmd/clawback ./cmd/clawback-host

setup: ## with CI=true: what the tests use besides Go, from Debian
	@.ci/setup

test: setup ## everything but fuzzing and benchmarks; its last lines name what was skipped, and why
	$(PEERS) test ./...
	go run $(GOTESTSUM) --format pkgname -- -p 3 -timeout 20m ./...

race: setup
	go test -race ./...

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	$(PEERS) vet ./...
	go run $(STATICCHECK) ./...

fuzz: ## every fuzz target for FUZZTIME each
	@for f in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
	  for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$$f"); do \
	    echo "== $$t in $$(dirname $$f)"; go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "./$$(dirname $$f)"; done; done

keys: ## keys at random in 10,000 drills, as CI does it; CLAWBACK_TEST_DRILLS says how many
	CLAWBACK_TEST_DRILLS=$${CLAWBACK_TEST_DRILLS:-10000} go test -count=1 -v -run RandomKeysInADrill ./tui | grep -v '^ *--- PASS\|^=== '

crash: ## a response dies at every operation of its disk, in every way, and is resumed; the disk fails at every one
	CLAWBACK_CRASH=all go test -count=1 -timeout 3h -v -run 'TestCrash|TestRealCrash|TestDiskFaults' ./playbooks/drill ./cmd/clawback | grep -v '^ *--- PASS\|^=== '

bench: ## printed as ratios against a bound or a public tool
	go test -run '^$$' -bench . -skip 'BesideTar|ManyFiles' -benchtime 3x ./revoke ./forensics/journal ./forensics/journal/tree ./snapshots
	go test -run '^$$' -bench . -benchtime 1x ./cmd/clawback
	go test -run '^$$' -bench BesideTar -benchtime 5x -timeout 1h ./snapshots
	go test -run '^$$' -bench ManyFiles -benchtime 1x -timeout 1h ./snapshots
	go test -run '^$$' -bench . -benchtime 1x ./forensics/verify ./playbooks/containment
	go test -run '^$$' -bench Frame -benchtime 1000x ./tui
	go test -run '^$$' -bench Key -benchtime 1x ./tui
	go test -run '^$$' -bench . -benchtime 1x -timeout 1h ./revoke/discover

e2e: setup build ## the stories alone: real processes, systemd, sshd, tmux
	go test -run 'TestStory|TestReal|TestScripts|TestTerminal' -v ./...

test-s3: ## the S3 witness and the deposit of evidence against MinIO with Object Lock on: built from source (minutes), on loopback
	.ci/test-s3

screenshots: build ## the README's pictures, drawn from a real drill in tmux
	go run ./cmd/screenshot $(BIN)/clawback .github

golden: ## write the golden files anew; look at the difference
	go test ./tui ./forensics/report ./cmd/clawback -update

generate: ## what is generated: the README's tables
	go generate ./...

drill: ## the main job on the embedded simulation: the console on a terminal, by itself otherwise
	@if [ -t 0 ] && [ -t 1 ]; then CGO_ENABLED=0 go run ./cmd/clawback drill; else CGO_ENABLED=0 go run ./cmd/clawback drill --auto; fi

check: test lint ## what CI runs
	$(MAKE) generate
	@git diff --exit-code -- README.md || { echo "generated files are stale: commit what make generate wrote"; exit 1; }

clean:
	rm -rf $(BIN)
