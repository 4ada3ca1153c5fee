package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/probe"
)

// stoppedEvery is how often a workload that is not ready yet is asked whether it still runs.
const stoppedEvery = time.Second

var errStopped = errors.New("it stopped before it was ready")

// await waits until a workload is ready. It does not wait for one that has stopped.
func (l looker) await(ctx context.Context, t actions.Target, ready actions.Ready) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		tick := time.NewTicker(stoppedEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if l.status(ctx, t).Condition == actions.Stopped {
				cancel(errStopped)
			}
		}
	})
	err := probe.Ready(ctx, ready, l.subject(t))
	if err != nil && errors.Is(context.Cause(ctx), errStopped) {
		return errStopped
	}
	return err
}

// check looks once whether a workload is ready.
func (l looker) check(ctx context.Context, t actions.Target, ready actions.Ready) error {
	return probe.Check(ctx, ready, l.subject(t))
}

// subject is a workload as the probes need it. A command that tells whether it is ready is one of the host's own.
func (l looker) subject(t actions.Target) probe.Subject {
	run := func(ctx context.Context, name string) error {
		driver, ok := l.drivers[runKind]
		if !ok {
			return fmt.Errorf("this agent has no driver for kind %q", runKind)
		}
		return driver.Do(ctx, actions.Action{
			Verb: actions.Run, Target: actions.Target{Workload: name, Kind: runKind, Unit: name},
		})
	}
	return probe.Subject{Driver: l.drivers[t.Kind], Target: t, Run: run}
}
