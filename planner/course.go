package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// course tells whose turn it is in a run. It is made once for each state of the run, because runs may have many steps.
type course struct {
	run  *Run
	byID map[string]*Step
	busy map[string]bool // workloads with a step under way
	// aborts is the first step whose failure ends the run, nil if there is none.
	aborts *Step
}

func (r *Run) course() *course {
	c := &course{run: r, byID: make(map[string]*Step, len(r.Steps)), busy: map[string]bool{}}
	for i := range r.Steps {
		st := &r.Steps[i]
		c.byID[st.ID] = st
		switch st.State {
		case StateStarted:
			c.busy[st.Workload] = st.Workload != ""
		case StateFailed, StateUnknown:
			if c.aborts == nil && st.OnFailure.Then == plans.ThenAbort {
				c.aborts = st
			}
		case StatePending, StateDone, StateSkipped:
		}
	}
	return c
}

// turn says that nothing of the run stands before a pending step any more. After a failure that ends the run nothing more
// begins, and two steps with one workload never are under way at once.
func (c *course) turn(st *Step) bool {
	if c.aborts != nil || c.busy[st.Workload] || c.run.State == RunAborting {
		return false
	}
	return !slices.ContainsFunc(st.After, func(id string) bool { return !c.byID[id].over() })
}

// dueSince is when a pending step's turn came.
func (c *course) dueSince(st *Step) time.Time {
	since := c.run.Started
	if st.NotYet.After(since) {
		since = st.NotYet
	}
	for _, id := range st.After {
		if before := c.byID[id]; before.Ended.After(since) {
			since = before.Ended
		}
	}
	return since
}
