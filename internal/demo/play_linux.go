package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
)

// play goes on with the script as far as it can now. It returns the outcome when the script has ended and the demo with it.
func (d *demo) play(ctx context.Context) *verdict {
	for len(d.script) > 0 {
		if d.since.IsZero() {
			d.since = time.Now()
		}
		done, err := d.step(d.script[0])
		if err != nil {
			return &verdict{console.ExitFailed, fmt.Errorf("%s: %w", d.script[0], err)}
		}
		if !done {
			return nil
		}
		d.script, d.since = d.script[1:], time.Time{}
		if len(d.script) == 0 && d.o.Exit {
			return d.outcome(ctx)
		}
	}
	return nil
}

// step does a step of the script, or says that it cannot be done yet.
func (d *demo) step(s Step) (done bool, err error) {
	waited := time.Since(d.since)
	switch s.Verb {
	case verbKill:
		name, ok := d.target(s.Target)
		switch {
		case ok:
			return true, d.kill(name)
		case d.dead(s.Target):
			return false, fmt.Errorf("%s is dead already", s.Target)
		case waited > findLimit:
			return false, fmt.Errorf("there was nothing to kill for %s", findLimit)
		}
	case verbHeal:
		return true, d.heal()
	case verbWait:
		waits := d.unsettled()
		switch {
		case len(waits) == 0:
			return true, nil
		case waited > s.Limit:
			return false, fmt.Errorf("the time is up; still missing: %s", strings.Join(waits, "; "))
		}
	}
	return false, nil
}

// unsettled lists what is still to come of all that was done: that losses are noticed and answered, that what was healed is
// back, that no run is open, and that the shop is as it should be, unless a run could not make it so.
func (d *demo) unsettled() []string {
	var waits []string
	wait := func(format string, args ...any) { waits = append(waits, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(d.fates)) {
		f := d.fates[name]
		switch {
		case !f.healed.IsZero():
			wait("%s is not back", name)
		case !f.machine.isHost():
		case f.loss == 0:
			wait("%s is not lost yet for the monitors", name)
		case f.run == "":
			wait("no run has answered the loss of %s (is shop-dr armed?)", name)
		case !f.ended:
			wait("%s, which answers the loss of %s, has not ended", f.run, name)
		}
	}
	for _, run := range slices.Sorted(maps.Keys(d.open)) {
		wait("%s is open", run)
	}
	switch _, leads := d.leader(); {
	case !leads:
		wait("no monitor leads")
	case d.looked.index < d.index:
		wait("the monitors' answers are behind")
	}
	if d.bad {
		return waits
	}
	for _, name := range workloadNames {
		if w := d.looked.workloads[name]; w.Word != console.WorkloadReady {
			wait("%s is %s", name, w.Word)
		}
	}
	if d.meter.open != nil {
		wait("the shop does not answer")
	}
	return waits
}

// outcome is how a script that has ended has gone: the worst of the runs, and whether the shop answers.
func (d *demo) outcome(ctx context.Context) *verdict {
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	var runs console.List[console.RunItem]
	err := d.until(ctx, "a leading monitor says how the runs went", func(ctx context.Context) (err error) {
		runs, err = d.client.Runs(ctx)
		return err
	})
	if err != nil {
		return &verdict{console.ExitFailed, err}
	}
	exit, counts := console.ExitOK, map[string]int{}
	for _, run := range runs.Items {
		counts[run.State]++
		exit = worse(exit, run.Exit)
	}
	var words []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[state], state))
	}
	answer := ask(ctx, d.place.Front())
	shop := "the shop answers: " + d.places(answer.answer)
	if answer.err != nil {
		shop = "the shop does not answer"
		exit = worse(exit, console.ExitFailed)
	}
	d.story.say("\nruns: %s; %s", strings.Join(words, ", "), shop)
	return &verdict{exit, nil}
}

// worse is the more telling of two exit codes: a failed run before an aborted one, before skipped steps, before anything
// else.
func worse(a, b console.Exit) console.Exit {
	for _, exit := range []console.Exit{console.ExitRunFailed, console.ExitAborted, console.ExitSkipped} {
		if a == exit || b == exit {
			return exit
		}
	}
	return max(a, b)
}
