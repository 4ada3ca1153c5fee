package sim

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// agent is one incarnation of a machine's agent: the real lease.Holder, and the rules by which the real agent obeys.
type agent struct {
	s      *sim
	m      *machine
	inc    uint64
	holder *lease.Holder
	paused time.Duration

	epoch        uint64 // 0 from the moment it asks to join until it is taken in
	index        uint64 // of the newest assignment
	known        uint64 // of the voters that it names
	ask, nonce   uint64
	asking       bool
	former, last uint64 // what this boot held last
	tried        []lease.Try
	killFirst    bool          // nothing is kept: the lease is ending, or what is left from the former incarnation has to go
	since        time.Duration // of the first renewal under this epoch
	watching     bool          // the next look at the lease is planned
	sent         time.Duration
	busy         map[string]string // command under way, by workload
}

// newAgent starts an agent. It keeps what its former incarnation started, or kills it first.
func newAgent(m *machine) {
	s := m.s
	a := &agent{
		s: s, m: m, inc: s.rnd.Uint64() | 1, former: m.orders.inc, last: m.orders.epoch, tried: m.orders.tried,
		killFirst: s.chance(s.p.killFirst), busy: map[string]string{},
	}
	a.holder = lease.NewHolder(a.inc, m.orders.kept)
	m.agent = a
	s.say("%s: agent %04x started after %04x under #%d, kills first: %t", m.name, a.inc>>48, a.former>>48, a.last, a.killFirst)
	a.join()
	a.renew()
	a.watch()
}

// die ends the agent, as SIGKILL does, and starts the next one.
func (a *agent) die(next time.Duration) {
	a.s.say("%s: agent %04x died", a.m.name, a.inc>>48)
	a.m.agent = nil
	a.m.startAgent(next)
}

func (a *agent) now() time.Duration { return a.m.now() }

// after lets the agent do something after a while of its own clock, unless it is gone by then.
func (a *agent) after(d time.Duration, do func()) {
	a.s.at(a.m.clock.real(a.now()+d), func() { a.wake(do) })
}

func (a *agent) wake(do func()) {
	switch {
	case a.m.agent != a:
	case a.s.now < a.paused:
		a.s.at(a.paused, func() { a.wake(do) })
	default:
		do()
	}
}

// tellAll sends something to all monitors.
func (a *agent) tellAll(do func(*monitor)) {
	for _, m := range a.s.monitors {
		if m.up {
			a.s.mail(a.m.node, m.node, func() { m.receive(do) })
		}
	}
}

// order tells the guard, and the next incarnation, what is in force.
func (a *agent) order() {
	t := a.holder.Terms()
	a.m.orders = orders{
		inc: a.former, epoch: a.last, tried: a.tried, kept: a.holder.Kept(), until: a.holder.Until(), self: t.Self, kill: t.Kill,
	}
	a.m.guard()
}

func (a *agent) fencesItself() bool { return a.m.orders.fences() }

// leased says that what is exclusive may still run.
func (a *agent) leased() bool {
	phase := a.holder.Phase(a.now())
	return !a.fencesItself() || phase == lease.Held || phase == lease.Ending
}

// join begins to ask to be taken in. From here on no epoch is held.
func (a *agent) join() {
	a.ask++
	a.asking, a.nonce = true, 0
	if a.s.mut != actsWhileAsking {
		a.holder.Leave()
		a.epoch = 0
	}
	a.s.say("%s: asks to join (%d)", a.m.name, a.ask)
	a.askOn(a.ask)
}

func (a *agent) askOn(ask uint64) {
	if !a.asking || a.ask != ask {
		return
	}
	a.send()
	a.after(time.Second, func() { a.askOn(ask) })
}

// send sends the turn of the join that is due. The second one only when all that has no lease is proven gone.
func (a *agent) send() {
	j := wire.Join{
		Host: a.m.name, Boot: a.m.bootID(), Inc: a.inc, Stamp: a.now(), Ask: a.ask, Nonce: a.nonce,
		Epoch: a.last, Former: a.former, Tried: a.tried, Journal: a.m.journal.id, Keep: []wire.Kept{},
	}
	if a.nonce != 0 {
		if a.killFirst || !a.leased() {
			if !a.killAll() && a.s.mut != killIsGone {
				nonce := a.nonce
				a.after(50*time.Millisecond, func() {
					if a.asking && a.nonce == nonce {
						a.send()
					}
				})
				return
			}
		}
		j.Keep = a.keep()
	}
	a.tellAll(func(m *monitor) { m.hearJoin(j) })
}

// keep lists what runs here under a token. What dies is not gone yet.
func (a *agent) keep() []wire.Kept {
	keep := []wire.Kept{}
	for _, name := range workloads {
		e, p := a.m.journal.entry(name), a.m.procs[name]
		if e.token != 0 && p != nil && (!p.dying || a.s.mut != killIsGone) {
			keep = append(keep, wire.Kept{Workload: name, Token: e.token})
		}
	}
	return keep
}

// killAll kills what is exclusive and says whether it is all gone.
func (a *agent) killAll() bool {
	gone := true
	for _, name := range workloads {
		if a.m.procs[name] != nil {
			gone = false
			a.m.kill(name, a.s.killTime())
		}
	}
	return gone
}

func (a *agent) hearOffer(o wire.Offer) {
	if !a.asking || o.Inc != a.inc || o.Ask != a.ask || o.Nonce <= a.nonce {
		return
	}
	a.s.say("%s: was offered #%d, lease %s + %s (%s)", a.m.name, o.Nonce, o.Terms.Length, o.Terms.Kill, o.Terms.Self)
	if a.s.mut != longOffer {
		a.holder.Offer(o.Terms)
		a.order()
		a.watch()
	}
	a.nonce = o.Nonce
	a.tried = append(slices.Clone(a.tried), lease.Try{Inc: a.inc, Nonce: a.nonce})
	a.m.orders.tried = a.tried
	a.send()
}

func (a *agent) hearAssignment(as wire.Assignment) {
	if as.Inc != a.inc || as.Index <= a.index {
		return
	}
	switch {
	case a.asking && (as.Nonce == a.nonce && a.nonce != 0 || a.s.mut == anyNonce):
		a.take(as)
	case a.asking || as.Epoch != a.epoch:
		return
	}
	a.index, a.known = as.Index, as.Voters.Index
	a.holder.SetVoters(as.Voters)
	for _, name := range workloads {
		e := a.m.journal.entry(name)
		if e.token != 0 && e.token < a.epoch && tokenOf(as.Keep, name) != e.token {
			a.m.kill(name, a.s.killTime()) // it has no authority here
		}
	}
	if as.Rejoin {
		a.join()
	}
}

func tokenOf(keep []wire.Kept, workload string) uint64 {
	for _, k := range keep {
		if k.Workload == workload {
			return k.Token
		}
	}
	return 0
}

func (a *agent) take(as wire.Assignment) {
	a.s.say("%s: agent %04x took #%d", a.m.name, a.inc>>48, as.Epoch)
	a.killFirst = false
	a.epoch, a.asking, a.former, a.last = as.Epoch, false, a.inc, as.Epoch
	a.tried, a.since = nil, a.now()
	a.holder.Join(as.Epoch, as.Terms, as.Voters)
	a.order()
	a.watch()
	a.sendRenewal()
}

// word is what an agent's status says, as far as the lease is concerned. It travels with the renewals here.
type word struct {
	index uint64 // of the newest assignment
	under uint64 // of the voters that the lease stands on
}

// renew asks for renewals for as long as the agent lives.
func (a *agent) renew() {
	a.unheard()
	a.sendRenewal()
	a.after(max(a.holder.Terms().Renew, 500*time.Millisecond), a.renew)
}

func (a *agent) sendRenewal() {
	now := a.now()
	if !a.holder.Due(now) {
		return
	}
	a.sent = now
	r := wire.Renew{Host: a.m.name, Inc: a.inc, Epoch: a.epoch, Stamp: now}
	w := word{index: a.index, under: a.holder.Under()}
	if a.s.mut == knownVoters {
		w.under = a.known
	}
	a.tellAll(func(m *monitor) { m.hearRenewal(a.m, r, w) })
}

func (a *agent) hearAck(ack lease.Ack) {
	switch a.s.mut {
	case newestStamp:
		ack.Stamp = a.sent
	case anyAck:
		ack.Inc, ack.Epoch = a.inc, a.epoch
	default:
	}
	until := a.holder.Until()
	a.holder.Ack(ack)
	if a.holder.Until() != until {
		a.order()
		a.watch()
	}
}

// watch plans the next look at the lease, at most 100 ms after the moment that matters.
func (a *agent) watch() {
	if a.watching || !a.fencesItself() {
		return
	}
	now, t := a.now(), a.holder.Terms()
	next := a.holder.Until() - t.Stop
	if next <= now {
		next = a.holder.Until()
	}
	if next <= now {
		if len(a.m.procs) == 0 && !a.holder.Confirmed() {
			return // nothing to kill: the next lease plans again
		}
		next = now
	}
	a.watching = true
	a.after(next-now+a.s.upTo(100*time.Millisecond), func() {
		a.watching = false
		a.check()
		a.watch()
	})
}

// check stops what is exclusive when the lease ends: cleanly a little before, without asking at the end. There is no way
// back: the epoch is given up for a new one.
func (a *agent) check() {
	if !a.fencesItself() || a.s.mut == ignoresLease {
		return
	}
	phase := a.holder.Phase(a.now())
	switch {
	case phase == lease.Ending && !a.killFirst && len(a.m.procs) > 0:
		a.s.say("%s: the lease is ending", a.m.name)
		a.holder.End()
		for _, name := range workloads {
			if a.m.procs[name] != nil {
				a.m.exit(name, a.s.upTo(a.holder.Terms().Stop))
			}
		}
		a.join()
		a.killFirst = true
	case phase == lease.Over:
		a.killAll()
	}
	if !a.asking && phase == lease.Over && a.holder.Confirmed() {
		a.s.say("%s: the lease is over", a.m.name)
		a.join()
	}
}

// unheard gives an epoch up that nobody confirms.
func (a *agent) unheard() {
	if !a.asking && !a.holder.Confirmed() && a.now()-a.since >= a.holder.Terms().Length {
		a.s.say("%s: nobody confirms #%d", a.m.name, a.epoch)
		a.join()
	}
}
