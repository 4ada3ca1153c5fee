package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
)

// Kind is the kind of workload that this driver carries out.
const Kind = "memory"

var _ actions.Driver = (*Driver)(nil)

// Why something cannot be done, or was not.
var (
	errUnknownUnit = errors.New("the world has no such unit")
	errUnknownVerb = errors.New("no such verb")
	errScripted    = errors.New("fails as scripted")
	errKilled      = errors.New("killed while it was waited for")
)

// Driver is one host's access to a World.
type Driver struct {
	world *World
	host  string
}

// Do carries the action out. A cancelled ctx ends the waiting only: what was begun ends at its time.
func (d *Driver) Do(ctx context.Context, a actions.Action) error {
	err := ctx.Err()
	switch {
	case err != nil:
	case a.Verb == actions.Start:
		err = d.start(ctx, a)
	case a.Verb == actions.Stop:
		err = d.stop(ctx, a)
	case a.Verb == actions.Run:
		err = d.run(ctx, a)
	default:
		err = errUnknownVerb
	}
	if err != nil {
		return fmt.Errorf("%s %s on %s: %w", a.Verb, a.Target.Unit, d.host, err)
	}
	return nil
}

// Done reports whether the unit is as the action would make it.
func (d *Driver) Done(ctx context.Context, a actions.Action) (bool, error) {
	return actions.Reached(ctx, d, a)
}

// Status tells what the unit is doing; what is starting or stopping is Unknown.
func (d *Driver) Status(_ context.Context, t actions.Target) (actions.Status, error) {
	w := d.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	p := place{d.host, t.Unit}
	e := w.entry(p)
	if e == nil {
		return actions.Status{Condition: actions.Unknown}, fmt.Errorf("status of %s: %w", t.Unit, errUnknownUnit)
	}
	st := actions.Status{Autostart: w.script(p).Autostart}
	switch e.phase {
	case stopped:
		st.Condition = actions.Stopped
	case running:
		st.Condition = actions.Running
	case starting:
		st.Condition, st.Detail = actions.Unknown, "starting"
	case stopping:
		st.Condition, st.Detail = actions.Unknown, "stopping"
	}
	return st, nil
}

// Handles names the unit on this host if it runs there; World.Kill understands it.
func (d *Driver) Handles(_ context.Context, t actions.Target) ([]actions.Handle, error) {
	w := d.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	p := place{d.host, t.Unit}
	e := w.entry(p)
	switch {
	case e == nil:
		return nil, fmt.Errorf("handles of %s: %w", t.Unit, errUnknownUnit)
	case e.phase == stopped:
		return nil, nil
	}
	return []actions.Handle{handle(p)}, nil
}

// Kill kills the unit on this host at once, as a guard does; one that does not run is killed already.
func (d *Driver) Kill(t actions.Target) error {
	w := d.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	p := place{d.host, t.Unit}
	if w.entry(p) == nil {
		return fmt.Errorf("kill %s on %s: %w", t.Unit, d.host, errUnknownUnit)
	}
	w.kill(p)
	return nil
}

// Gone says whether the unit is proven not to run on this host.
func (d *Driver) Gone(t actions.Target) (bool, error) {
	st, err := d.Status(context.Background(), t)
	return err == nil && st.Condition == actions.Stopped, err
}

func (d *Driver) start(ctx context.Context, a actions.Action) error {
	mine := false // the start under way is the one that is waited for
	return d.reach(ctx, a, func(p place, e *entry) (bool, error) {
		switch {
		case e.phase == running:
			return true, nil
		case e.phase == stopped && mine:
			return false, e.broken
		case e.phase == stopped:
			e.token = a.Env["HOLTER_TOKEN"]
			d.world.note(time.Now(), p, Starting)
			d.world.begin(e, starting, &d.world.script(p).Start, Started, Failed)
		}
		mine = e.phase == starting
		return false, nil
	})
}

func (d *Driver) stop(ctx context.Context, a actions.Action) error {
	mine := false // the stop under way is the one that is waited for
	return d.reach(ctx, a, func(p place, e *entry) (bool, error) {
		s := d.world.script(p)
		switch {
		case e.phase == stopped:
			return true, nil
		case e.phase == running && mine:
			return false, e.broken
		case a.Force && !mine:
			d.world.begin(e, stopping, &s.Force, Killed, "")
		case e.phase != stopping:
			d.world.note(time.Now(), p, Stopping)
			d.world.begin(e, stopping, &s.Stop, Stopped, "")
		}
		mine = true
		return false, nil
	})
}

// reach looks at the unit, and again whenever it has changed, until look says that it is done or cannot be. The world is
// locked while look runs.
func (d *Driver) reach(ctx context.Context, a actions.Action, look func(place, *entry) (bool, error)) error {
	p := place{d.host, a.Target.Unit}
	w := d.world
	for {
		w.mu.Lock()
		w.settle()
		e := w.entry(p)
		if e == nil {
			w.mu.Unlock()
			return errUnknownUnit
		}
		done, err := look(p, e)
		due, changed := e.due, e.changed
		w.mu.Unlock()
		if done || err != nil {
			return err
		}
		if err := until(ctx, due, changed); err != nil {
			return err
		}
	}
}

// run notes that the command ran, then lets it take its time.
func (d *Driver) run(ctx context.Context, a actions.Action) error {
	p := place{d.host, a.Target.Unit}
	w := d.world
	w.mu.Lock()
	w.settle()
	if w.entry(p) == nil {
		w.mu.Unlock()
		return errUnknownUnit
	}
	w.record = append(w.record, Entry{
		At: time.Now(), Host: d.host, Unit: p.unit, What: Ran, Token: a.Env["HOLTER_TOKEN"], Args: slices.Clone(a.Args),
	})
	b := &w.script(p).Run
	var due time.Time
	var end error
	if !b.Hang {
		due = time.Now().Add(b.Takes)
	}
	if b.Fail > 0 {
		b.Fail--
		end = errScripted
	}
	w.mu.Unlock()
	if err := until(ctx, due, nil); err != nil {
		return err
	}
	return end
}

// until waits for a moment, the zero time being never, or for a change, whichever comes first.
func until(ctx context.Context, due time.Time, changed <-chan struct{}) error {
	var passed <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-passed:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
