package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const benchHosts = 10_000

func BenchmarkViewObserve(b *testing.B) {
	v, beats := manyHosts(benchHosts)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		beat := &beats[i]
		beat.Stamp += heartbeat.Interval
		v.Observe(beat, Now{Watch: beat.Stamp})
		if i++; i == len(beats) {
			i = 0
		}
	}
}

// fleet is a state of many hosts, each with a workload of its own, and a view that hears them all.
type fleet struct {
	tb    testing.TB
	state *State
	view  *View
	now   Now
}

func newFleet(tb testing.TB) *fleet {
	tb.Helper()
	f := &fleet{tb: tb, state: NewState(), now: Now{Watch: time.Hour, Boot: time.Hour, Log: epoch0.Add(time.Hour)}}
	inv := &plans.Inventory{Cluster: plans.Cluster{Heartbeat: heartbeat}, Hosts: map[string]plans.Host{}, Workloads: map[string]plans.Workload{}}
	for i := range benchHosts {
		host, next := fmt.Sprintf("host-%05d", i), fmt.Sprintf("host-%05d", (i+1)%benchHosts)
		inv.Hosts[host] = plans.Host{Site: "ams"}
		w := plans.Workload{
			Kind: "memory", Unit: "w", Exclusive: true, Hosts: []string{host, next}, Start: time.Minute,
			Ready: actions.Ready{When: actions.ReadyActive, Timeout: time.Minute}, Stop: []actions.Rung{{Limit: time.Minute}},
		}
		if i%4 != 0 { // chains of four
			w.After = []plans.Dependency{{On: fmt.Sprintf("work-%05d", i-1), OnLoss: plans.LossKeep}}
		}
		inv.Workloads[fmt.Sprintf("work-%05d", i)] = w
	}
	f.apply(ClusterFormed{Cluster: "c", Monitors: []string{"m1"}})
	plan := &plans.Plan{Name: "elsewhere", Trigger: []plans.Trigger{{HostLost: &plans.Selector{Any: true}}}, Steps: []plans.Step{
		{ID: "fence", Kind: plans.StepFence, OnFailure: defaultStep.OnFailure},
		{ID: "up", Kind: plans.StepStart, After: []string{"fence"}, Workloads: &plans.Selector{LostWith: true}, OnFailure: defaultStep.OnFailure},
	}}
	f.apply(FilesApplied{Set: plans.Set{Inventory: inv, Plans: []*plans.Plan{plan}}})
	f.apply(PlanArmed{Plan: "elsewhere"})
	f.view = NewView("m1", []string{"m1"})
	f.view.SetHealth(Health{Stalled: never, Disconnected: never, Echo: time.Millisecond})
	f.view.Configure(inv, f.now)
	for _, host := range sortedKeys(inv.Hosts) {
		f.apply(JoinOffered{Host: host, Inc: 7})
		f.apply(HostJoined{Host: host, Inc: 7, Nonce: f.state.Index})
		f.view.Observe(&wire.Beat{Host: []byte(host), Inc: 7, Stamp: time.Second}, f.now)
		joined, _ := f.state.Hosts.Get(host)
		f.view.ObserveStatus(wire.Status{Host: host, Inc: 7, Epoch: joined.Epoch, Index: f.state.Index + benchHosts*3, Lease: wire.LeaseStatus{Held: true}}, f.now)
	}
	for i := range benchHosts {
		name := fmt.Sprintf("host-%05d", i)
		host, _ := f.state.Hosts.Get(name)
		f.apply(WorkloadAdopted{Workload: fmt.Sprintf("work-%05d", i), Host: name, Epoch: host.Epoch})
	}
	f.view.Acted(f.state, f.now)
	return f
}

func (f *fleet) apply(event Event) {
	f.tb.Helper()
	next, err := f.state.Apply(f.state.Index+1, Entry{At: f.now.Log, By: "m1", Event: event})
	if err != nil {
		f.tb.Fatalf("apply %s: %v", event.Name(), err)
	}
	f.state = next
}

// lose lets a host be lost and its run begin.
func (f *fleet) lose(name string) {
	f.tb.Helper()
	host, _ := f.state.Hosts.Get(name)
	f.apply(HostLost{Host: name, Inc: host.Inc, Epoch: host.Epoch})
	run, err := NewPlanRun(f.state, "elsewhere", []string{name})
	if err != nil {
		f.tb.Fatal(err)
	}
	f.apply(run)
	f.apply(StepStarted{Run: 1, Step: "fence/" + name, Attempt: 1, Host: name, Within: time.Hour})
}

// decide decides once and demands a number of intents.
func (f *fleet) decide(want int) {
	if got := len(Decide(f.state, f.view, Rules{Settle: settle}, f.now)); got != want {
		f.tb.Fatalf("%d intents, want %d", got, want)
	}
}

func BenchmarkDecide(b *testing.B) {
	b.Run("quiet", func(b *testing.B) {
		f := newFleet(b)
		b.ReportAllocs()
		for b.Loop() {
			f.decide(0)
		}
	})
	b.Run("run", func(b *testing.B) { // one host is lost, its run waits for evidence
		f := newFleet(b)
		f.lose("host-00000")
		f.view.targets[f.view.index["host-00000"]].late = 0
		b.ReportAllocs()
		for b.Loop() {
			f.decide(0)
		}
	})
	b.Run("changed", func(b *testing.B) { // the first time on a new state
		f := newFleet(b)
		b.ReportAllocs()
		for b.Loop() {
			f.view.memo = memo{}
			f.decide(0)
		}
	})
	b.Run("stop-all", func(b *testing.B) { // a run of 10,000 steps, a quarter of which is due
		f := newFleet(b)
		run, err := NewStop(f.state, Request{All: true})
		if err != nil {
			b.Fatal(err)
		}
		f.apply(run)
		b.ReportAllocs()
		for b.Loop() {
			f.decide(benchHosts / 4)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	lost := func(s *State) Event {
		host, _ := s.Hosts.Get("host-05000")
		return HostLost{Host: "host-05000", Inc: host.Inc, Epoch: host.Epoch, Witnesses: []Witness{{Monitor: "m1"}}}
	}
	b.Run("host_lost", func(b *testing.B) {
		f := newFleet(b)
		applyAgain(b, f.state, lost(f.state))
	})
	b.Run("host_expired", func(b *testing.B) {
		f := newFleet(b)
		f.lose("host-05000")
		host, _ := f.state.Hosts.Get("host-05000")
		applyAgain(b, f.state, HostExpired{Host: "host-05000", Epoch: host.Epoch, Revocation: host.Revocation, Evidence: Confirmed})
	})
	b.Run("step_finished", func(b *testing.B) {
		f := newFleet(b)
		run, err := NewStop(f.state, Request{Workloads: []string{"work-00003"}})
		if err != nil {
			b.Fatal(err)
		}
		f.apply(run)
		host, _ := f.state.Hosts.Get("host-00003")
		f.apply(StepStarted{Run: 1, Step: "stop/work-00003", Attempt: 1, Host: "host-00003", Epoch: host.Epoch})
		applyAgain(b, f.state, StepFinished{Run: 1, Step: "stop/work-00003", Attempt: 1, Token: f.state.Index, Outcome: wire.Done, Stopped: true})
	})
}

// applyAgain folds one entry into the same state again and again.
func applyAgain(b *testing.B, s *State, event Event) {
	b.Helper()
	e := Entry{At: s.At, By: "m1", Reason: "because", Event: event}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Apply(s.Index+1, e); err != nil {
			b.Fatal(err)
		}
	}
}
