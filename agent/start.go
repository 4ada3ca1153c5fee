package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// pointEvery is how often it is asked what to kill of a workload that is being started.
const pointEvery = 200 * time.Millisecond

// start lets a workload run and waits until it is ready. A driver that cannot tell what the workload is doing is asked for
// nothing: it may not know it at all.
func (d doer) start(ctx context.Context, driver actions.Driver, j *job) wire.Result {
	c := j.command
	if err := canTell(ctx, driver, c.Action.Target); err != nil {
		return nothingBegun(j, err)
	}
	if c.Exclusive {
		if err := d.orders.await(ctx, j.orders); err != nil {
			return d.notDone(ctx, c, givenUp(err), false)
		}
		defer d.pointing(ctx, driver, c.Action.Target)()
	}
	done := d.isDone(ctx, driver, c.Action)
	if !done {
		if err := d.may(c); err != nil {
			return d.notDone(ctx, c, givenUp(err), false)
		}
		err := driver.Do(ctx, c.Action)
		if err := d.checkAgain(ctx, driver, c); err != nil {
			return wire.Result{Outcome: wire.Unknown, Reason: err.Error()}
		}
		if !d.isDone(ctx, driver, c.Action) {
			return d.notDone(ctx, c, err, ctx.Err() != nil)
		}
	}
	if c.Ready != nil {
		if err := d.await(ctx, c.Action.Target, *c.Ready); err != nil {
			return d.notDone(ctx, c, err, false)
		}
	}
	return wire.Result{Outcome: wire.Done, Already: done && !j.again}
}

// canTell asks a driver whether it can tell what a workload is doing.
func canTell(ctx context.Context, driver actions.Driver, t actions.Target) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	_, err := driver.Status(ctx, t)
	return err
}

// checkAgain looks at the lease once more after an exclusive workload was started: whoever was paused between the check and
// the start kills what has no right to run. That it is gone is proven by the stop that follows.
func (d doer) checkAgain(ctx context.Context, driver actions.Driver, c wire.Command) error {
	if !c.Exclusive {
		return nil
	}
	d.point(ctx, driver, c.Action.Target)
	if t := d.tenure(); t.self == lease.None || t.phase != lease.Over {
		return nil
	}
	return errors.Join(errors.New("killed as soon as it was started"), d.kill(context.WithoutCancel(ctx), c.Action.Target))
}

// pointing tells the guard again and again what to kill of a workload while it is being started. It returns how to end that.
func (d doer) pointing(ctx context.Context, driver actions.Driver, t actions.Target) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var pointing sync.WaitGroup
	pointing.Go(func() {
		tick := time.NewTicker(pointEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.point(ctx, driver, t)
			}
		}
	})
	return func() {
		cancel()
		pointing.Wait()
	}
}

// point tells the guard what to kill of a workload now.
func (d doer) point(ctx context.Context, driver actions.Driver, t actions.Target) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if handles, err := driver.Handles(ctx, t); err == nil {
		d.orders.point(t.Workload, handles)
	}
}
