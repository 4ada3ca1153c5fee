package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// maxWaiting bounds the commands that wait for their turn; more are dropped, the monitors send them again.
const maxWaiting = 256

// outcome is what came of a job.
type outcome struct {
	job         *job
	result      wire.Result
	interrupted bool // the agent ended first: nobody knows, the journal says begun
}

// accept decides what becomes of a command that has arrived: nothing (it is under way), the answer that the journal knows,
// a refusal, or a place in the line.
func (a *Agent) accept(c wire.Command) {
	// A command for another incarnation is another's to answer, be it gone or a second machine's of this name.
	if c.Host != a.opt.Host || a.accepted[c.ID] != nil {
		return
	}
	if c.Inc != a.opt.Inc {
		a.keeper.noteOther(c.Inc)
		return
	}
	if err := check(c); err != nil {
		a.refuse(c, err)
		return
	}
	known, err := a.journal.command(c.ID)
	if err != nil {
		a.log.Error().Err(err).Msg("command was dropped")
		return
	}
	switch {
	case known != nil && known.Command.Token != c.Token:
		a.refuse(c, fmt.Errorf("this id is known under token %d", known.Command.Token))
		return
	case known != nil && known.Result != nil:
		a.answer(*known.Result)
		return
	}
	j := &job{command: c, key: key(c.Action), again: known != nil, record: record{Command: c, Begun: time.Now()}}
	if known != nil {
		j.record.Begun = known.Begun
	}
	switch err := a.allowed(j); {
	case errors.Is(err, errNotYet):
		a.log.Debug().Str("command", c.ID).Msg("command came before the lease was confirmed")
	case err != nil:
		a.refuse(c, err)
	case a.late(c):
		a.refuseLate(j)
	case j.again && c.Action.Verb == actions.Run && !c.Idempotent:
		a.conclude(j, wire.Result{Outcome: wire.Unknown, Reason: "the agent ended while the command ran"})
	case len(a.waiting) == maxWaiting:
		a.log.Warn().Str("command", c.ID).Msg("too many commands waited, command was dropped")
	default:
		a.enqueue(j)
	}
}

// key is what a command acts on. A named command is not a workload, even if it has the name of one.
func key(act actions.Action) string {
	if act.Verb == actions.Run {
		return "run " + act.Target.Workload
	}
	return act.Target.Workload
}

// check refuses a command that does not say all that is needed to do it.
func check(c wire.Command) error {
	switch {
	case c.ID == "" || c.Token == 0 || c.Action.Target.Workload == "":
		return errors.New("a command needs an id, a token and a workload")
	case c.Within <= 0:
		return errors.New("a command needs a limit")
	case c.Action.Verb == actions.Stop && len(c.Ladder) == 0:
		return errors.New("a stop needs a ladder")
	case slices.ContainsFunc(c.Ladder, func(r actions.Rung) bool { return r.Limit <= 0 }):
		return errors.New("each rung of a ladder needs a limit")
	}
	switch c.Action.Verb {
	case actions.Start, actions.Stop, actions.Run:
		return nil
	}
	return fmt.Errorf("unknown verb %q", c.Action.Verb)
}

// allowed says why a command must not be done now, nil if it may: the authority of its sender, and the order of tokens.
func (a *Agent) allowed(j *job) error {
	c := j.command
	if err := a.authority.may(c); err != nil {
		return err
	}
	if c.Action.Verb == actions.Run {
		return nil
	}
	w := a.workloads[key(c.Action)]
	if w == nil {
		w = new(workload)
	}
	if c.Token < w.MaxSeen || (c.Token == w.MaxSeen && c.ID != w.SeenID) {
		return fmt.Errorf("token %d is older than %d, which this workload has seen", c.Token, w.MaxSeen)
	}
	if c.Action.Verb == actions.Start && c.Token < c.Epoch && w.Token != c.Token {
		return fmt.Errorf("token %d was granted before this host joined with epoch %d and was not kept", c.Token, c.Epoch)
	}
	return nil
}

func (a *Agent) late(c wire.Command) bool { return a.opt.Boottime() > c.NotAfter }

// refuse answers that a command was not begun. The answer names the incarnation and epoch that the command was for, so that
// the refusal of an old copy is not taken for the fate of the present one.
func (a *Agent) refuse(c wire.Command, reason error) {
	a.log.Warn().Str("command", c.ID).Str("reason", reason.Error()).Msg("command was refused")
	a.publishResult(wire.Result{
		ID: c.ID, Host: a.opt.Host, Inc: c.Inc, Epoch: c.Epoch, Token: c.Token,
		Outcome: wire.Failed, Reason: "refused: " + reason.Error(),
	})
}

// refuseLate refuses a command whose time has passed, for good: a later copy gets the same answer. What was begun before
// the agent died is not answered by a late copy, for nobody knows what came of it; a copy in time will find out.
func (a *Agent) refuseLate(j *job) {
	reason := fmt.Sprintf("refused: too late by %s", a.opt.Boottime()-j.command.NotAfter)
	a.log.Warn().Str("command", j.command.ID).Str("reason", reason).Msg("command was refused")
	if j.again {
		delete(a.accepted, j.command.ID)
	} else {
		a.conclude(j, wire.Result{Outcome: wire.Failed, Reason: reason})
	}
}

// enqueue gives a job a place in the line. From here on an older command for its workload is refused.
func (a *Agent) enqueue(j *job) {
	if !j.own() {
		if w := a.subject(j); w != nil {
			w.see(j.command)
		}
		a.accepted[j.command.ID] = j
	}
	a.waiting = append(a.waiting, j)
}

// subject is the workload that a job acts on, nil for a Run.
func (a *Agent) subject(j *job) *workload {
	if j.command.Action.Verb == actions.Run {
		return nil
	}
	return a.workload(j.key)
}

// busy says that something waits to be done to a workload or is being done.
func (a *Agent) busy(name string) bool {
	if a.doing[name] != nil {
		return true
	}
	for _, j := range a.waiting {
		if j.key == name {
			return true
		}
	}
	return false
}

// finish takes in what came of a job.
func (a *Agent) finish(o outcome) {
	j := o.job
	delete(a.doing, j.key)
	if w := a.subject(j); w != nil {
		w.outdate()
	}
	switch {
	case o.interrupted:
		delete(a.accepted, j.command.ID)
		a.log.Warn().Str("command", j.command.ID).Msg("command was interrupted by the agent's end")
	case j.own():
		a.finishOwn(j, o.result)
	default:
		a.learn(j, o.result)
		a.conclude(j, o.result)
	}
}

// learn takes what a start or stop has proven as seen, and tells of it before the result is told: whoever hears that a
// workload is ready does not hear afterwards that it was not running a moment ago.
func (a *Agent) learn(j *job, r wire.Result) {
	w := a.subject(j)
	if w == nil || r.Outcome != wire.Done {
		return
	}
	running := j.command.Action.Verb == actions.Start
	w.status = actions.Status{Condition: actions.Stopped, Autostart: w.status.Autostart}
	if running {
		w.status.Condition = actions.Running
		if ready := j.command.Ready; ready != nil {
			w.since = a.opt.Boottime() - ready.Settle
		}
	}
	w.holds, w.ready = running, running
	if r.Stopped {
		a.proven(j.key)
	}
	a.publishStatus()
}

// conclude journals a command's result and answers it. A result that cannot be journaled is answered all the same: it is
// what happened.
func (a *Agent) conclude(j *job, r wire.Result) {
	delete(a.accepted, j.command.ID)
	r.ID, r.Token = j.command.ID, j.command.Token
	j.record.Result = &r
	var e *entry
	w := a.subject(j)
	if w != nil {
		w.see(j.command)
		if r.Stopped {
			a.proven(j.key)
		}
		e = &w.entry
	}
	if err := a.journal.save(&j.record, j.key, e); err != nil {
		a.log.Error().Err(err).Str("command", j.command.ID).Msg("result was not journaled")
	}
	a.log.Info().Str("command", r.ID).Str("outcome", string(r.Outcome)).Str("reason", r.Reason).Dur("took", r.Took).Msg("command was ended")
	a.answer(r)
}

// proven takes in that a workload is gone: it has no token any more, and the guard nothing to kill.
func (a *Agent) proven(name string) {
	a.workload(name).Token = 0
	a.orders.discharge(name)
}

// answer publishes the result of a command, under the present incarnation and epoch.
func (a *Agent) answer(r wire.Result) {
	r.Host, r.Inc, r.Epoch = a.opt.Host, a.opt.Inc, a.authority.epoch.Load()
	a.publishResult(r)
}

func (a *Agent) publishResult(r wire.Result) {
	data, err := wire.Marshal(r)
	a.send(wire.ResultSubject(a.opt.Host), data, err)
}
