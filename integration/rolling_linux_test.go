package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/integration/testbed/procs"
	"github.com/holter-ha/holter/planner"
)

// formerCommit is the landed commit whose program clusters are rolled from. It moves on with each release.
const formerCommit = "ae8f486dc70bcab2cdc394f9d0d037e3cd52b01f"

var former = procs.Former{Commit: formerCommit}

var rollingHosts = []string{"ams-1", "fra-1"}

// TestRollingUpgrade replaces every process of a cluster by the next version, one at a time, while a run is open and takes one
// step after each. By their own record the workloads did not notice, and the run ends well. In both orders.
func TestRollingUpgrade(t *testing.T) {
	program, missing := former.Holter(t)
	if missing != "" {
		t.Skip(testbed.LeftOut, "a cluster is not rolled from the former version:", missing)
	}
	for _, order := range []string{"monitors first", "agents first"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			roll(t, program, order == "monitors first")
		})
	}
}

func roll(t *testing.T, former string, monitorsFirst bool) {
	gates := newGates(t)
	p := newProcesses(t)
	next := p.program
	p.program, p.units = former, []string{"db", "api"}
	steps := len(monitorNames) + 2*len(rollingHosts) + 1 // one before, and one after each replacement
	for i := range steps {
		p.units = append(p.units, unitOf(i))
	}
	p.plan = gates.plan(steps)
	p.begin(rollingHosts, gates.inventory(steps))
	p.must(0, "start", "db")
	p.must(0, "start", "api")
	p.must(0, "run", "start", "long", "--no-wait")

	done := 0
	advance := func() {
		t.Helper()
		id := fmt.Sprintf("s%d/%s", done, unitOf(done))
		p.until(id+" has begun", func() bool { return p.step("R-0003", id) == string(planner.StateStarted) })
		gates.open(unitOf(done))
		p.until(id+" is done", func() bool { return p.step("R-0003", id) == string(planner.StateDone) })
		done++
	}
	advance()
	p.program = next
	monitors := func() {
		leader := p.waitLeader()
		for _, name := range append(slices.DeleteFunc(slices.Clone(monitorNames), func(m string) bool { return m == leader }), leader) {
			p.replaceMonitor(name)
			advance()
		}
	}
	if monitorsFirst {
		monitors()
	}
	for _, host := range rollingHosts {
		p.replaceAgent(host)
		advance()
	}
	for _, host := range rollingHosts {
		p.end(guardOf(host), syscall.SIGTERM)
		p.start(guardOf(host))
		p.until("the next guard is relied on", func() bool { return p.host(host).Lease.Held })
		advance()
	}
	if !monitorsFirst {
		monitors()
	}
	p.succeeds("R-0003")
	want := []string{"started db ams-1", "started api fra-1"}
	for i := range steps {
		want = append(want, "started "+unitOf(i)+" "+rollingHosts[i%2])
	}
	p.wrote(want) // nothing was started twice, nothing was stopped
	for _, line := range want {
		words := strings.Fields(line)
		if !p.lives(words[1], words[2]) {
			t.Errorf("%s does not run on %s any more", words[1], words[2])
		}
	}
	p.must(0, "stop", "db")
	p.must(0, "start", "db")
}

func unitOf(i int) string { return fmt.Sprintf("g%d", i) }

// replaceMonitor ends a monitor, starts it again from the present program, and waits until it has what the others had, and they
// hear it and it them.
func (p *processes) replaceMonitor(name string) {
	p.t.Helper()
	p.end(name, syscall.SIGTERM)
	p.waitLeader()
	status, err := p.client().Status(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	started := time.Now()
	p.start(name)
	api := p.servers()[slices.Index(monitorNames, name)]
	p.until(name+" has caught up", func() bool { return appliedAt(api) >= status.Index })
	p.until(name+" is heard, and hears", func() bool {
		since := time.Since(started).Milliseconds() // what the former process said is older
		status, err := p.client().Status(p.t.Context())
		return err == nil && slices.ContainsFunc(status.Item.Monitors, func(m console.MonitorItem) bool {
			return m.Name == name && m.Answers && m.Able && m.AgeMs >= 0 && (m.AgeMs < since || m.Leader)
		})
	})
}

// appliedAt is how far the monitor at an address of the API has applied the log, 0 if it does not answer.
func appliedAt(api string) (index uint64) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(api + "/v1/status?stale=1")
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	var meta console.Meta
	if json.NewDecoder(answer.Body).Decode(&meta) != nil {
		return 0
	}
	return meta.Index
}

// replaceAgent ends an agent and starts it again from the present program.
func (p *processes) replaceAgent(host string) {
	p.t.Helper()
	epoch := p.host(host).Epoch
	p.end(host, syscall.SIGTERM)
	p.start(host)
	p.until("the next agent has joined", func() bool {
		item := p.host(host)
		return item.Epoch > epoch && item.Word == console.HostAlive && item.Lease.Held
	})
}

// gates answer the probes of workloads: each is ready from when its gate is opened.
type gates struct {
	url string

	mu     sync.Mutex // requests come from many goroutines
	opened map[string]bool
}

func newGates(t *testing.T) *gates {
	t.Helper()
	g := &gates{opened: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.opened[filepath.Base(r.URL.Path)] {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

func (g *gates) open(unit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened[unit] = true
}

// inventory has two workloads that run all the time, and one for each step. Its leases no replacement makes end.
func (g *gates) inventory(steps int) string {
	var text strings.Builder
	text.WriteString(`apiVersion: holter/v1
kind: Inventory
cluster: {name: rolling, lease: {length: 60s}}
sites: {ams: {}, fra: {}}
hosts: {ams-1: {site: ams, self_fence: guard}, fra-1: {site: fra, self_fence: guard}}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1]}
  api: {kind: command, unit: api, hosts: [fra-1, ams-1]}
`)
	for i := range steps {
		fmt.Fprintf(&text, "  %s: {kind: command, unit: %[1]s, hosts: [%s], ready: {when: http, url: %q, timeout: 20m}}\n",
			unitOf(i), rollingHosts[i%2], g.url+"/"+unitOf(i))
	}
	return text.String()
}

// plan starts one gated workload after the other.
func (g *gates) plan(steps int) string {
	var text strings.Builder
	text.WriteString("apiVersion: holter/v1\nkind: Plan\nname: long\nsteps:\n")
	for i := range steps {
		fmt.Fprintf(&text, "  - {id: s%d, start: {workloads: [%s]}, timeout: 30m}\n", i, unitOf(i))
	}
	return text.String()
}
