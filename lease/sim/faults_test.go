package sim

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
)

// profile says what goes wrong and how often. Probabilities are of one message, entry or turn; a mean time of 0 is never.
type profile struct {
	length time.Duration // of the run

	loss, twice, late float64
	lateAcks          float64       // acks that are later still
	latest            time.Duration // the longest that a late message takes
	lagMost           time.Duration // the longest that a monitor's log stays behind
	slowCommit        float64
	slowJoin          float64 // the same, of the entry that takes an incarnation in
	snapshots         int     // how many entries a monitor has to apply anew at most when it starts

	cut, cutAgent, pauseAgent, freeze, pauseMonitor, crashMonitor, crashAgent, reboot, crashWork time.Duration
	lag, leaders, members, files, twin, rejoin                                                   time.Duration

	cutFor, pauseFor, offFor, agentOff, bootTime, fencedFor time.Duration

	doubt, reinstate, move, giveUp, stale, fence float64 // of a leader's turn
	killFirst, startFails, slowKill              float64
	lostAfter, startTime, stopTime, slowest      time.Duration

	workloads int
	lengths   []time.Duration // of leases
	selves    []lease.SelfFence
	rates     []float64 // of clocks; nil: anything within the bound

	vary   bool // each kind of fault is sometimes rare and sometimes frequent
	script func(*sim)
}

// storm is the undirected profile: everything goes wrong.
func storm() profile {
	return profile{
		length: 150 * time.Second,
		loss:   0.05, twice: 0.05, late: 0.04, latest: 20 * time.Second, lagMost: 10 * time.Second, slowCommit: 0.05, snapshots: 100,
		cut: 15 * time.Second, cutAgent: 30 * time.Second, pauseAgent: 20 * time.Second, freeze: 50 * time.Second, pauseMonitor: 30 * time.Second,
		crashMonitor: 40 * time.Second, crashAgent: 25 * time.Second, reboot: 60 * time.Second, crashWork: 60 * time.Second,
		lag: 10 * time.Second, leaders: 12 * time.Second, members: 60 * time.Second, files: 50 * time.Second, rejoin: 40 * time.Second,
		cutFor: 30 * time.Second, pauseFor: 15 * time.Second, offFor: 30 * time.Second, agentOff: 8 * time.Second, bootTime: 3 * time.Second,
		fencedFor: 15 * time.Second,
		doubt:     0.003, reinstate: 0.05, move: 0.01, giveUp: 0.005, stale: 0.05, fence: 0.01,
		killFirst: 0.3, startFails: 0.05, slowKill: 0.1,
		lostAfter: 3 * time.Second, startTime: time.Second, stopTime: 2 * time.Second, slowest: 5 * time.Second,
		workloads: 1, lengths: []time.Duration{3 * time.Second, 4 * time.Second, 6 * time.Second},
		selves: []lease.SelfFence{lease.Guard, lease.Guard, lease.Watchdog, lease.None}, vary: true,
	}
}

// drawn is the profile of one run.
func (p profile) drawn(s *sim) profile {
	if !p.vary {
		return p
	}
	p.workloads = 1 + s.rnd.IntN(len(workloads))
	for _, mean := range []*time.Duration{
		&p.cut, &p.cutAgent, &p.pauseAgent, &p.freeze, &p.pauseMonitor, &p.crashMonitor, &p.crashAgent, &p.reboot, &p.crashWork, &p.leaders, &p.members, &p.files, &p.lag, &p.rejoin,
	} {
		*mean = time.Duration(float64(*mean) * pick(s, []float64{0, 0.3, 1, 1, 3}))
	}
	if s.chance(0.1) {
		p.twin = 40 * time.Second
	}
	if s.chance(0.1) {
		p.lagMost = time.Minute
	}
	if s.chance(0.5) {
		p.fence = 0
	}
	if s.chance(0.3) {
		p.rates = []float64{0.9, 1.1}
	}
	return p
}

// drift draws the rate of a machine's clock. Where they are given, the second is the monitors'.
func (p profile) drift(s *sim, host bool) float64 {
	switch {
	case p.rates == nil:
		return 0.9 + 0.2*s.rnd.Float64()
	case p.vary:
		return pick(s, p.rates)
	case host:
		return p.rates[0]
	}
	return p.rates[1]
}

// self draws how a host fences itself. One that does not, and of which there is a second machine with a copy of its disk, is
// beyond help: whoever says that it was started anew is believed.
func (p profile) self(s *sim, host string) lease.SelfFence {
	self := pick(s, p.selves)
	if p.twin > 0 && host == hosts[0] && self == lease.None {
		return lease.Guard
	}
	return self
}

// killTime is how long SIGKILL takes until the process is gone.
func (s *sim) killTime() time.Duration {
	if s.chance(s.p.slowKill) {
		return s.upTo(s.p.slowest)
	}
	return s.upTo(50 * time.Millisecond)
}

// faults lets things go wrong from here on.
func (s *sim) faults() {
	p := s.p
	s.often(p.cut, func() { s.cut(s.rnd.IntN(nodes), s.rnd.IntN(nodes), s.upTo(p.cutFor)) })
	s.often(p.cutAgent, func() { s.cutOff(pick(s, s.machines), s.upTo(p.cutFor), s.chance(0.5), s.chance(0.7)) })
	s.often(p.pauseAgent, func() {
		if a := pick(s, s.machines).agent; a != nil && s.now >= a.paused {
			a.paused = s.now + s.upTo(p.pauseFor)
			s.say("%s: agent paused until %s", a.m.name, a.paused)
		}
	})
	s.often(p.freeze, func() {
		d := s.upTo(p.pauseFor)
		pick(s, s.machines).freeze(d)
		if s.chance(0.5) {
			pick(s, s.monitors).pause(d)
		}
	})
	s.often(p.pauseMonitor, func() { pick(s, s.monitors).pause(s.upTo(p.pauseFor)) })
	s.often(p.crashMonitor, func() { pick(s, s.monitors).crash(s.upTo(p.pauseFor)) })
	s.often(p.crashAgent, func() {
		if a := pick(s, s.machines).agent; a != nil {
			a.die(s.upTo(p.agentOff))
		}
	})
	s.often(p.reboot, func() { pick(s, s.machines).halt("its power failed", s.upTo(p.offFor)) })
	s.often(p.crashWork, func() { pick(s, s.machines).crash(pick(s, workloads)) })
	s.often(p.lag, func() { pick(s, s.monitors).behind = s.now + s.upTo(p.lagMost) })
	s.often(p.leaders, s.changeLeaders)
	s.often(p.members, s.changeMembers)
	s.often(p.files, func() { _ = s.commit("ann", "", s.changedTerms()) })
	s.often(p.twin, s.clone)
	s.often(p.rejoin, func() {
		if a := pick(s, s.machines).agent; a != nil && !a.asking {
			a.join()
		}
	})
	s.often(5*time.Second, s.confirm)
}

func (s *sim) cut(from, to int, d time.Duration) {
	s.cuts[from][to] = max(s.cuts[from][to], s.now+d)
}

// cutOff cuts a machine off from all monitors, in one direction or both.
func (s *sim) cutOff(m *machine, d time.Duration, hears, speaks bool) {
	s.say("%s: cut off for %s, hears: %t, speaks: %t", m.name, d, hears, speaks)
	for node := range maxMonitors {
		if !speaks {
			s.cut(m.node, node, d)
		}
		if !hears {
			s.cut(node, m.node, d)
		}
	}
}

// changeLeaders lets one or two monitors believe to lead, and some former ones go on believing it.
func (s *sim) changeLeaders() {
	for _, m := range s.monitors {
		if m.leads && s.chance(0.7) {
			m.leads = false
		}
	}
	for range 2 {
		m := pick(s, s.monitors)
		if m.up && m.member && !m.leads {
			m.leads = true
			s.say("%s: leads", m.name)
		}
	}
	if !slices.ContainsFunc(s.monitors, func(m *monitor) bool { return m.leads && m.member }) {
		s.monitors[slices.IndexFunc(s.monitors, func(m *monitor) bool { return m.member })].leads = true
	}
}

// changeMembers makes other monitors the voters.
func (s *sim) changeMembers() { s.setMembers(s.rnd.Perm(maxMonitors)[:3+s.rnd.IntN(3)]...) }

// setMembers makes these monitors the voters. One that is none any more goes on by what it knew, or is turned off.
func (s *sim) setMembers(nodes ...int) {
	for i, m := range s.monitors {
		in := slices.Contains(nodes, i)
		switch {
		case in && !m.member:
			m.member = true
			m.start()
		case !in && m.member:
			m.member = false
			m.up = m.up && s.chance(0.5)
		}
	}
	s.must(planner.MonitorsChanged{Monitors: s.members()})
	if !slices.ContainsFunc(s.monitors, func(m *monitor) bool { return m.leads && m.member && m.up }) {
		s.changeLeaders()
	}
}

// clone makes a second machine of the first host's name, with a copy of its disk.
func (s *sim) clone() {
	if len(s.machines) > len(hosts) {
		return
	}
	m := newMachine(s, hosts[0], maxMonitors+len(hosts))
	m.journal = s.machines[0].journal.copied()
	m.boot()
}

// confirm is the person who says that a host runs nothing: only when it is off, and it stays off until that is in the log.
func (s *sim) confirm() {
	name := pick(s, hosts)
	host, _ := s.head().Hosts.Get(name)
	if host.Phase != planner.Revoking || slices.ContainsFunc(s.machines, func(m *machine) bool { return m.name == name && m.up }) {
		return
	}
	_ = s.commit("ann", "it is off", planner.HostExpired{Host: name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: planner.Confirmed})
}
