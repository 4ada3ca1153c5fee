// Package consoletest is a monitor for tests of the console and of what talks to it: a log in memory over a real
// planner.State, without Raft, agents or a clock.
//
// Invariants: it refuses what planner.State.Apply refuses; each entry is one second later than the one before, so that the
// same entries give the same answers.
//
// Concurrency: a Monitor may be used from several goroutines.
package consoletest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

var (
	_ console.Monitor  = (*Monitor)(nil)
	_ console.Examiner = (*Monitor)(nil)
)

// Monitor is one monitor that leads by itself, until Change says otherwise.
type Monitor struct {
	mu       sync.Mutex
	at       time.Time
	look     console.Look
	err      error
	watchers map[chan struct{}]bool
	applied  []applied
}

// applied is an entry of the log as it is told to whoever keeps it.
type applied struct {
	index   uint64
	raw     []byte
	refusal *planner.Refusal
	chain   string
}

// New makes a monitor whose log holds one entry, ClusterFormed.
func New(name string) *Monitor {
	m := &Monitor{
		at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), watchers: map[chan struct{}]bool{},
		look: console.Look{
			Self: name, State: planner.NewState(), Picture: &planner.Picture{}, Leader: name, Leading: true, Term: 3,
			Members: []console.Member{{Name: name, Suffrage: "voter"}}, Version: "test",
		},
	}
	m.Must(planner.ClusterFormed{Cluster: "c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0", Monitors: []string{name}})
	return m
}

// Look implements console.Monitor.
func (m *Monitor) Look() console.Look {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.look
}

// Examine implements console.Examiner: a machine with room, and certificates of three months.
func (m *Monitor) Examine() console.Self {
	look := m.Look()
	m.mu.Lock()
	defer m.mu.Unlock()
	return console.Self{
		Monitor: look.Self, Version: look.Version, Wall: console.Time{Time: m.at},
		Certificates: []console.CertificateItem{{Holder: "monitor", Expires: console.Time{Time: m.at.Add(90 * 24 * time.Hour)}}},
		Disk:         console.DiskItem{Dir: "/var/lib/holter/monitor", Free: 80 << 30, Total: 100 << 30, Least: 512 << 20},
		NATS:         console.NATSItem{Connected: true, Addresses: []string{}},
	}
}

// Propose implements console.Monitor.
func (m *Monitor) Propose(_ context.Context, e planner.Entry) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	if !m.look.Leading {
		return 0, planner.ErrNotLeader
	}
	m.at = m.at.Add(time.Second)
	e.V, e.Name, e.At = planner.EntryVersion, e.Event.Name(), m.at
	raw, err := planner.EncodeEntry(e)
	if err != nil {
		return 0, err
	}
	next, err := m.look.State.Apply(m.look.State.Index+1, e)
	m.look.State = next.Chained(m.look.State, raw, err != nil)
	refusal, _ := errors.AsType[*planner.Refusal](err)
	m.applied = append(m.applied, applied{next.Index, raw, refusal, m.look.State.Chain})
	if err != nil {
		return next.Index, err
	}
	m.look.Now, m.look.Picture = m.at, picture(m.look)
	m.wake()
	return next.Index, nil
}

// Must puts an event in the log as the monitor itself would, and panics when it is refused.
func (m *Monitor) Must(event planner.Event) uint64 { return m.Say("", event) }

// Say is Must with a reason.
func (m *Monitor) Say(reason string, event planner.Event) uint64 {
	index, err := m.Propose(context.Background(), planner.Entry{By: "mon-1", Reason: reason, Event: event})
	if err != nil {
		panic(err)
	}
	return index
}

// Replay tells the whole log, the refused entries too, as a monitor tells what it applies.
func (m *Monitor) Replay(tell func(index uint64, raw []byte, refusal *planner.Refusal, chain string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.applied {
		tell(e.index, e.raw, e.refusal, e.chain)
	}
}

// Change changes what the monitor knows; with an error every proposal fails with it from now on.
func (m *Monitor) Change(err error, change func(*console.Look)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	change(&m.look)
	m.wake()
}

// Watch implements console.Monitor.
func (m *Monitor) Watch() (changed <-chan struct{}, stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{}, 1)
	m.watchers[c] = true
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, c)
	}
}

// Watchers counts those that watch.
func (m *Monitor) Watchers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.watchers)
}

func (m *Monitor) wake() {
	for c := range m.watchers {
		select {
		case c <- struct{}{}:
		default: // it holds a value already
		}
	}
}

// picture is what a monitor hears when every host does what the log says.
func picture(look console.Look) *planner.Picture {
	p := &planner.Picture{
		Hosts: map[string]planner.HostPicture{}, Workloads: map[string][]planner.WorkloadPicture{},
		Monitors: []planner.MonitorPicture{{Name: look.Self, Able: true, Version: look.Version}}, Strangers: []string{},
	}
	for name, host := range look.State.Hosts.All() {
		heard := planner.HostPicture{Heart: planner.HeartUnseen, Age: -1, LostAfter: 3 * time.Second, LostBy: []string{}}
		switch host.Phase {
		case planner.Active:
			heard.Heart, heard.Age = planner.HeartAlive, 120*time.Millisecond
			heard.Lease = wire.LeaseStatus{Held: true, Left: 5200 * time.Millisecond}
		case planner.Revoking, planner.Expired:
			heard.Heart, heard.Age, heard.LostBy = planner.HeartLost, 9*time.Second, []string{look.Self}
			heard.Lease = wire.LeaseStatus{Held: true, Left: -3 * time.Second} // its last word, 9 s ago
		case planner.Unseen:
		}
		p.Hosts[name] = heard
	}
	for name, w := range look.State.Workloads.All() {
		if host, _ := look.State.Hosts.Get(w.Owner); host.Phase == planner.Active {
			p.Workloads[name] = []planner.WorkloadPicture{{Host: w.Owner, Condition: actions.Running, Ready: w.Ready, Token: w.Token}}
		}
	}
	return p
}
