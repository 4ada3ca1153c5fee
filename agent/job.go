package agent

import (
	"context"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// job is a command that waits for its turn or is being done.
type job struct {
	command  wire.Command
	key      string // what it acts on; one at a time
	again    bool   // it was begun before, by an agent that died
	leftover bool   // the agent's own stop of what has no authority here: not journaled as a command, not answered
	fence    bool   // the same, of what is exclusive, because the lease ends
	record   record

	cut    func(error) // breaks it off while it is being done
	orders uint64      // of an exclusive start: the orders by which the guard must go first
	first  bool        // of a start: nothing of this workload was begun here before, or it is proven gone
}

// own says that the agent does it by itself.
func (j *job) own() bool { return j.leftover || j.fence }

// dispatch begins the jobs whose turn it is: in the order they came, one at a time for each workload, maxAtOnce in all. What
// the end of the lease asks for waits for no others.
func (a *Agent) dispatch(ctx context.Context) {
	var rest []*job
	for _, j := range a.waiting {
		if len(a.doing) >= maxAtOnce && !j.fence || a.doing[j.key] != nil {
			rest = append(rest, j)
			continue
		}
		if a.begin(j) {
			a.doing[j.key] = j
			jobCtx, cut := context.WithCancelCause(ctx)
			j.cut = cut
			a.goroutine.Go(func() {
				defer cut(nil)
				a.ended <- a.doer.do(jobCtx, j)
			})
		}
	}
	a.waiting = rest
}

// begin journals a job whose turn has come, unless it may not be done any more.
func (a *Agent) begin(j *job) bool {
	w := a.subject(j)
	if j.own() {
		if w.Token != j.command.Token || j.leftover && !a.leftover(j.key) {
			return false // it is not any more
		}
		w.turn++
		return true
	}
	if err := a.allowed(j); err != nil {
		delete(a.accepted, j.command.ID)
		a.refuse(j.command, err)
		return false
	}
	if a.late(j.command) {
		a.refuseLate(j)
		return false
	}
	if err := a.journalBegun(j, w); err != nil {
		delete(a.accepted, j.command.ID)
		a.log.Error().Err(err).Str("command", j.command.ID).Msg("command was not begun")
		a.refuse(j.command, err)
		return false
	}
	if err := a.orderCharge(j); err != nil {
		a.conclude(j, nothingBegun(j, err))
		return false
	}
	a.log.Info().Str("command", j.command.ID).Uint64("token", j.command.Token).Bool("again", j.again).Msg("command was begun")
	return true
}

// orderCharge tells the guard of an exclusive workload that is about to be started.
func (a *Agent) orderCharge(j *job) (err error) {
	c := j.command
	if c.Action.Verb != actions.Start || !c.Exclusive {
		return nil
	}
	a.orders.charge(j.key, c.Token, c.Action.Target)
	j.orders, err = a.orders.write()
	return err
}

// journalBegun writes down that a job begins. A start takes its token along; a stop is of what was started, even if the
// inventory names something else by now.
func (a *Agent) journalBegun(j *job, w *workload) error {
	if w == nil {
		return a.journal.save(&j.record, "", nil)
	}
	e := w.entry
	switch j.command.Action.Verb {
	case actions.Start:
		j.first = e.Token == 0
		e.Token, e.Target, e.Exclusive = j.command.Token, j.command.Action.Target, j.command.Exclusive
	case actions.Stop:
		if e.Token != 0 {
			j.command.Action.Target = e.Target
		}
	case actions.Run: // has no workload
	}
	if err := a.journal.save(&j.record, j.key, &e); err != nil {
		return err
	}
	w.entry = e
	w.turn++
	return nil
}

// finishOwn takes in what came of a stop that the agent decided on by itself.
func (a *Agent) finishOwn(j *job, r wire.Result) {
	w := a.subject(j)
	if !r.Stopped {
		pause := leftoverPause
		if j.fence {
			pause = fenceRetry
		}
		w.retry = a.opt.Boottime() + pause
		a.log.Error().Str("workload", j.key).Str("reason", r.Reason).Msg("workload without authority was not stopped")
		return
	}
	a.proven(j.key)
	if err := a.journal.save(nil, j.key, &w.entry); err != nil {
		a.log.Error().Err(err).Str("workload", j.key).Msg("stop was not journaled")
	}
	a.log.Info().Str("workload", j.key).Msg("workload without authority was stopped")
}
