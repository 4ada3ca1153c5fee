package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holter-ha/holter/planner"
)

// The histogram, beside the table.
const (
	stepDuration = "holter_step_duration_seconds"
	stepHelp     = "How long attempts at steps took that this process saw end, by kind and outcome."
)

var stepLabels = []string{"kind", "outcome"}

// maxBehind is how many entries are looked through at one scrape: as many as the state remembers.
const maxBehind = 10_000

// steps counts how long steps took, as the log tells it.
type steps struct {
	*prometheus.HistogramVec

	since time.Time
	seen  uint64 // index up to which events were counted
}

func newSteps(since time.Time) steps {
	return steps{
		HistogramVec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: stepDuration, Help: stepHelp,
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
		}, stepLabels),
		since: since,
	}
}

// observe counts what has ended since it was called last. An older state than before, of a look that was overtaken, adds
// nothing.
func (s *steps) observe(state *planner.State) {
	first := s.seen + 1
	if state.Index > maxBehind {
		first = max(first, state.Index-maxBehind)
	}
	for index := first; index <= state.Index; index++ {
		logged, ok := state.Logged(index)
		if !ok || logged.Entry.At.Before(s.since) {
			continue
		}
		if finished, ok := logged.Entry.Event.(planner.StepFinished); ok {
			s.count(state.Run(finished.Run), finished)
		}
	}
	s.seen = max(s.seen, state.Index)
}

// count counts one attempt: by the agent's own clock where one did it, else by log time.
func (s *steps) count(run *planner.Run, finished planner.StepFinished) {
	if run == nil {
		return // forgotten, with its steps
	}
	step := run.Step(finished.Step)
	if step == nil {
		return
	}
	took := finished.Took
	if took == 0 && step.Attempt == finished.Attempt && step.Ended.After(step.Begun) {
		took = step.Ended.Sub(step.Begun)
	}
	s.WithLabelValues(string(step.Kind), string(finished.Outcome)).Observe(took.Seconds())
}
