package planner

import (
	"fmt"
	"time"

	"github.com/holter-ha/holter/plans"
)

// Standing says where a run stands in people's words: its state, where RunRunning becomes RunWaiting when nothing but
// evidence can move it; what it waits for; and until when: when a paused run fails, else when the first of what it waits for
// is given up.
func (s *State) Standing(run *Run) (state RunState, waits []string, until time.Time) {
	state = run.State
	moving, course := false, run.course()
	for i := range run.Steps {
		st := &run.Steps[i]
		what, evidenceOf, deadline := s.awaits(course, st)
		switch {
		case what == "":
			continue
		case evidenceOf != "":
			proof, person := s.proofOf(evidenceOf)
			what = fmt.Sprintf("evidence that %s runs nothing: %s", evidenceOf, proof)
			moving = moving || !person
		case !st.halts():
			moving = true
		}
		waits = append(waits, st.ID+": "+what)
		if !deadline.IsZero() && (until.IsZero() || deadline.Before(until)) {
			until = deadline
		}
	}
	if state == RunPaused {
		until = run.Until
	}
	if state == RunRunning && !moving && len(waits) > 0 {
		state = RunWaiting
	}
	return state, waits, until
}

// proofOf says where the evidence that a silent host runs nothing will come from, and whether only a person can bring it.
func (s *State) proofOf(name string) (proof string, person bool) {
	host, _ := s.Hosts.Get(name)
	confirm := fmt.Sprintf("holter fence confirm %s --reason …", name)
	switch {
	case host.Fence.Open():
		return fmt.Sprintf("attempt %d to fence it, by %s", host.Fence.Attempt, host.Fence.Monitor), false
	case host.Phase == Revoking && host.Lease.Fences():
		return fmt.Sprintf("its lease is over %s after the last renewal (or: %s)", host.Lease.Takeover(), confirm), false
	case len(s.Inventory.Hosts[name].Fence) > 0 && s.fenceWanted(name):
		return fmt.Sprintf("fencing it failed (%s) and is tried again (or: %s)", host.Fence.reason(), confirm), false
	}
	return confirm, true
}

// awaits says what a run waits for with one of its steps, "" if for nothing; the lost host whose evidence it is; and until
// when.
func (s *State) awaits(c *course, st *Step) (what, evidenceOf string, until time.Time) {
	run := c.run
	switch {
	case st.halts() && run.State != RunAborting:
		return fmt.Sprintf("%s: %s (holter run retry|skip %s %s)", st.State, st.Reason, RunID(run.ID), st.ID), "", time.Time{}
	case st.State == StatePending && c.turn(st):
		limit, host := s.patience(run, st)
		return "begins as soon as it can", host, c.dueSince(st).Add(limit)
	case st.State != StateStarted:
		return "", "", time.Time{}
	case st.Host != "" && s.silent(st.Host):
		evidenceOf = st.Host
	}
	return doing(st), evidenceOf, s.answerBy(st)
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
