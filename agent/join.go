package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// replacedAfter is how long an agent asks in vain, while the monitors speak to another incarnation, before it says so.
const replacedAfter = 10 * time.Second

// ask is one attempt to join: there is one whenever the agent holds no epoch.
type ask struct {
	number   uint64
	began    time.Duration
	offer    *wire.Offer // the newest
	answered []uint64    // nonces of the offers that were answered
}

// beginAsk gives the epoch up and asks for another: from here on nothing is begun. What runs goes on, and so does the lease.
func (a *Agent) beginAsk(reason string) {
	a.authority.epoch.Store(0)
	a.keeper.leave()
	a.ask = ask{number: a.ask.number + 1, began: a.opt.Boottime()}
	a.rejoin = false
	a.log.Info().Uint64("ask", a.ask.number).Str("reason", reason).Msg("host epoch was asked for")
	a.report.change()
	a.join()
}

// join sends the turn of the ask that is due: the second once an offer is there and can be answered.
func (a *Agent) join() {
	if a.authority.joined() {
		return
	}
	j := wire.Join{
		Host: a.opt.Host, Boot: a.boot, Inc: a.opt.Inc, Stamp: a.opt.Boottime(), Ask: a.ask.number,
		Journal: a.journalID, Keep: a.keep(), Version: a.opt.Version,
	}
	j.Former, j.Epoch, j.Tried = a.orders.proof()
	if a.accepts() {
		j.Nonce = a.ask.offer.Nonce
	}
	data, err := wire.Marshal(j)
	a.send(wire.JoinSubject(a.opt.Host), data, err)
}

// keep lists what is not proven gone. Only a look that began after the last command proves it, and unknown is no proof.
func (a *Agent) keep() []wire.Kept {
	keep := []wire.Kept{}
	for _, name := range a.owned() {
		if w := a.workloads[name]; !w.fresh || !w.gone || a.busy(name) {
			keep = append(keep, wire.Kept{Workload: name, Token: w.Token})
		}
	}
	return keep
}

// takeOffer takes an offer in, and answers it if nothing stands in the way.
func (a *Agent) takeOffer(o wire.Offer) {
	switch {
	case o.Host != a.opt.Host || a.authority.joined():
		return
	case o.Inc != a.opt.Inc:
		a.keeper.noteOther(o.Inc)
		return
	case o.Ask != a.ask.number || a.ask.offer != nil && o.Nonce <= a.ask.offer.Nonce:
		return
	}
	a.ask.offer = &o
	a.keeper.offer(o.Terms)
	a.stopLeftovers()
	a.answerSoon()
}

// answerSoon answers an offer that could not be answered at once.
func (a *Agent) answerSoon() {
	if o := a.ask.offer; o != nil && !a.authority.joined() && !slices.Contains(a.ask.answered, o.Nonce) && a.accepts() {
		a.join()
	}
}

// ready says that an offer can be answered: everything was looked at (but a driver that does not answer is not waited for),
// and nothing runs that would have no lease under the terms of the offer.
func (a *Agent) ready() bool {
	for _, name := range a.owned() {
		if !a.workloads[name].fresh && a.opt.Boottime()-a.began <= lookLimit+lookGrace || a.doomed(name) {
			return false
		}
	}
	return true
}

// accepts says whether the offer is to be answered now. From then on the monitors may go by its terms without the agent's
// hearing of it: so the guard must know them, if it has anything to kill, and the next incarnation that this one tried.
func (a *Agent) accepts() bool {
	o := a.ask.offer
	if o == nil || !a.ready() {
		return false
	}
	if slices.Contains(a.ask.answered, o.Nonce) {
		return true
	}
	a.keeper.answer()
	seq, err := a.orders.write()
	if err == nil {
		err = a.orders.try(a.opt.Inc, o.Nonce)
	}
	if err != nil {
		a.log.Error().Err(err).Msg("offer was not answered")
		return false
	}
	if a.keeper.now().self != lease.None && len(a.exclusive()) > 0 && !a.orders.known(seq) {
		return false // it is tried again as soon as the guard has read them
	}
	a.ask.answered = append(a.ask.answered, o.Nonce)
	return true
}

// doomed says that a workload must be proven gone before the host may join: it is exclusive, the host is to fence itself,
// and there is no lease to run it under. So it is after the lease has ended, and after the machine was started anew: what
// runs then under a token of the journal was started by the machine, not by anybody who knows whether it runs elsewhere by
// now. To leave it running would be to trust that nobody has taken it over.
func (a *Agent) doomed(name string) bool {
	w, t := a.workloads[name], a.keeper.now()
	if !w.Exclusive || w.Token == 0 || a.authority.joined() {
		return false
	}
	return a.ask.offer != nil && t.terms.Self != lease.None && t.phase != lease.Held
}

// owned lists what the journal holds a token for, in order.
func (a *Agent) owned() []string {
	var names []string
	for name, w := range a.workloads {
		if w.Token != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// exclusive lists what of it is exclusive.
func (a *Agent) exclusive() []string {
	return slices.DeleteFunc(a.owned(), func(name string) bool { return !a.workloads[name].Exclusive })
}

// warnReplaced says, once for each other incarnation, that this one asks in vain because the monitors hold to another of its
// name: a second machine, or a copy of this one.
func (a *Agent) warnReplaced() {
	other, now := a.keeper.lastOther(), a.opt.Boottime()
	if a.authority.joined() || a.ask.offer != nil || now-a.ask.began < replacedAfter || other.inc == a.replacedBy {
		return
	}
	if other.inc == 0 || now-other.at > replacedAfter {
		return
	}
	a.replacedBy = other.inc
	a.log.Warn().Str("other_inc", fmt.Sprintf("%016x", other.inc)).
		Str("what_to_do", "find the second machine that runs an agent under this name, or a copy of this one's disk, and stop its agent or give it another name").
		Msg("another agent of this host's name took its place")
}
