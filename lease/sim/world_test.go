package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// The names of everything, in the order in which they are looked at.
var (
	hosts     = []string{"h1", "h2", "h3"}
	workloads = []string{"w1", "w2", "w3"}
	epoch0    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// logSpeed lets log time run so fast that quarantines are over soon: safety does not hang on log time.
const logSpeed = 10_000

// form makes the cluster: three monitors of six, three hosts, and what the profile says of them.
func (s *sim) form() {
	for i := range maxMonitors {
		m := newMonitor(s, fmt.Sprintf("m%d", i+1), i)
		m.member = i < 3
	}
	for i, name := range hosts {
		newMachine(s, name, maxMonitors+i)
	}
	inv := &plans.Inventory{Hosts: map[string]plans.Host{}, Workloads: map[string]plans.Workload{}}
	for _, name := range hosts {
		inv.Hosts[name] = plans.Host{Site: "s", Lease: s.terms(s.p.self(s, name))}
	}
	for _, name := range workloads[:s.p.workloads] {
		inv.Workloads[name] = plans.Workload{Kind: "memory", Unit: name, Exclusive: true, Hosts: hosts}
	}
	if s.p.fence > 0 {
		for _, name := range hosts {
			host := inv.Hosts[name]
			host.Fence = []plans.FenceLevel{{Devices: []plans.FenceDevice{{Name: "d", Agent: "fence_d", Timeout: time.Second}}}}
			inv.Hosts[name] = host
		}
	}
	s.must(planner.ClusterFormed{Cluster: "c", Monitors: s.members()})
	s.must(planner.FilesApplied{Set: plans.Set{Inventory: inv}})
	for _, m := range s.monitors[:3] {
		m.start()
	}
	s.monitors[0].leads = true
	for _, m := range s.machines {
		m.boot()
	}
	s.faults()
}

// terms draws the terms of a lease.
func (s *sim) terms(self lease.SelfFence) lease.Terms {
	t := lease.Fast()
	t.Length = pick(s, s.p.lengths)
	t.Self, t.Kill = self, lease.GuardKill
	if self == lease.Watchdog {
		t.Kill = pick(s, []time.Duration{3 * time.Second, lease.DefaultWatchdog})
	}
	return t
}

func (s *sim) newest() uint64 { return uint64(len(s.states) - 1) }

func (s *sim) head() *planner.State { return s.states[len(s.states)-1] }

func (s *sim) members() []string {
	var names []string
	for _, m := range s.monitors {
		if m.member {
			names = append(names, m.voice())
		}
	}
	return names
}

// machine is the one that bears the name by right.
func (s *sim) machine(name string) *machine { return s.machines[slices.Index(hosts, name)] }

// fenceable says that the power of a host can be taken away: that of a twin, nobody knows where.
func (s *sim) fenceable(name string) bool {
	return s.p.fence > 0 && !slices.ContainsFunc(s.machines[len(hosts):], func(m *machine) bool { return m.name == name })
}

// toAgents sends something to whoever bears a host's name, toAgent to one of them.
func (s *sim) toAgents(from int, name string, do func(*agent)) {
	for _, m := range s.machines {
		if m.name == name {
			s.toAgent(from, m, 0, do)
		}
	}
}

func (s *sim) toAgent(from int, m *machine, longer time.Duration, do func(*agent)) {
	s.slowMail(from, m.node, longer, func() {
		if a := m.agent; a != nil {
			a.wake(func() { do(a) })
		}
	})
}

// commit appends an entry to the one log. Apply decides what becomes of it.
func (s *sim) commit(by, reason string, event planner.Event) error {
	before := s.head()
	event = s.mut.edit(before, event)
	e := planner.Entry{At: epoch0.Add(s.now * logSpeed), By: by, Reason: reason, Event: event}
	index := s.newest() + 1 + s.raise
	after, err := before.Apply(index, e)
	s.mut.distort(before, after, event)
	s.entries, s.states = append(s.entries, e), append(s.states, after)
	if s.tell != nil {
		s.say("#%d by %s: %s %+v%s", index, by, event.Name(), event, refused(err))
	}
	if err == nil {
		s.judgeEntry(before, after, event)
	}
	for _, m := range s.monitors {
		if m.member && m.up {
			m.learn(s.newest())
		}
	}
	return err
}

func refused(err error) string {
	if err == nil {
		return ""
	}
	return " REFUSED: " + err.Error()
}

func (s *sim) must(event planner.Event) {
	if err := s.commit("ann", "", event); err != nil {
		panic(fmt.Sprintf("%s was refused: %v", event.Name(), err))
	}
}

// judgeEntry: a grant to another host has evidence in the log that is younger than the last grant.
func (s *sim) judgeEntry(before, after *planner.State, event planner.Event) {
	switch e := event.(type) {
	case planner.StepStarted:
		st := before.Run(e.Run).Step(e.Step)
		if st.Kind != plans.StepStart {
			return
		}
		w, _ := before.Workloads.Get(st.Workload)
		if w.Last != "" && w.Last != e.Host && (w.Freed == nil || w.Freed.Host != w.Last || w.Freed.Index <= s.granted[st.Workload]) {
			s.fail("#%d grants %s to %s without evidence that it left %s", after.Index, st.Workload, e.Host, w.Last)
		}
		s.granted[st.Workload] = after.Index
	case planner.RunStarted:
		if e.Kind == planner.RunFence {
			s.fenceRuns[e.Hosts[0]] = after.LastRun
		}
	default:
	}
}

// judgeStart: nobody else runs what starts here.
func (s *sim) judgeStart(m *machine, workload string, token uint64) {
	s.starts++
	if s.ran[workload] != m && s.ran[workload] != nil {
		s.moves++
	}
	s.ran[workload] = m
	s.say("%s: %s started (#%d)", m.name, workload, token)
	for _, other := range s.machines {
		if p := other.procs[workload]; p != nil && other != m {
			s.fail("%s was started on %s (%s) under #%d, but runs on %s (%s) under #%d",
				workload, m.name, m.bootID(), token, other.name, other.bootID(), p.token)
		}
	}
}

// changedTerms is the inventory with other terms for one host.
func (s *sim) changedTerms() planner.FilesApplied {
	state := s.head()
	inv := *state.Inventory
	inv.Hosts = maps.Clone(inv.Hosts)
	name := pick(s, hosts)
	host := inv.Hosts[name]
	self := host.Lease.Self
	if s.chance(0.5) {
		self = s.p.self(s, name)
	}
	host.Lease = s.terms(self)
	inv.Hosts[name] = host
	return planner.FilesApplied{Base: state.Revision, Set: plans.Set{Inventory: &inv}}
}
