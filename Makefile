# make test   fetches what the tests need, then runs all of them
# make lint   golangci-lint with .golangci.yml, and the formatting
# make bench  the benchmarks whose numbers are in docs/performance.md
# make demo   the demo
# make fuzz   each fuzz target for FUZZTIME (20s); what it finds becomes a file in testdata, which make test runs from then on
# make storm  the simulation of the lease protocol at full size: 50,000 runs, and each mutant in the undirected storm; then storms
#             over real processes in network namespaces
# make times  the times of failover in docs/performance.md
# make detector-table   the table of detection quality in docs/performance.md

GO ?= go
LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHES = 'BenchmarkBeatDecode|BenchmarkViewObserve|BenchmarkDecide|BenchmarkApply|BenchmarkPropose|BenchmarkEvidenceToCommand'
# Packages where goroutines meet. Of integration the tests with real processes, whose program is built with the race detector
# too: whole clusters in one synctest bubble crash the detector itself now and then (golang/go#78156). race-bubbles runs them.
RACE = ./agent/... ./monitor/... ./raftstore/... ./internal/bus/... ./actions/... ./console/...
PROCESSES = '^(TestProcesses|TestDialledNATS|TestWrongInput|TestSecured|TestMonitorIsReplaced|TestUpgradeIsNoOutage|TestRollingUpgrade|TestGuardKillsByTheLease|TestWithoutGuard|TestFencing|TestNetworkStorm)$$'

# Packages that start whole clusters, or a machine, of processes: one after another, for they want both cores.
HEAVY = -e '/integration' -e '/internal/demo' -e '/actions/fence' -e '/actions/systemd'

FUZZTIME ?= 20s

.PHONY: test plain race race-bubbles deps lint bench demo fuzz storm times detector-table

test: deps plain race

plain:
	$(GO) vet ./...
	$(GO) test $$($(GO) list ./... | grep -v $(HEAVY))
	$(GO) test -p 1 $$($(GO) list ./... | grep $(HEAVY))

race:
	$(GO) test -race $(RACE)
	$(GO) test -race -run $(PROCESSES) ./integration

race-bubbles:
	$(GO) test -race -skip $(PROCESSES) ./integration

# What tests use beside Go: systemd and D-Bus for the systemd driver's conformance (a systemd of the tests' own, in
# namespaces). Without root or apt the tests that need them say in one line what they leave out.
deps:
	@sh integration/testbed/deps.sh

lint:
	$(LINT) run ./...

bench:
	$(GO) test -run '^$$' -bench $(BENCHES) -benchmem -count 5 ./wire ./planner ./raftstore ./integration

# go test fuzzes one target at a time.
fuzz:
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' . | sort); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' $$file); do \
			echo "$$target in $$(dirname $$file)"; \
			$(GO) test "$$(dirname $$file)" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s; \
		done; \
	done

demo:
	$(GO) run ./cmd/holter demo

detector-table:
	$(GO) test ./planner/detect -count 1 -run '^TestTable$$' -table ../../docs/performance.md

storm:
	$(GO) test ./lease/sim -count 1 -timeout 2h -v -runs 50000 -undirected 5000
	$(GO) test ./integration -count 1 -timeout 2h -v -run '^TestNetworkStorm$$' -storms 20

times:
	$(GO) test ./integration -count 1 -timeout 1h -v -run '^TestFailoverTimes$$' -times 10
