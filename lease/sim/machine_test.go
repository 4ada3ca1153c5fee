package sim

import (
	"fmt"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// machine is a host as it is: what runs there, its disk, and its guard. Two machines of one name are twins.
type machine struct {
	s     *sim
	name  string
	node  int
	clock clock
	up    bool
	boots int
	held  bool // a person keeps it off

	procs   map[string]*process // by workload
	journal *journal            // on its disk
	orders  orders              // in the memory of this boot

	agent    *agent
	frozen   time.Duration // until when its guard stands still
	guarding bool          // the guard's next look is planned ...
	looksFor time.Duration // ... for this end of the lease
	looks    int           // which look that is
}

// process is a workload that runs. One that is dying has been killed, and runs until it is gone.
type process struct {
	token uint64
	dying bool
}

// journal is what an agent writes down: it outlives reboots.
type journal struct {
	id      string
	entries map[string]*entry
	results map[string]wire.Result // by command
}

type entry struct {
	token  uint64 // under which it was started; 0: proven gone
	seen   uint64 // the newest token that a command had
	seenID string
}

// orders is what an agent leaves the guard and its own next incarnation.
type orders struct {
	inc, epoch uint64      // what this boot held last
	tried      []lease.Try // the joins since then that may have been taken in
	kept       *lease.Kept
	until      time.Duration
	self       lease.SelfFence
	kill       time.Duration
}

func (o orders) fences() bool { return o.self == lease.Guard || o.self == lease.Watchdog }

func newMachine(s *sim, name string, node int) *machine {
	m := &machine{s: s, name: name, node: node, procs: map[string]*process{}, journal: &journal{
		id: fmt.Sprintf("journal-%d", node), entries: map[string]*entry{}, results: map[string]wire.Result{},
	}}
	m.clock.rate = s.p.drift(s, true)
	s.machines = append(s.machines, m)
	return m
}

// copied is the journal as a copied disk has it.
func (j *journal) copied() *journal {
	c := &journal{id: j.id, entries: map[string]*entry{}, results: map[string]wire.Result{}}
	for name, e := range j.entries {
		cloned := *e
		c.entries[name] = &cloned
	}
	for id, r := range j.results {
		c.results[id] = r
	}
	return c
}

func (j *journal) entry(workload string) *entry {
	if j.entries[workload] == nil {
		j.entries[workload] = &entry{}
	}
	return j.entries[workload]
}

func (m *machine) now() time.Duration { return m.clock.at(m.s.now) }

func (m *machine) bootID() string { return fmt.Sprintf("%s-%d-%d", m.name, m.node, m.boots) }

// boot turns the machine on. Nothing runs, and its clock begins anew.
func (m *machine) boot() {
	if m.up {
		return
	}
	m.boots++
	m.up, m.orders, m.guarding, m.frozen = true, orders{}, false, 0
	m.clock.base, m.clock.start = m.s.now, m.s.between(time.Second, 4*time.Second)
	m.s.say("%s: booted (%s)", m.name, m.bootID())
	m.startAgent(m.s.upTo(m.s.p.bootTime))
}

// halt takes the machine's power away; it boots again by itself unless a person keeps it off.
func (m *machine) halt(why string, off time.Duration) {
	if !m.up {
		return
	}
	m.s.say("%s: halted: %s", m.name, why)
	m.up, m.agent = false, nil
	clear(m.procs)
	m.reboot(off)
}

func (m *machine) reboot(off time.Duration) {
	m.s.after(off, func() {
		if m.held {
			m.reboot(time.Second)
			return
		}
		m.boot()
	})
}

// startAgent starts an agent after a while, unless there is one by then.
func (m *machine) startAgent(after time.Duration) {
	boots := m.boots
	m.s.after(after, func() {
		switch {
		case !m.up || m.boots != boots || m.agent != nil:
		case m.s.now < m.frozen: // nothing starts on a machine that stands still
			m.startAgent(m.frozen - m.s.now)
		default:
			newAgent(m)
		}
	})
}

// begin lets a workload run. This is where the promise is kept or broken.
func (m *machine) begin(workload string, token uint64) {
	m.procs[workload] = &process{token: token}
	m.s.judgeStart(m, workload, token)
}

// kill sends SIGKILL to a workload; it is gone when it is gone.
func (m *machine) kill(workload string, slow time.Duration) {
	p := m.procs[workload]
	if p == nil || p.dying {
		return
	}
	p.dying = true
	m.exit(workload, slow)
}

// exit lets a workload end after a while, if it is still the same process.
func (m *machine) exit(workload string, after time.Duration) {
	p := m.procs[workload]
	m.s.after(after, func() {
		if m.procs[workload] == p && p != nil {
			delete(m.procs, workload)
			m.s.say("%s: %s ended (#%d)", m.name, workload, p.token)
		}
	})
}

// crash lets a workload end by itself.
func (m *machine) crash(workload string) { m.exit(workload, 0) }

// guard plans the guard's next look: some time between the end of the lease and the kill time after it. The guard goes by
// its orders, whoever is alive.
func (m *machine) guard() {
	sooner := m.guarding && m.orders.until < m.looksFor // the orders have become tighter
	if m.guarding && !sooner || !m.orders.fences() || m.s.mut == noGuard {
		return
	}
	m.guarding, m.looksFor = true, m.orders.until
	m.looks++
	boots, look := m.boots, m.looks
	within := min(m.orders.kill, lease.GuardKill)
	slack := m.s.upTo(within)
	if m.s.chance(0.5) {
		slack = within * 99 / 100
	}
	m.s.at(m.clock.real(m.orders.until+slack), func() { m.look(boots, look) })
}

func (m *machine) look(boots, look int) {
	switch {
	case !m.up || m.boots != boots || m.looks != look:
		return
	case m.s.now < m.frozen:
		m.s.at(m.frozen, func() { m.look(boots, look) })
		return
	}
	m.guarding = false
	if !m.orders.fences() {
		return
	}
	if m.now() < m.orders.until {
		m.guard()
		return
	}
	for _, workload := range workloads {
		if p := m.procs[workload]; p != nil {
			m.s.say("%s: the guard killed %s (#%d)", m.name, workload, p.token)
			delete(m.procs, workload)
		}
	}
}

// freeze lets agent and guard stand still, as a machine does that swaps, or whose scheduler starves them. Under a watchdog
// it is reset when it was not petted in time. Where only a guard fences, the guard keeps on: that is what it promises.
func (m *machine) freeze(d time.Duration) {
	s := m.s
	if !m.up {
		return
	}
	s.say("%s: froze for %s", m.name, d)
	if m.agent != nil {
		m.agent.paused = max(m.agent.paused, s.now+d)
	}
	if m.orders.self == lease.Guard || s.now < m.frozen {
		return
	}
	m.frozen = s.now + d
	if m.orders.self != lease.Watchdog || s.mut == noGuard {
		return
	}
	petted := min(m.now()-s.upTo(m.orders.kill/3), m.orders.until)
	reset, boots := m.clock.real(petted+m.orders.kill), m.boots
	if reset < m.frozen && len(m.procs) > 0 {
		s.at(reset, func() {
			if m.boots == boots {
				m.halt("its watchdog was not petted", s.between(time.Second, 10*time.Second))
			}
		})
	}
}
