// Package conformance holds the one suite of tests that every driver passes: do, done, do again, cancel, crash between,
// and the promises of status and handles.
//
// A driver's test calls Run with a Suite whose Setup makes a fresh Bed for each case: a world with one stopped workload in
// it. What the suite knows of a driver is only the contract of actions.Driver.
//
// Invariants: a case never sleeps, it waits for the thing itself; each case ends with its workload stopped and nothing left to kill.
//
// Concurrency: cases run one after the other; within a case a driver is called as an agent calls it, never twice for Do.
package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/actions"
)

const (
	// limit bounds every single action of the suite.
	limit = 20 * time.Second
	// poll is the interval at which a world is looked at that changes by itself.
	poll = 5 * time.Millisecond
)

// Bed is a world with one workload in it, stopped.
type Bed struct {
	// New makes a driver over the world, as an agent that starts does. It is called more than once: the driver before is
	// thrown away without a word.
	New func() actions.Driver
	// Target is the workload.
	Target actions.Target
	// Unknown is a target that the driver does not have.
	Unknown actions.Target
	// Env is given to each start.
	Env map[string]string
	// Kill kills what a handle points at, without asking the driver.
	Kill func(h actions.Handle) error
	// Midway lists after how long an action is broken off; some should fall within it.
	Midway []time.Duration
}

// Suite is what Run needs of a driver's test.
type Suite struct {
	// Setup makes the Bed of one case and registers its cleanup.
	Setup func(t *testing.T) Bed
	// Around runs one case, for instance within a bubble; nil: as it is.
	Around func(t *testing.T, test func(t *testing.T))
}

// Run runs every case as a subtest of t.
func Run(t *testing.T, s Suite) {
	cases := []struct {
		name string
		test func(*bench)
	}{
		{"start and stop", (*bench).startAndStop},
		{"start of a started changes nothing", (*bench).startAgain},
		{"stop of a stopped changes nothing", (*bench).stopAgain},
		{"forced stop", (*bench).forcedStop},
		{"cancelled start is finished by the next", (*bench).cancelledStart},
		{"cancelled stop is finished by the next", (*bench).cancelledStop},
		{"new driver finds what the old one did", (*bench).newDriver},
		{"killing the handles stops it", (*bench).killHandles},
		{"status may be asked while something is done", (*bench).statusBeside},
		{"unknown unit is an error", (*bench).unknownUnit},
		{"unknown verb is an error", (*bench).unknownVerb},
	}
	around := s.Around
	if around == nil {
		around = func(t *testing.T, test func(t *testing.T)) { test(t) }
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			around(t, func(t *testing.T) {
				b := &bench{T: t, Bed: s.Setup(t)}
				b.driver = b.New()
				c.test(b)
				b.clear()
			})
		})
	}
}

// bench is one case under way.
type bench struct {
	*testing.T
	Bed
	driver actions.Driver
}

func (b *bench) start() actions.Action {
	return actions.Action{Verb: actions.Start, Target: b.Target, Env: b.Env}
}

func (b *bench) stop() actions.Action {
	return actions.Action{Verb: actions.Stop, Target: b.Target}
}

func (b *bench) startAndStop() {
	b.expect(actions.Stopped)
	b.do(b.start())
	b.expect(actions.Running)
	b.do(b.stop())
	b.expect(actions.Stopped)
}

func (b *bench) startAgain() {
	b.do(b.start())
	before := b.handles()
	b.do(b.start())
	b.expect(actions.Running)
	if d := cmp.Diff(before, b.handles()); d != "" {
		b.Errorf("handles after a second start (-before +after):\n%s", d)
	}
}

func (b *bench) stopAgain() {
	b.do(b.stop())
	b.expect(actions.Stopped)
	b.do(b.start())
	b.do(b.stop())
	b.do(b.stop())
	b.expect(actions.Stopped)
}

func (b *bench) forcedStop() {
	forced := b.stop()
	forced.Force = true
	b.do(forced)
	b.expect(actions.Stopped)
	b.do(b.start())
	b.do(forced)
	b.expect(actions.Stopped)
	b.do(b.start())
	b.expect(actions.Running)
}

func (b *bench) cancelledStart() {
	for _, after := range b.Midway {
		b.breakOff(b.start(), after)
		b.judge(b.start(), after)
		b.do(b.start())
		b.expect(actions.Running)
		b.do(b.stop())
		b.expect(actions.Stopped)
	}
}

func (b *bench) cancelledStop() {
	for _, after := range b.Midway {
		b.do(b.start())
		b.breakOff(b.stop(), after)
		b.judge(b.stop(), after)
		b.do(b.stop())
		b.expect(actions.Stopped)
	}
}

func (b *bench) newDriver() {
	for _, after := range b.Midway {
		b.breakOff(b.start(), after)
		b.driver = b.New()
		b.judge(b.start(), after)
		b.do(b.start())
		before := b.handles()

		b.driver = b.New()
		b.expect(actions.Running)
		b.do(b.start())
		if d := cmp.Diff(before, b.handles()); d != "" {
			b.Errorf("handles of the next driver (-before +after):\n%s", d)
		}

		b.breakOff(b.stop(), after)
		b.driver = b.New()
		b.do(b.stop())
		b.driver = b.New()
		b.expect(actions.Stopped)
	}
}

func (b *bench) killHandles() {
	for range 2 {
		b.do(b.start())
		for _, h := range b.handles() {
			if err := b.Kill(h); err != nil {
				b.Fatalf("kill %+v: %v", h, err)
			}
		}
		b.until("stopped after its handles were killed", func() bool {
			return b.status().Condition == actions.Stopped
		})
		b.expect(actions.Stopped)
		b.do(b.stop())
	}
}

func (b *bench) statusBeside() {
	ctx, cancel := context.WithCancel(b.Context())
	asked := make(chan error, 1)
	go func() {
		tick := time.NewTicker(poll)
		defer tick.Stop()
		var bad error
		for ctx.Err() == nil {
			_, err := b.driver.Status(ctx, b.Target)
			if err == nil {
				_, err = b.driver.Handles(ctx, b.Target)
			}
			if err != nil && ctx.Err() == nil && bad == nil {
				bad = err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		asked <- bad
	}()
	b.do(b.start())
	b.do(b.stop())
	b.do(b.start())
	cancel()
	if err := <-asked; err != nil {
		b.Errorf("status or handles beside do: %v", err)
	}
}

func (b *bench) unknownUnit() {
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	for _, v := range []actions.Verb{actions.Start, actions.Stop} {
		if err := b.driver.Do(ctx, actions.Action{Verb: v, Target: b.Unknown}); err == nil {
			b.Errorf("%s of an unknown unit: got no error", v)
		}
		if _, err := b.driver.Done(ctx, actions.Action{Verb: v, Target: b.Unknown}); err == nil {
			b.Errorf("done of %s of an unknown unit: got no error", v)
		}
	}
	if st, err := b.driver.Status(ctx, b.Unknown); err == nil || st.Condition == actions.Stopped {
		b.Errorf("status of an unknown unit: got %+v, %v", st, err)
	}
	if h, err := b.driver.Handles(ctx, b.Unknown); err == nil {
		b.Errorf("handles of an unknown unit: got %v and no error", h)
	}
}

func (b *bench) unknownVerb() {
	a := actions.Action{Verb: "dance", Target: b.Target}
	if err := b.driver.Do(b.Context(), a); err == nil {
		b.Error("do of an unknown verb: got no error")
	}
	if done, err := b.driver.Done(b.Context(), a); done || err == nil {
		b.Errorf("done of an unknown verb: got %v, %v", done, err)
	}
	b.expect(actions.Stopped)
}

// do does an action to its end; Done must say so afterwards.
func (b *bench) do(a actions.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	if err := b.driver.Do(ctx, a); err != nil {
		b.Fatalf("%s: %v", a.Verb, err)
	}
	if done, err := b.driver.Done(ctx, a); err != nil || !done {
		b.Fatalf("done after %s: got %v, %v", a.Verb, done, err)
	}
}

// breakOff does an action under a context that ends too early. Do may have been faster and succeeded, but it must return.
func (b *bench) breakOff(a actions.Action, after time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), after)
	defer cancel()
	begun := time.Now()
	err := b.driver.Do(ctx, a)
	if took := time.Since(begun); took > after+limit/4 {
		b.Errorf("%s with %v to do it: took %v, %v", a.Verb, after, took, err)
	}
	if err == nil {
		b.judged(a, true)
	}
}

// judge asks Done after an action was broken off; either answer will do, but it must agree with the status.
func (b *bench) judge(a actions.Action, after time.Duration) {
	b.Helper()
	done, err := b.driver.Done(b.Context(), a)
	if err != nil {
		b.Errorf("done of %s broken off after %v: %v", a.Verb, after, err)
	}
	if done {
		b.judged(a, true)
	}
}

func (b *bench) judged(a actions.Action, want bool) {
	b.Helper()
	goal := actions.Running
	if a.Verb == actions.Stop {
		goal = actions.Stopped
	}
	if got := b.status(); (got.Condition == goal) != want {
		b.Errorf("status where done of %s is %v: got %+v", a.Verb, want, got)
	}
}

// expect checks that status, handles and both answers of Done agree on a condition.
func (b *bench) expect(want actions.Condition) {
	b.Helper()
	if got := b.status(); got.Condition != want {
		b.Fatalf("status: got %+v, want %s", got, want)
	}
	if h := b.handles(); (len(h) == 0) != (want == actions.Stopped) {
		b.Errorf("handles when %s: got %v", want, h)
	}
	for _, a := range []actions.Action{b.start(), b.stop()} {
		done, err := b.driver.Done(b.Context(), a)
		if wanted := (a.Verb == actions.Start) == (want == actions.Running); err != nil || done != wanted {
			b.Errorf("done of %s when %s: got %v, %v, want %v", a.Verb, want, done, err, wanted)
		}
	}
}

func (b *bench) status() actions.Status {
	b.Helper()
	st, err := b.driver.Status(b.Context(), b.Target)
	if err != nil {
		b.Fatalf("status: %v", err)
	}
	return st
}

func (b *bench) handles() []actions.Handle {
	b.Helper()
	h, err := b.driver.Handles(b.Context(), b.Target)
	if err != nil {
		b.Fatalf("handles: %v", err)
	}
	return h
}

func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	end := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			b.Fatalf("not %s within %v: %+v", what, limit, b.status())
		}
	}
}

// clear ends a case: the workload is taken down, whatever the case left it as, and nothing of it may be left.
func (b *bench) clear() {
	forced := b.stop()
	forced.Force = true
	b.do(forced)
	b.expect(actions.Stopped)
}
