package sim

import (
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// hearCommand is the admission of a command, as the agent has it.
func (a *agent) hearCommand(c wire.Command) {
	if c.Inc != a.inc && a.s.mut != anyIncarnation {
		return
	}
	if r, known := a.m.journal.results[c.ID]; known {
		a.answer(r)
		return
	}
	workload := c.Action.Target.Workload
	if a.busy[workload] != "" || !a.may(c) {
		return
	}
	e := a.m.journal.entry(workload)
	if a.now() > c.NotAfter {
		if e.seenID == c.ID {
			return // it was begun before this incarnation: a copy in time will find out
		}
		a.conclude(wire.Result{ID: c.ID, Token: c.Token, Outcome: wire.Failed})
		return
	}
	e.seen, e.seenID = c.Token, c.ID
	a.busy[workload] = c.ID
	if c.Action.Verb == actions.Start {
		e.token = c.Token
		a.after(a.s.upTo(a.s.p.startTime), func() { a.start(workload, c) })
		return
	}
	if a.m.procs[workload] != nil {
		a.m.exit(workload, a.s.upTo(a.s.p.stopTime))
	}
	a.stopped(workload, c)
}

// may says that a command may be obeyed now.
func (a *agent) may(c wire.Command) bool {
	e := a.m.journal.entry(c.Action.Target.Workload)
	if (a.epoch == 0 || c.Epoch != a.epoch) && a.s.mut != anyIncarnation {
		return false
	}
	if (c.Token < e.seen || c.Token == e.seen && c.ID != e.seenID) && a.s.mut != noMaxSeen {
		return false
	}
	if c.Action.Verb != actions.Start {
		return true
	}
	if c.Token < c.Epoch && e.token != c.Token && a.s.mut != noMaxSeen {
		return false
	}
	held := a.holder.Confirmed() && a.holder.Phase(a.now()) == lease.Held
	return held || !a.fencesItself() || a.s.mut == ignoresLease
}

// start is the moment before a workload is started: the lease is looked at once more.
func (a *agent) start(workload string, c wire.Command) {
	delete(a.busy, workload)
	p := a.m.procs[workload]
	switch {
	case p != nil && p.dying:
		return
	case p != nil:
		p.token = c.Token
	case !a.may(c):
		return
	default:
		a.m.begin(workload, c.Token)
	}
	if a.s.chance(a.s.p.startFails) {
		delete(a.m.procs, workload)
		a.m.journal.entry(workload).token = 0
		a.conclude(wire.Result{ID: c.ID, Token: c.Token, Outcome: wire.Failed, Stopped: true})
		return
	}
	a.conclude(wire.Result{ID: c.ID, Token: c.Token, Outcome: wire.Done})
}

// stopped waits until a workload is gone, and says so.
func (a *agent) stopped(workload string, c wire.Command) {
	if a.m.procs[workload] != nil {
		a.after(100*time.Millisecond, func() { a.stopped(workload, c) })
		return
	}
	delete(a.busy, workload)
	a.m.journal.entry(workload).token = 0
	a.conclude(wire.Result{ID: c.ID, Token: c.Token, Outcome: wire.Done, Stopped: true})
}

func (a *agent) conclude(r wire.Result) {
	a.m.journal.results[r.ID] = r
	a.answer(r)
}

func (a *agent) answer(r wire.Result) {
	r.Host, r.Inc, r.Epoch = a.m.name, a.inc, a.epoch
	a.tellAll(func(m *monitor) { m.hearResult(r) })
}
