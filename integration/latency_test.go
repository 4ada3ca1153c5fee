package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions/command"
	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/internal/node"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// BenchmarkEvidenceToCommand measures, over loopback TCP with real bbolt, the time from a person's word that a lost host runs nothing
// to the arrival of the first command at the host that takes over: three entries of the log and one message. It reports the
// median and the maximum in milliseconds.
func BenchmarkEvidenceToCommand(b *testing.B) {
	var took []time.Duration
	var c *live
	left := 0
	for b.Loop() {
		if left == 0 { // no host is lost twice, or the plan would be damped
			if c != nil {
				c.stop()
			}
			c, left = startLive(b), len(benchHosts)-1
		}
		left--
		took = append(took, c.failOver(b))
	}
	c.stop()
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-median")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-max")
	b.ReportMetric(0, "ns/op") // the rest of an iteration is detection and rejoining
}

// live is a cluster of real nodes in this process, on loopback TCP.
type live struct {
	monitors map[string]*node.MonitorNode
	urls     string
	dir      string
	ctx      context.Context
	running  sync.WaitGroup
	agents   map[string]func() // how to stop them
	stop     func()
}

// benchHosts are in the order in which they are preferred.
var benchHosts = []string{"a", "b", "c", "d", "e", "f"}

func startLive(b *testing.B) *live {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &live{monitors: map[string]*node.MonitorNode{}, dir: b.TempDir(), ctx: ctx, agents: map[string]func(){}}
	l.stop = sync.OnceFunc(func() {
		for _, stop := range l.agents {
			stop()
		}
		cancel()
		l.running.Wait()
	})
	b.Cleanup(l.stop)
	block := freeBlock(b)
	addresses := map[string]node.Addresses{}
	for i, name := range monitorNames {
		addresses[name] = node.Addresses{Address: fmt.Sprintf("%s.0.%d", block, i+1), API: 7470, Raft: 7471, NATS: 7472, Routes: 7473}
		l.urls += fmt.Sprintf("nats://%s.0.%d:7472,", block, i+1)
	}
	for _, name := range monitorNames {
		n, err := node.StartMonitor(node.MonitorConfig{
			Name: name, DataDir: filepath.Join(l.dir, name), Monitors: addresses, Disk: node.DiskConfig{MinFree: "off"},
		}, "bench", zerolog.Nop())
		if err != nil {
			b.Fatal(err)
		}
		l.monitors[name] = n
		l.running.Go(func() { _ = n.Run(ctx) })
	}
	for _, host := range benchHosts {
		l.startAgent(b, host)
	}
	l.until(b, func(look console.Look) bool { return look.Leading })
	l.propose(b, planner.FilesApplied{Set: benchSet(b)})
	l.propose(b, planner.PlanArmed{Plan: "restart-elsewhere"})
	l.until(b, func(look console.Look) bool {
		return !slices.ContainsFunc(benchHosts, func(host string) bool { return !active(look.State, host) })
	})
	run, err := planner.NewStart(l.leader().State, planner.Request{All: true})
	if err != nil {
		b.Fatal(err)
	}
	l.propose(b, run)
	return l
}

func benchSet(b *testing.B) plans.Set {
	b.Helper()
	set, err := plans.Decode([]plans.File{{Name: "plan.yaml", Text: []byte(restartElsewhere + "guard: {max_lost: 10}\n")}, {Name: "inventory.yaml", Text: []byte(`apiVersion: holter/v1
kind: Inventory
cluster: {name: bench, heartbeat: {interval: 100ms, lost_after: 1s}}
sites: {s: {}}
hosts: {a: {site: s}, b: {site: s}, c: {site: s}, d: {site: s}, e: {site: s}, f: {site: s}}
workloads:
  w: {kind: command, unit: w, hosts: [a, b, c, d, e, f]}
`)}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return *set
}

func active(s *planner.State, host string) bool {
	h, _ := s.Hosts.Get(host)
	return h.Phase == planner.Active
}

func (l *live) startAgent(b *testing.B, host string) {
	b.Helper()
	runs := filepath.Join(l.dir, host+".runs")
	n, err := node.StartAgent(node.AgentConfig{
		Name: host, DataDir: filepath.Join(l.dir, host), RunDir: filepath.Join(l.dir, host+".run"), NATS: node.NATSConfig{URL: node.URLs(l.urls)},
		Commands: map[string]command.Command{"w": {Start: []string{"/usr/bin/touch", runs}, Stop: []string{"/bin/rm", "-f", runs}, Status: []string{"/bin/sh", "-c", "test -e " + runs + " || exit 3"}}},
	}, "bench", zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	var done sync.WaitGroup
	done.Go(func() { _ = n.Run(ctx) })
	l.agents[host] = func() { cancel(); done.Wait() }
}

// leader looks at the monitor that leads.
func (l *live) leader() console.Look {
	for _, n := range l.monitors {
		if look := n.Look(); look.Leading {
			return look
		}
	}
	return console.Look{State: planner.NewState()}
}

// until waits for a condition of the leader.
func (l *live) until(b *testing.B, holds func(console.Look) bool) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(l.leader()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("not within a minute: %+v", l.leader())
		}
	}
}

func (l *live) propose(b *testing.B, event planner.Event) {
	b.Helper()
	look := l.leader()
	if _, err := l.monitors[look.Self].Propose(l.ctx, planner.Entry{By: "bench", Reason: "bench", Event: event}); err != nil {
		b.Fatal(err)
	}
}

// failOver stops the agent that runs w for good and measures until the next one is commanded.
func (l *live) failOver(b *testing.B) time.Duration {
	b.Helper()
	l.until(b, func(look console.Look) bool { w, _ := look.State.Workloads.Get("w"); return w.Ready && w.Run == 0 })
	look := l.leader()
	w, _ := look.State.Workloads.Get("w")
	from, to := w.Owner, benchHosts[slices.Index(benchHosts, w.Owner)+1]
	conn, err := bus.Dial(bus.Options{Name: "bench", URLs: node.URLs(l.urls).List(), Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	commanded := make(chan time.Time, 16)
	stop, err := conn.Subscribe(wire.CommandSubject(to), func(string, []byte) {
		select {
		case commanded <- time.Now():
		default:
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	changed, unwatch := l.monitors[look.Self].Watch()
	defer unwatch()
	l.agents[from]()
	waits := func() bool {
		s := l.monitors[look.Self].State()
		h, _ := s.Hosts.Get(from)
		run := s.Run(s.LastRun)
		return h.Phase == planner.Revoking && run.Kind == planner.RunPlan && run.Steps[0].State == planner.StateStarted
	}
	for !waits() {
		<-changed
	}
	h, _ := l.monitors[look.Self].State().Hosts.Get(from)
	said := time.Now()
	l.propose(b, planner.HostExpired{Host: from, Epoch: h.Epoch, Revocation: h.Revocation, Evidence: planner.Confirmed})
	return (<-commanded).Sub(said)
}
