package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holter-ha/holter/planner"
)

// ParseRun reads the name of a run, R-0001 or 1, with an optional step behind a slash.
func ParseRun(text string) (id uint64, step string, err error) {
	name, step, _ := strings.Cut(text, "/")
	digits := strings.TrimPrefix(strings.ToUpper(name), "R-")
	id, err = strconv.ParseUint(digits, 10, 64)
	if err != nil || id == 0 {
		return 0, "", fmt.Errorf("%q is not the name of a run, such as R-0001", text)
	}
	return id, step, nil
}

// runItems lists the runs, oldest first; only the open ones if asked so.
func runItems(look Look, onlyOpen bool) []RunItem {
	items := []RunItem{}
	for _, run := range look.State.Runs.All() {
		if run.Open() || !onlyOpen {
			items = append(items, runItem(look.State, run))
		}
	}
	return items
}

func runItem(s *planner.State, run *planner.Run) RunItem {
	item := RunItem{
		ID: planner.RunID(run.ID), Kind: string(run.Kind), Plan: run.Plan, PlanRev: run.PlanRev, State: string(run.State),
		Cause: run.Cause, By: run.By, Reason: run.Reason, Hosts: some(run.Hosts), Started: Time{run.Started}, Ended: Time{run.Ended},
		Waits: []string{}, Steps: make([]StepItem, 0, len(run.Steps)), Exit: exitOf(run),
	}
	states := make(map[string]planner.StepState, len(run.Steps))
	for i := range run.Steps {
		step := &run.Steps[i]
		states[step.ID] = step.State
		item.Steps = append(item.Steps, stepItem(s, run, step, states))
		if step.State != planner.StatePending && step.State != planner.StateStarted {
			item.Finished++
		}
	}
	if run.Open() {
		state, waits, until := s.Standing(run)
		item.State, item.Waits, item.Until = string(state), some(waits), Time{until}
	}
	return item
}

// exitOf is what a follower of the run exits with.
func exitOf(run *planner.Run) Exit {
	switch run.State {
	case planner.RunFailed:
		return ExitRunFailed
	case planner.RunWasAborted:
		return ExitAborted
	case planner.RunSucceeded:
		if slices.ContainsFunc(run.Steps, func(st planner.Step) bool { return st.State != planner.StateDone }) {
			return ExitSkipped
		}
	case planner.RunRunning, planner.RunWaiting, planner.RunPaused, planner.RunAborting:
	}
	return ExitOK
}

// stepItem is one step; states holds those of the steps before it.
func stepItem(s *planner.State, run *planner.Run, step *planner.Step, states map[string]planner.StepState) StepItem {
	item := StepItem{
		ID: step.ID, Step: step.Plan, Kind: string(step.Kind), Workload: step.Workload, Host: step.Host, State: string(step.State),
		Attempt: step.Attempt, After: some(step.After), Begun: Time{step.Begun}, Ended: Time{step.Ended},
		Outcome: string(step.Outcome), Already: step.Already, Reason: step.Reason, WaitsFor: []string{}, Evidence: evidenceOf(s, step),
	}
	if !step.Begun.IsZero() && step.Ended.After(step.Begun) {
		item.TookMs = step.Ended.Sub(step.Begun).Milliseconds()
	}
	switch {
	case !run.Open():
	case step.State == planner.StateStarted && step.Within > 0:
		item.Deadline = Time{step.Begun.Add(step.Within)}
	case step.State == planner.StatePending:
		item.NotYet = Time{step.NotYet}
		for _, id := range step.After {
			if state := states[id]; state != planner.StateDone && state != planner.StateSkipped {
				item.WaitsFor = append(item.WaitsFor, id)
			}
		}
	}
	return item
}

// evidenceOf is what the start of a workload that had been on another host stands on, as long as that event is kept.
func evidenceOf(s *planner.State, step *planner.Step) string {
	logged, _ := s.Logged(step.Token)
	started, _ := logged.Entry.Event.(planner.StepStarted)
	return evidenceIn(started.Why)
}

// moment is a moment to come within a text: with its date when that is another one's.
func moment(t, now time.Time) string {
	if t.UTC().Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return clock(t)
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// clock is a moment within a text.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
