package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/wire"
)

// runKind is the kind of driver that carries out Run.
const runKind = "command"

// maxReason bounds a result's line for people, in bytes.
const maxReason = 300

// doer carries out commands, each in a goroutine of its own. It has no state and touches none of the loop's.
type doer struct {
	looker

	may    func(wire.Command) error
	orders *orders
	tenure func() tenure
	killer guard.Killer
}

// do carries out a job within its limit. A job that the end of the agent cut off is interrupted: nobody knows. One that the
// end of the lease cut off is never done: what is exclusive is being stopped meanwhile.
func (d doer) do(ctx context.Context, j *job) outcome {
	began := d.boottime()
	ctx, cancel := context.WithTimeout(ctx, j.command.Within)
	defer cancel()
	r := d.carryOut(ctx, j)
	r.Took = d.boottime() - began
	fenced := errors.Is(context.Cause(ctx), errLeaseEnds)
	switch {
	case fenced && !r.Stopped:
		r = wire.Result{Outcome: wire.Unknown, Took: r.Took, Reason: "broken off, because the lease of this host ends: " + r.Reason}
	case r.Outcome != wire.Done && errors.Is(ctx.Err(), context.DeadlineExceeded):
		r.Reason = fmt.Sprintf("not done within %s: %s", j.command.Within, oneLine(r.Reason))
	}
	r.Reason = oneLine(r.Reason)
	cut := errors.Is(ctx.Err(), context.Canceled) && !fenced && r.Outcome != wire.Done
	return outcome{job: j, result: r, interrupted: cut}
}

func (d doer) carryOut(ctx context.Context, j *job) wire.Result {
	c, kind := j.command, j.command.Action.Target.Kind
	if c.Action.Verb == actions.Run {
		kind = runKind
	}
	driver, ok := d.drivers[kind]
	if !ok {
		return nothingBegun(j, fmt.Errorf("this agent has no driver for kind %q", kind))
	}
	if c.Action.Verb == actions.Start {
		return d.start(ctx, driver, j)
	}
	done := d.isDone(ctx, driver, c.Action)
	if !done && !j.own() {
		if err := d.may(c); err != nil {
			return d.notDone(ctx, c, givenUp(err), false)
		}
	}
	var r wire.Result
	if c.Action.Verb == actions.Stop {
		r = d.stop(ctx, driver, c, done)
	} else {
		r = run(ctx, driver, c)
	}
	r.Already = done && !j.again
	return r
}

// nothingBegun is the result of a job that did not touch the world. If nothing of the workload was there before either, it is
// proven gone: its owner is not to be trapped.
func nothingBegun(j *job, err error) wire.Result {
	return wire.Result{Outcome: wire.Failed, Stopped: j.first, Reason: err.Error()}
}

func givenUp(err error) error { return fmt.Errorf("given up before it was begun: %w", err) }

// notDone says what is known of a command that did not come to its end. Only a workload that is stopped, with nothing
// pending that may still start it, is gone for certain; one that runs, or may, stays with its owner.
func (d doer) notDone(ctx context.Context, c wire.Command, err error, pending bool) wire.Result {
	if err == nil {
		err = errors.New("it did not stay up")
	}
	if c.Action.Verb == actions.Run {
		return wire.Result{Outcome: wire.Failed, Reason: err.Error()}
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	st := d.status(ctx, c.Action.Target)
	switch {
	case st.Condition == actions.Running:
		return wire.Result{Outcome: wire.Failed, Reason: "running but not ready: " + err.Error()}
	case !pending && d.gone(ctx, c.Action.Target, st):
		return wire.Result{Outcome: wire.Failed, Stopped: true, Reason: withDetail(err.Error(), st)}
	default:
		return wire.Result{Outcome: wire.Unknown, Reason: withDetail(err.Error(), st)}
	}
}

// stop climbs the ladder until the driver says that the workload is gone.
func (d doer) stop(ctx context.Context, driver actions.Driver, c wire.Command, done bool) wire.Result {
	var failures []string
	for i := 0; !done && i < len(c.Ladder) && ctx.Err() == nil; i++ {
		rung, act := c.Ladder[i], c.Action
		act.Force = rung.Force
		err := try(ctx, driver, act, rung.Limit)
		done = d.isDone(ctx, driver, c.Action)
		if err != nil {
			failures = append(failures, err.Error())
		}
	}
	if done {
		return wire.Result{Outcome: wire.Done, Stopped: true}
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	st := d.status(ctx, c.Action.Target)
	reason := strings.Join(failures, "; ")
	switch {
	case d.gone(ctx, c.Action.Target, st):
		return wire.Result{Outcome: wire.Done, Stopped: true}
	case st.Condition == actions.Running:
		return wire.Result{Outcome: wire.Failed, Reason: withDetail("still running: "+reason, st)}
	case st.Condition == actions.Stopped:
		return wire.Result{Outcome: wire.Failed, Reason: withDetail("stopped, but some of its processes are left: "+reason, st)}
	}
	return wire.Result{Outcome: wire.Unknown, Reason: withDetail("nobody knows whether it stopped: "+reason, st)}
}

func run(ctx context.Context, driver actions.Driver, c wire.Command) wire.Result {
	err := driver.Do(ctx, c.Action)
	switch {
	case err == nil:
		return wire.Result{Outcome: wire.Done}
	case ctx.Err() != nil:
		return wire.Result{Outcome: wire.Unknown, Reason: err.Error()}
	default:
		return wire.Result{Outcome: wire.Failed, Reason: err.Error()}
	}
}

// try does an action within the limit of a rung.
func try(ctx context.Context, driver actions.Driver, act actions.Action, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return driver.Do(ctx, act)
}

// isDone asks the driver for proof. Whoever cannot tell has none. A stop is done when there is nothing left to kill, too.
func (d doer) isDone(ctx context.Context, driver actions.Driver, act actions.Action) bool {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	done, err := driver.Done(ctx, act)
	if err != nil || !done || act.Verb != actions.Stop {
		return err == nil && done
	}
	handles, err := driver.Handles(ctx, act.Target)
	return err == nil && len(handles) == 0
}

// afterwards is the time to find out what happened, even if the time for doing it is over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), lookLimit)
}

func withDetail(reason string, st actions.Status) string {
	if st.Detail == "" {
		return reason
	}
	return reason + " (" + st.Detail + ")"
}

// oneLine keeps the last line that says something, and not too much of it.
func oneLine(s string) string {
	s = strings.TrimSpace(s)
	s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
