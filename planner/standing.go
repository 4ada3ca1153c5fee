package planner

import (
	"fmt"
	"time"

	"github.com/holter-ha/holter/plans"
)

// Standing says where a run stands in people's words: its state, where RunRunning becomes RunWaiting when nothing but
// evidence can move it; what it waits for; and until when.
func (s *State) Standing(run *Run) (state RunState, waits []string, until time.Time) {
	state, until = run.State, run.Until
	moving := false
	for i := range run.Steps {
		st := &run.Steps[i]
		switch {
		case st.halts():
			waits = append(waits, fmt.Sprintf("%s %s: %s (holter run retry|skip %s %s)", st.ID, st.State, st.Reason, RunID(run.ID), st.ID))
		case st.State != StateStarted:
		case st.Host != "" && s.phaseOf(st.Host) == Revoking:
			waits = append(waits, fmt.Sprintf("%s: evidence that %s runs nothing (holter fence confirm %s --reason …)", st.ID, st.Host, st.Host))
			limit := st.Within
			if st.commanded() {
				limit += answerSlop + st.OnFailure.Within
			}
			if deadline := st.Begun.Add(limit); until.IsZero() || deadline.Before(until) {
				until = deadline
			}
		default:
			moving = true
			waits = append(waits, fmt.Sprintf("%s: %s", st.ID, doing(st)))
		}
	}
	if state == RunRunning && !moving && len(waits) > 0 {
		state = RunWaiting
	}
	return state, waits, until
}

// doing says in words what a step that has begun is about.
func doing(st *Step) string {
	switch st.Kind {
	case plans.StepStart:
		return "starts on " + st.Host + ", then becomes ready"
	case plans.StepStop:
		return "stops on " + st.Host
	case plans.StepRun:
		return "runs " + st.Command + " on " + st.Host
	case plans.StepWait:
		return "lets " + st.Within.String() + " pass"
	case plans.StepFence:
		return "has its evidence"
	}
	return ""
}
