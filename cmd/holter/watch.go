package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// Limits of watching a run.
const (
	stillEvery = 30 * time.Second       // a line while nothing changes, so that nobody thinks it hangs
	blockWait  = 300 * time.Millisecond // after the last event, before it is said what the run waits for
	settleWait = 500 * time.Millisecond // between two looks for a run's outcome
	settleTry  = 20
	watchQueue = 64
)

// watcher follows one run to its end and tells each change.
type watcher struct {
	a        *app
	client   *console.Client
	run      string
	total    int
	hosts    []string // that it is about: what becomes of them is told, too
	finished map[string]bool
	quietFor time.Duration // since the last line
	told     string        // what it was last said to wait for
}

// watch follows a run from an index on and ends with the run's outcome. Leaving it does nothing to the run.
func (a *app) watch(ctx context.Context, client *console.Client, run console.RunItem, after uint64) error {
	w := &watcher{a: a, client: client, run: run.ID, total: len(run.Steps), hosts: run.Hosts, finished: map[string]bool{}}
	for _, step := range run.Steps {
		if step.State == "done" || step.State == "skipped" {
			w.finished[step.ID] = true
		}
	}
	final, err := w.follow(ctx, after)
	switch {
	case err != nil && ctx.Err() != nil:
		a.say("%s goes on; follow it: holter run watch %s", run.ID, run.ID)
		return ended(console.ExitInterrupt)
	case err != nil:
		return &exitError{
			code: console.ExitUnknown, hint: "follow it: holter run watch " + run.ID,
			err: fmt.Errorf("the connection is lost and %s goes on: %w", run.ID, err),
		}
	}
	switch a.flags.output {
	case outJSON:
		err = a.printDoc(final)
	case outName:
		a.printf("%s\n", final.Item.ID)
	case outTable:
		c := runCell(final.Item.State)
		a.printf("%s %s in %s, %d/%d steps\n", run.ID, a.style.paint(c.role, c.text), a.took(final.Item), final.Item.Finished, len(final.Item.Steps))
	}
	if err != nil {
		return err
	}
	return ended(final.Item.Exit)
}

// follow tells the run's events until it has ended, with a line every 30 seconds while there are none.
func (w *watcher) follow(ctx context.Context, after uint64) (console.Doc[console.RunItem], error) {
	ctx, cancel := context.WithCancel(ctx)
	var streaming sync.WaitGroup
	defer streaming.Wait()
	defer cancel()
	events := make(chan console.EventItem, watchQueue)
	broken := make(chan error, 1)
	streaming.Go(func() {
		broken <- w.client.Follow(ctx, after, console.Follower{Event: func(e console.EventItem) error {
			if w.concerns(e) {
				select {
				case events <- e:
				case <-ctx.Done():
				}
			}
			return nil
		}})
	})
	still := time.NewTicker(stillEvery)
	defer still.Stop()
	blocked := time.NewTimer(blockWait)
	defer blocked.Stop()
	for {
		select {
		case e := <-events:
			still.Reset(stillEvery)
			blocked.Reset(blockWait)
			w.quietFor = 0
			if err := w.tell(e); err != nil {
				return console.Doc[console.RunItem]{}, err
			}
			if e.Name == "run.ended" {
				return w.outcome(ctx)
			}
		case <-still.C:
			w.quietFor += stillEvery
			if run, err := w.tellStill(ctx); err == nil && !run.Item.Open() {
				return run, nil
			}
		case <-blocked.C:
			w.tellBlocked(ctx)
		case err := <-broken:
			return console.Doc[console.RunItem]{}, err
		}
	}
}

// concerns says that an event is the run's, or of a host that it is about.
func (w *watcher) concerns(e console.EventItem) bool {
	noun, _, _ := strings.Cut(e.Name, ".")
	return e.Run == w.run || (noun == "host" || noun == "fence") && slices.Contains(w.hosts, e.Subject)
}

// tell writes one change.
func (w *watcher) tell(e console.EventItem) error {
	if w.a.flags.output == outJSONL {
		return w.a.printDoc(e)
	}
	if step := strings.TrimPrefix(e.Subject, w.run+"/"); e.Name == "step.skipped" || e.Name == "step.finished" && e.Outcome == string(wire.Done) {
		w.finished[step] = true
	}
	if w.a.flags.output == outTable {
		cause := ""
		if e.Name == "run.started" && e.Cause != 0 {
			cause = fmt.Sprintf(" ← #%d", e.Cause)
		}
		w.a.printf("%s %s %s: %s%s  %d/%d\n", e.At, e.Subject, strings.Replace(e.Name, ".", " ", 1), e.Text, cause, len(w.finished), w.total)
	}
	return nil
}

// tellBlocked says, once for each thing, what a run waits for that only a person can bring, and what to type.
func (w *watcher) tellBlocked(ctx context.Context) {
	asking, cancel := w.a.asking(ctx)
	defer cancel()
	run, err := w.client.Run(asking, w.run)
	if err != nil { // the next line says so, if it is still so by then
		return
	}
	waits := strings.Join(run.Item.Waits, "\n  ")
	if waits == w.told {
		return
	}
	switch planner.RunState(run.Item.State) {
	case planner.RunPaused:
		w.a.say("%s is paused and fails by itself at %s, unless you decide:\n  %s\n  or end it: holter run abort %s --reason …",
			w.run, clockTime(run.Item.Until), waits, w.run)
	case planner.RunWaiting:
		w.a.say("%s waits until %s:\n  %s", w.run, clockTime(run.Item.Until), waits)
	case planner.RunRunning, planner.RunAborting, planner.RunSucceeded, planner.RunFailed, planner.RunWasAborted:
		return
	}
	w.told = waits
}

// tellStill names what the run waits for while nothing changes.
func (w *watcher) tellStill(ctx context.Context) (console.Doc[console.RunItem], error) {
	asking, cancel := w.a.asking(ctx)
	defer cancel()
	run, err := w.client.Run(asking, w.run)
	quiet := w.a.flags.quiet || w.a.flags.output != outTable
	switch {
	case ctx.Err() != nil || quiet:
	case err != nil:
		w.a.printf("%s %s still unknown for %s: %v\n", console.Time{Time: w.a.now()}, w.run, console.Duration(w.quietFor), err)
	case run.Item.Open():
		until := ""
		if !run.Item.Until.IsZero() {
			until = ", until " + run.Item.Until.String()
		}
		w.a.printf("%s %s still %s for %s: %s%s  %d/%d\n", console.Time{Time: w.a.now()}, w.run, run.Item.State,
			console.Duration(w.quietFor), orDash(strings.Join(run.Item.Waits, "; ")), until, len(w.finished), w.total)
	}
	return run, err
}

// outcome asks for the run that has ended. The monitor that answers may be behind the one that streamed the end.
func (w *watcher) outcome(ctx context.Context) (run console.Doc[console.RunItem], err error) {
	for range settleTry {
		asking, cancel := w.a.asking(ctx)
		run, err = w.client.Run(asking, w.run)
		cancel()
		if err == nil && !run.Item.Open() {
			return run, nil
		}
		select {
		case <-time.After(settleWait):
		case <-ctx.Done():
			return run, ctx.Err()
		}
	}
	return run, errors.Join(errors.New("the run has ended, but no monitor says how"), err)
}
