package sim

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// mutant is a rule that is removed: at the edges of the simulator, where messages are made, clocks are read and entries are
// handed over, never in production code.
type mutant string

// none is the protocol as it is. The others are in the order of the way that a lease goes.
const (
	none            mutant = ""
	newestStamp     mutant = "an answer counts for the newest renewal, not for its own"
	anyAck          mutant = "answers count under any incarnation and epoch"
	acksRevoked     mutant = "monitors answer while the epoch is revoked"
	staleNow        mutant = "a monitor has read its clock before the message came"
	noBootWait      mutant = "a restarted monitor does not wait"
	noReadIndex     mutant = "a restarted monitor answers before it has caught up"
	noDrift         mutant = "there is no margin for clocks that drift"
	oneReport       mutant = "one report suffices"
	anyReport       mutant = "reports of a cancelled revocation count"
	newestVoters    mutant = "a majority of the newest voters suffices"
	epochVoters     mutant = "a majority of the voters since the present epoch suffices"
	knownVoters     mutant = "voters count as those that have renewed as soon as they are known"
	noGuard         mutant = "there is no guard"
	ignoresLease    mutant = "the agent does not look at its lease"
	longOffer       mutant = "shorter terms bind only from the assignment on"
	noMaxSeen       mutant = "the agent takes older tokens"
	anyIncarnation  mutant = "commands are not bound to incarnation and epoch"
	actsWhileAsking mutant = "the agent acts under its epoch while it asks to join"
	anyNonce        mutant = "an assignment may answer any nonce"
	anyNonceJoins   mutant = "a join may name any nonce"
	keepFrees       mutant = "a join frees what it keeps"
	tokenFrees      mutant = "a join frees what it keeps under an older token"
	killIsGone      mutant = "what was killed counts as gone"
	twinJoins       mutant = "a second machine joins while the first is active"
	anyFenced       mutant = "the success of a former fencing counts"
	sameVoter       mutant = "a monitor that takes another's place votes on leases under its name"
	trustsCopy      mutant = "a recovered cluster believes what it knows of hosts"
	grantsAtOnce    mutant = "a recovered cluster does not wait until every host is proven"
)

// distort changes what Apply made of an entry.
func (m mutant) distort(before, after *planner.State, event planner.Event) {
	switch event.(type) {
	case planner.ClusterRecovered:
		switch m {
		case trustsCopy:
			after.Hosts, after.Recovery = before.Hosts, nil
		case grantsAtOnce:
			after.Recovery = nil
		default:
		}
	default:
	}
}

// edit changes an entry before Apply sees it, so that Apply lets in what it would refuse.
func (m mutant) edit(s *planner.State, event planner.Event) planner.Event {
	switch e := event.(type) {
	case planner.HostExpired:
		if e.Evidence == planner.LeaseExpired && m.enough(s, e) {
			e.Reports = nil
			for _, v := range s.Voters {
				e.Reports = append(e.Reports, v.Names...)
			}
		}
		return e
	case planner.HostJoined:
		host, _ := s.Hosts.Get(e.Host)
		switch m {
		case anyNonceJoins:
			if host.Offer != nil {
				e.Nonce = host.Offer.Nonce
			}
		case keepFrees:
			e.Keep = nil
		case tokenFrees:
			e.Keep = slices.DeleteFunc(slices.Clone(e.Keep), func(k wire.Kept) bool {
				w, _ := s.Workloads.Get(k.Workload)
				return w.Token != k.Token
			})
		case twinJoins:
			e.Former, e.Last = host.Inc, host.Epoch
		default:
		}
		return e
	default:
		return event
	}
}

// enough says that a mutant is content with these reports.
func (m mutant) enough(s *planner.State, e planner.HostExpired) bool {
	majority := func(v lease.Voters) bool {
		n := 0
		for _, name := range v.Names {
			if slices.Contains(e.Reports, name) {
				n++
			}
		}
		return n >= v.Majority()
	}
	switch m {
	case oneReport:
		return true
	case newestVoters:
		return majority(s.LeaseVoters())
	case epochVoters:
		for i, v := range s.Voters {
			inForce := i+1 == len(s.Voters) || s.Voters[i+1].Index > e.Epoch
			if inForce && !majority(v) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// calm is a profile in which nothing goes wrong but moves.
func calm() profile {
	return profile{
		length: 60 * time.Second, loss: 0.02, snapshots: 20, latest: 20 * time.Second, lagMost: 10 * time.Second,
		cutFor: 15 * time.Second, pauseFor: 10 * time.Second, offFor: 5 * time.Second, agentOff: time.Second, bootTime: time.Second,
		fencedFor: 5 * time.Second,
		lostAfter: 3 * time.Second, startTime: 500 * time.Millisecond, stopTime: time.Second, slowest: 5 * time.Second,
		workloads: 1, lengths: []time.Duration{3 * time.Second}, selves: []lease.SelfFence{lease.Guard},
	}
}

// aim is a mutant with the faults that its rule is there for.
type aim struct {
	mutant mutant
	faults func(*profile)
}

func (a aim) profile() profile {
	p := calm()
	a.faults(&p)
	return p
}

var directed = []aim{
	{newestStamp, func(p *profile) { p.lateAcks, p.cutAgent = 0.5, 8*time.Second }},
	{anyAck, func(p *profile) {
		p.length, p.lateAcks, p.latest, p.script = 110*time.Second, 0.5, 80*time.Second, reboots
		p.rates, p.lengths, p.bootTime = []float64{0.9, 1.1}, []time.Duration{12 * time.Second}, 100*time.Millisecond
	}},
	{acksRevoked, func(p *profile) { p.doubt, p.cut = 0.01, 500*time.Millisecond }},
	{staleNow, func(p *profile) {
		p.rates, p.lengths, p.script = []float64{0.9, 1.1}, []time.Duration{12 * time.Second}, sleepers
	}},
	{noBootWait, func(p *profile) { p.crashMonitor, p.pauseFor, p.doubt = 2*time.Second, time.Second, 0.01 }},
	{noReadIndex, func(p *profile) { p.script = replays }},
	{noDrift, func(p *profile) {
		p.rates, p.lengths = []float64{0.9, 1.1}, []time.Duration{12 * time.Second}
		p.pauseAgent, p.pauseFor, p.startTime = 8*time.Second, 40*time.Second, 10*time.Millisecond
	}},
	{oneReport, func(p *profile) { p.doubt, p.cut = 0.01, time.Second }},
	{anyReport, func(p *profile) { p.doubt, p.reinstate, p.cut = 0.02, 0.1, 500*time.Millisecond }},
	{newestVoters, func(p *profile) {
		p.lengths, p.script = []time.Duration{12 * time.Second}, func(s *sim) { s.otherVoters(false) }
	}},
	{epochVoters, func(p *profile) {
		p.lengths, p.script = []time.Duration{12 * time.Second}, func(s *sim) { s.otherVoters(true) }
	}},
	{knownVoters, func(p *profile) {
		p.lengths, p.script = []time.Duration{12 * time.Second}, func(s *sim) { s.otherVoters(false) }
	}},
	{noGuard, func(p *profile) { p.pauseAgent, p.pauseFor = 5*time.Second, 20*time.Second }},
	{ignoresLease, func(p *profile) {
		p.doubt, p.loss, p.stale = 0.02, 0.4, 1
		p.lag, p.lagMost, p.leaders = 3*time.Second, 20*time.Second, 5*time.Second
	}},
	{longOffer, func(p *profile) {
		p.files, p.lengths = 5*time.Second, []time.Duration{2 * time.Second, 12 * time.Second}
		p.doubt, p.cutAgent = 0.01, 5*time.Second
	}},
	{noMaxSeen, func(p *profile) { p.move, p.stale, p.giveUp, p.loss = 0.1, 0.5, 0.2, 0.4 }},
	{anyIncarnation, func(p *profile) { p.late, p.stale, p.crashAgent, p.killFirst = 0.2, 0.5, 5*time.Second, 1 }},
	{actsWhileAsking, func(p *profile) {
		p.rejoin, p.cutAgent, p.startTime = time.Second, 5*time.Second, 10*time.Millisecond
		p.slowJoin, p.move, p.loss = 0.8, 0.1, 0.2
	}},
	{anyNonce, func(p *profile) {
		p.rejoin, p.cutAgent, p.startTime = time.Second, 5*time.Second, 10*time.Millisecond
		p.slowJoin, p.move, p.late, p.latest, p.twice = 0.8, 0.1, 0.3, 3*time.Second, 0.5
	}},
	{anyNonceJoins, func(p *profile) { p.files, p.late, p.twice = 10*time.Second, 0.2, 0.3 }},
	{keepFrees, func(p *profile) { p.crashAgent = 5 * time.Second }},
	{tokenFrees, func(p *profile) {
		p.giveUp, p.crashAgent, p.agentOff, p.cutAgent = 0.4, 3*time.Second, 300*time.Millisecond, 4*time.Second
		p.loss, p.move, p.startTime, p.lengths = 0.3, 0.1, 10*time.Millisecond, []time.Duration{12 * time.Second}
	}},
	{killIsGone, func(p *profile) { p.crashAgent, p.killFirst, p.slowKill = 5*time.Second, 1, 0.8 }},
	{twinJoins, func(p *profile) { p.twin = 10 * time.Second }},
	{anyFenced, func(p *profile) { p.fence, p.doubt, p.bootTime = 0.5, 0.01, 100*time.Millisecond }},
	{sameVoter, func(p *profile) { p.script = successor }},
	{trustsCopy, func(p *profile) { p.script, p.move, p.length = loseQuorum, 0.05, 90*time.Second }},
	{grantsAtOnce, func(p *profile) { p.script, p.move, p.length, p.selves = loseQuorum, 0.05, 90*time.Second, unfenced }},
}

// runner is the machine that runs the first workload; the first machine if none does.
func (s *sim) runner() *machine {
	for _, m := range s.machines {
		if m.procs[workloads[0]] != nil {
			return m
		}
	}
	return s.machines[0]
}

// lose declares the host of a machine lost, as the state at this moment has it.
func (s *sim) lose(m *machine) {
	host, _ := s.head().Hosts.Get(m.name)
	_ = s.commit("m1", "", planner.HostLost{Host: m.name, Inc: host.Inc, Epoch: host.Epoch})
}

// reboots turns all hosts off and on, and cuts one off when its new clock comes to what the old one showed: answers to the
// former boot are still on their way.
func reboots(s *sim) {
	s.after(s.between(38*time.Second, 42*time.Second), func() {
		for _, m := range s.machines {
			m.halt("the power failed for a moment", 200*time.Millisecond)
		}
	})
	s.after(s.between(64*time.Second, 72*time.Second), func() { s.cutOff(s.runner(), 20*time.Second, false, false) })
}

// replays revokes a host of which one monitor hears at once, one a little later and one much later. The first has borne
// witness when it is restarted, and its log comes back slowly.
func replays(s *sim) {
	s.after(10*time.Second, func() {
		first, second, third := s.monitors[0], s.monitors[1], s.monitors[2]
		first.leads, second.leads = false, true
		victim := s.runner()
		takeover := s.head().Inventory.Hosts[victim.name].Lease.Takeover()
		second.behind = s.now + s.between(takeover/2, takeover)
		third.behind = s.now + 4*takeover
		s.lose(victim)
		s.at(first.clock.real(first.now()+takeover)+s.upTo(time.Second), func() {
			first.behind = s.now + 4*takeover
			first.crash(s.upTo(300 * time.Millisecond))
		})
	})
}

// sleepers lets one monitor sleep over the revocation of a host that it goes on renewing when it wakes up, by what it had
// waiting, and then no more. One hears of the revocation at once, one much later.
func sleepers(s *sim) {
	s.after(10*time.Second, func() {
		first, second, third := s.monitors[0], s.monitors[1], s.monitors[2]
		first.leads, second.leads = false, true
		victim := s.runner()
		asleep := s.between(17*time.Second, 22*time.Second)
		first.pause(asleep)
		first.behind = s.now + asleep + s.upTo(time.Second)
		s.after(asleep-40*time.Millisecond, func() { s.cut(victim.node, first.node, time.Hour) })
		s.after(asleep-s.between(3*time.Second, 10*time.Second), func() {
			third.behind = s.now + time.Minute
			s.lose(victim)
		})
	})
}

// otherVoters adds two monitors that do not hear a host, and later takes two away that did. Just then the host is lost, or
// its agent dies, joins again with what it keeps, and is cut off before anybody has confirmed that.
func (s *sim) otherVoters(join bool) {
	s.after(10*time.Second, func() {
		victim := s.runner()
		s.cut(victim.node, 3, time.Hour)
		s.cut(victim.node, 4, time.Hour)
		s.setMembers(0, 1, 2, 3, 4)
		s.after(s.between(20*time.Second, 25*time.Second), func() {
			s.setMembers(0, 3, 4)
			wait := s.upTo(3 * time.Second)
			if join && victim.agent != nil {
				victim.agent.die(s.upTo(100 * time.Millisecond))
				wait += time.Second
			}
			s.after(wait, func() {
				s.cutOff(victim, 20*time.Second, false, false)
				s.lose(victim)
			})
		})
	})
}
