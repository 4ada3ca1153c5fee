package sim

import (
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// monitorTick is how often a monitor looks at what it has to do.
const monitorTick = 250 * time.Millisecond

// monitor is one monitor: the real lease.Granter over its own, lagging copy of the log. One that is no member any more
// learns nothing, and does not know it: it goes on answering by what it knew.
type monitor struct {
	s       *sim
	name    string
	node    int
	clock   clock
	up      bool
	member  bool
	gone    bool // for good
	gen     int  // grows with each start
	paused  time.Duration
	froze   time.Duration // when the last pause began
	behind  time.Duration // nothing of the log arrives before then
	applied uint64
	next    time.Duration // when the newest entry that is under way arrives
	granter *lease.Granter
	fencing map[fenceKey]bool

	leading
}

type fenceKey struct {
	revocation uint64
	attempt    int
}

func newMonitor(s *sim, name string, node int) *monitor {
	m := &monitor{s: s, name: name, node: node}
	m.clock.rate, m.clock.start = s.p.drift(s, false), s.between(time.Second, time.Hour)
	s.monitors = append(s.monitors, m)
	return m
}

func (m *monitor) now() time.Duration { return m.clock.at(m.s.now) }

// voice is the name under which it votes on leases. The fourth monitor is the one that takes the place of the third.
func (m *monitor) voice() string {
	if m.s.mut == sameVoter && m == m.s.monitors[3] {
		return m.s.monitors[2].name
	}
	return m.name
}

func (m *monitor) state() *planner.State { return m.s.states[m.applied] }

// start starts the monitor with an empty memory. It applies its log anew, from a snapshot that may be old.
func (m *monitor) start() {
	if m.gone {
		return
	}
	m.gen++
	m.up, m.paused, m.leading = true, 0, newLeading()
	m.fencing = map[fenceKey]bool{}
	if m.s.life == 0 { // a recovered log begins with a snapshot
		m.applied -= min(m.applied, uint64(m.s.rnd.IntN(m.s.p.snapshots)))
	}
	booted := m.now()
	if m.s.mut == noBootWait {
		booted -= time.Hour
	}
	m.granter = lease.NewGranter(booted)
	if m.s.mut == noReadIndex {
		m.granter.CaughtUp(0)
	}
	m.s.say("%s: started at #%d", m.name, m.applied)
	m.next = m.s.now
	for at := m.applied; m.member && at < m.s.newest(); {
		at = min(m.s.newest(), at+1+uint64(m.s.rnd.IntN(20)))
		m.learn(at)
	}
	m.catchUp(m.gen)
	m.tick(m.gen)
}

func (m *monitor) crash(off time.Duration) {
	if !m.up {
		return
	}
	m.s.say("%s: crashed", m.name)
	m.up = false
	if m.leads {
		m.s.after(m.s.upTo(time.Second), m.s.changeLeaders)
	}
	m.s.after(off, m.start)
}

// learn plans that the log up to an index arrives, after all that came before.
func (m *monitor) learn(index uint64) {
	m.next = max(m.next, m.behind, m.s.now+m.s.upTo(30*time.Millisecond))
	gen := m.gen
	m.s.at(m.next, func() {
		if m.gen == gen {
			m.receive(func(*monitor) {
				m.applied = max(m.applied, index)
				m.fence()
			})
		}
	})
}

// catchUp asks how far the log goes, until somebody who leads for certain has said so.
func (m *monitor) catchUp(gen int) {
	if !m.up || m.gen != gen || !m.granter.Waits() {
		return
	}
	asked := pick(m.s, m.s.monitors)
	m.s.mail(m.node, asked.node, func() {
		if !asked.up || !asked.member {
			return
		}
		committed := m.s.newest()
		m.s.mail(asked.node, m.node, func() {
			if m.up && m.gen == gen {
				m.granter.CaughtUp(committed)
			}
		})
	})
	m.s.after(time.Second, func() { m.catchUp(gen) })
}

// receive lets the monitor take something in, when it runs.
func (m *monitor) receive(do func(*monitor)) {
	switch {
	case !m.up:
	case m.s.now < m.paused:
		m.s.at(m.paused, func() { m.receive(do) })
	default:
		do(m)
	}
}

func (m *monitor) pause(d time.Duration) {
	if m.up && m.s.now >= m.paused {
		m.s.say("%s: paused for %s", m.name, d)
		m.froze, m.paused = m.s.now, m.s.now+d
	}
}

func (m *monitor) tick(gen int) {
	if m.gen != gen {
		return
	}
	m.receive(func(*monitor) {
		m.bearWitness()
		if m.leads && m.member {
			m.lead()
		}
	})
	m.s.after(monitorTick/2+m.s.upTo(monitorTick), func() { m.tick(gen) })
}

// hearRenewal answers an agent's renewal, if it is in force. A leader sees from it what the agent knows.
func (m *monitor) hearRenewal(from *machine, r wire.Renew, w word) {
	m.heard[r.Host], m.stamps[r.Host] = m.s.now, max(r.Stamp, 0)
	host, _ := m.state().Hosts.Get(r.Host)
	now := m.now()
	if m.s.mut == staleNow && m.s.now == m.paused {
		now = m.clock.at(m.froze)
	}
	st := standing(host)
	if m.s.mut == acksRevoked {
		st.Active = host.Phase == planner.Active || host.Phase == planner.Revoking
	}
	if m.granter.Renew(r.Host, r.Inc, r.Epoch, st, m.applied, now) {
		ack := lease.Ack{Monitor: m.voice(), Inc: r.Inc, Epoch: r.Epoch, Stamp: r.Stamp, Voters: m.state().LeaseVoters().Index}
		longer := time.Duration(0)
		if m.s.chance(m.s.p.lateAcks) {
			longer = m.s.upTo(m.s.p.latest)
		}
		m.s.toAgent(m.node, from, longer, func(a *agent) { a.hearAck(ack) })
	}
	if m.leads && host.Phase == planner.Active && host.Inc == r.Inc {
		m.hearWord(host, r, w)
	}
}

func standing(h planner.Host) lease.Standing {
	return lease.Standing{Inc: h.Inc, Epoch: h.Epoch, Revocation: h.Revocation, Active: h.Phase == planner.Active, Terms: h.Lease}
}

// bearWitness reports the leases that are over, as early as it may.
func (m *monitor) bearWitness() {
	for _, name := range hosts {
		host, _ := m.state().Hosts.Get(name)
		if host.Phase != planner.Revoking {
			continue
		}
		st := standing(host)
		if m.s.mut == noDrift {
			st.Terms.Length, st.Terms.Kill = st.Terms.Length*4/5, st.Terms.Kill*4/5
		}
		due, wait := m.granter.Report(name, st, m.now())
		if due {
			m.report(wire.Report{Monitor: m.voice(), Host: name, Epoch: host.Epoch, Revocation: host.Revocation})
		} else if wait > 0 && wait < monitorTick {
			gen := m.gen
			m.s.at(m.clock.real(m.now()+wait), func() {
				if m.gen == gen {
					m.receive(func(*monitor) { m.bearWitness() })
				}
			})
		}
	}
}

func (m *monitor) report(r wire.Report) {
	for _, to := range m.s.monitors {
		if to.up && to.leads {
			m.s.mail(m.node, to.node, func() {
				to.receive(func(*monitor) { to.hearReport(r) })
			})
		}
	}
}

// fence carries out the attempts that the log gives to this monitor: some succeed, some late, of some nobody hears.
func (m *monitor) fence() {
	for _, name := range hosts {
		host, _ := m.state().Hosts.Get(name)
		f := host.Fence
		if f == nil || f.Outcome != "" || f.Monitor != m.name {
			continue
		}
		key := fenceKey{host.Revocation, f.Attempt}
		if m.fencing[key] {
			continue
		}
		m.fencing[key] = true
		said := wire.Fenced{Monitor: m.name, Host: name, Revocation: host.Revocation, Attempt: f.Attempt, Outcome: wire.Done}
		target, gen := m.s.machine(name), m.gen
		m.s.after(m.s.upTo(5*time.Second), func() {
			switch {
			case m.s.chance(0.2):
				said.Outcome = wire.Failed
			case m.s.chance(0.3): // it is off some time, and nobody says so
				m.s.after(m.s.upTo(20*time.Second), func() { target.halt("fenced late", m.s.upTo(20*time.Second)) })
				return
			default:
				target.halt("fenced by "+m.name, m.s.between(time.Second, m.s.p.fencedFor))
			}
			for i := range 5 {
				m.s.after(time.Duration(i)*time.Second, func() {
					if m.gen == gen && m.up {
						m.sayFenced(said)
					}
				})
			}
		})
	}
}

func (m *monitor) sayFenced(said wire.Fenced) {
	for _, to := range m.s.monitors {
		if to.up {
			m.s.mail(m.node, to.node, func() {
				to.receive(func(*monitor) { to.fenced[said.Host] = append(to.fenced[said.Host], said) })
			})
		}
	}
}
