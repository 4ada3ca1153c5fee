package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// maxSteps bounds one run.
const maxSteps = 10_000

// foldRunStarted opens a run. A workload belongs to one open run at most, a plan has one open run at most, and one loss
// starts one run of a plan.
func (s *State) foldRunStarted(entry Entry, e RunStarted) error {
	if s.Recovery != nil && e.Kind != RunFence {
		return s.recovering()
	}
	if err := s.checkSteps(e.Steps); err != nil {
		return err
	}
	if err := s.checkTrigger(entry, e); err != nil {
		return err
	}
	id := s.LastRun + 1
	wants := wantedBy(e.Steps)
	for _, name := range sortedKeys(wants) {
		w, ok := s.Workloads.Get(name)
		if !ok {
			return refuse(CodeNoSuch, "there is no workload %s", name)
		}
		if w.Run != 0 {
			return refuse(CodeClaimed, "workload %s belongs to %s, which is still open", name, RunID(w.Run)).
				with("holter run watch %s", RunID(w.Run))
		}
		w.Run, w.Wanted = id, wants[name]
		if e.Kind == RunHomeless {
			host, _ := s.Hosts.Get(w.Last)
			w.Tried = host.Epoch
		}
		s.Workloads = s.Workloads.With(name, w)
	}
	for _, name := range e.Hosts {
		host, _ := s.Hosts.Get(name)
		if e.Plan != "" && host.Revocation != 0 {
			host.Handled = withKey(host.Handled, e.Plan, id)
			if entry.Cause != 0 {
				host = host.damped(s.At)
			}
			s.Hosts = s.Hosts.With(name, host)
		}
	}
	s.LastRun = id
	run := &Run{
		ID: id, Kind: e.Kind, Plan: e.Plan, PlanRev: e.PlanRev, State: RunRunning, Cause: entry.Cause, By: entry.By,
		Reason: entry.Reason, Hosts: e.Hosts, Losses: e.Losses, Steps: slices.Clone(e.Steps), Started: s.At, Why: e.Why,
	}
	for i := range run.Steps {
		run.Steps[i].State = StatePending
	}
	s.Runs = s.Runs.With(indexKey(id), run)
	return nil
}

// checkSteps refuses steps that do not form a graph: each id once, After only what stands before it.
func (s *State) checkSteps(steps []Step) error {
	if len(steps) == 0 {
		return refuse(CodeNothing, "there is nothing to do")
	}
	if len(steps) > maxSteps {
		return refuse(CodeInvalid, "a run has at most %d steps, this one has %d", maxSteps, len(steps))
	}
	seen := make(map[string]bool, len(steps))
	for _, step := range steps {
		for _, before := range step.After {
			if !seen[before] {
				return refuse(CodeInvalid, "step %s comes after %s, which does not stand before it", step.ID, before)
			}
		}
		if seen[step.ID] || step.ID == "" {
			return refuse(CodeInvalid, "step id %q is empty or there twice", step.ID)
		}
		if step.State != "" || step.Attempt != 0 {
			return refuse(CodeInvalid, "step %s has been begun before its run", step.ID)
		}
		if !step.sound() {
			return refuse(CodeInvalid, "step %s has a kind (%q) or a way to go on after a failure (%q) that is not known", step.ID, step.Kind, step.OnFailure.Then)
		}
		seen[step.ID] = true
	}
	return nil
}

// sound says that kind and failure of a step are among those that a run knows how to get past.
func (st *Step) sound() bool {
	switch st.Kind {
	case plans.StepFence, plans.StepStop, plans.StepStart, plans.StepWait, plans.StepRun:
	default:
		return false
	}
	switch st.OnFailure.Then {
	case plans.ThenHalt, plans.ThenContinue, plans.ThenAbort:
		return true
	}
	return false
}

func (s *State) checkTrigger(entry Entry, e RunStarted) error {
	if len(e.Hosts) != len(e.Losses) {
		return refuse(CodeInvalid, "a run names the loss of each of its hosts")
	}
	if e.Kind == RunFence {
		return s.checkFence(e)
	}
	if e.Kind != RunPlan {
		return nil
	}
	plan, ok := s.Plans.Get(e.Plan)
	if !ok || plan.Rev != e.PlanRev {
		return refuse(CodeStale, "plan %s is not at #%d any more", e.Plan, e.PlanRev)
	}
	for _, run := range s.Runs.All() {
		if run.Open() && run.Plan == e.Plan {
			return refuse(CodeOpenRun, "%s of plan %s is still open", RunID(run.ID), e.Plan).with("holter run watch %s", RunID(run.ID))
		}
	}
	automatic := entry.Cause != 0
	if automatic && !plan.Armed {
		return refuse(CodeState, "plan %s is not armed", e.Plan).with("holter plan arm %s", e.Plan)
	}
	for i, name := range e.Hosts {
		host, known := s.Hosts.Get(name)
		switch {
		case !known:
			return refuse(CodeNoSuch, "there is no host %s", name)
		case automatic && (host.Revocation != e.Losses[i] || host.Revocation == 0):
			return refuse(CodeStale, "host %s is not lost by #%d any more", name, e.Losses[i])
		case automatic && host.damps(s.At):
			return refuse(CodeState, "a run was started for %s a moment ago; the next one waits until %s", name, host.dampedUntil().UTC().Format(time.RFC3339))
		case automatic && host.Handled[e.Plan] != 0:
			return refuse(CodeStale, "%s has answered the loss of %s", RunID(host.Handled[e.Plan]), name)
		}
	}
	return nil
}

// checkFence refuses to fence what cannot be fenced, or is being fenced.
func (s *State) checkFence(e RunStarted) error {
	for _, name := range e.Hosts {
		for _, run := range s.Runs.All() {
			if run.Open() && run.Kind == RunFence && slices.Contains(run.Hosts, name) {
				return refuse(CodeOpenRun, "%s fences %s already", RunID(run.ID), name).with("holter run watch %s", RunID(run.ID))
			}
		}
		if _, known := s.Hosts.Get(name); !known {
			return refuse(CodeNoSuch, "there is no host %s", name).with("holter hosts")
		}
		if len(s.Inventory.Hosts[name].Fence) == 0 {
			return refuse(CodeInvalid, "host %s has no fence device; nothing was changed", name).
				with("add fence: to it in the inventory, or take its power yourself and say so: holter fence confirm %s --reason …", name)
		}
	}
	return nil
}

// wantedBy is what the steps want of each of their workloads in the end: the last start or stop counts.
func wantedBy(steps []Step) map[string]Wanted {
	wanted := map[string]Wanted{}
	for _, step := range steps {
		switch step.Kind {
		case plans.StepStart:
			wanted[step.Workload] = WantedRunning
		case plans.StepStop:
			wanted[step.Workload] = WantedStopped
		case plans.StepFence, plans.StepWait, plans.StepRun:
		}
	}
	return wanted
}

func withKey(m map[string]uint64, key string, value uint64) map[string]uint64 {
	next := make(map[string]uint64, len(m)+1)
	for k, v := range m {
		next[k] = v
	}
	next[key] = value
	return next
}

// openRun returns a copy of an open run that may be changed, and puts it back with keep.
func (s *State) openRun(id uint64) (*Run, error) {
	run := s.Run(id)
	if run == nil {
		return nil, refuse(CodeNoSuch, "there is no %s", RunID(id)).with("holter runs")
	}
	if !run.Open() {
		return nil, refuse(CodeState, "%s has ended: %s", RunID(id), run.State)
	}
	copied := *run
	copied.Steps = slices.Clone(run.Steps)
	return &copied, nil
}

func (s *State) keep(run *Run) { s.Runs = s.Runs.With(indexKey(run.ID), run) }

// Step returns the step of an id, nil if there is none.
func (r *Run) Step(id string) *Step {
	for i := range r.Steps {
		if r.Steps[i].ID == id {
			return &r.Steps[i]
		}
	}
	return nil
}

// openStep is openRun with one of its steps.
func (s *State) openStep(id uint64, stepID string) (*Run, *Step, error) {
	run, err := s.openRun(id)
	if err != nil {
		return nil, nil, err
	}
	step := run.Step(stepID)
	if step == nil {
		return nil, nil, refuse(CodeNoSuch, "%s has no step %s", RunID(id), stepID).with("holter runs %s", RunID(id))
	}
	return run, step, nil
}

func (s *State) foldStepRetried(e StepRetried) error {
	run, step, err := s.openStep(e.Run, e.Step)
	if err != nil {
		return err
	}
	if step.State != StateFailed && step.State != StateUnknown || run.State == RunAborting {
		return refuse(CodeState, "%s/%s is %s: only a step that failed, of a run that goes on, can be retried", RunID(e.Run), e.Step, step.State)
	}
	step.State, step.Spent, step.NotYet = StatePending, 0, s.At
	run.settle()
	s.keep(run)
	return nil
}

func (s *State) foldStepSkipped(e StepSkipped) error {
	run, step, err := s.openStep(e.Run, e.Step)
	if err != nil {
		return err
	}
	switch {
	case step.Kind == plans.StepFence:
		return refuse(CodeEvidence, "%s/%s cannot be skipped: without evidence nothing starts", RunID(e.Run), e.Step).
			with("holter fence confirm %s --reason …", step.Host)
	case step.State == StatePending || step.State == StateFailed || step.State == StateUnknown:
	case step.State == StateStarted && step.Kind == plans.StepWait:
	default:
		return refuse(CodeState, "%s/%s is %s: it cannot be skipped", RunID(e.Run), e.Step, step.State)
	}
	step.State, step.Ended = StateSkipped, s.At
	run.settle()
	s.keep(run)
	return nil
}

// settle makes a run paused or running by what its steps are.
func (r *Run) settle() {
	if r.State == RunAborting {
		return
	}
	r.State = RunRunning
	for i := range r.Steps {
		step := &r.Steps[i]
		if !step.halts() {
			continue
		}
		if until := step.Ended.Add(step.OnFailure.Within); r.State != RunPaused || until.Before(r.Until) {
			r.Until = until
		}
		r.State = RunPaused
	}
	if r.State == RunRunning {
		r.Until = time.Time{}
	}
}

// halts says that the run cannot go on past this step without a person.
func (st *Step) halts() bool {
	return (st.State == StateFailed || st.State == StateUnknown) && st.OnFailure.Then == plans.ThenHalt
}

// over says that what comes after this step may begin.
func (st *Step) over() bool {
	switch st.State {
	case StateDone, StateSkipped:
		return true
	case StateFailed, StateUnknown:
		return st.OnFailure.Then == plans.ThenContinue
	case StatePending, StateStarted:
	}
	return false
}

func (s *State) foldRunAborted(e RunAborted) error {
	run, err := s.openRun(e.Run)
	if err != nil {
		return err
	}
	if run.State == RunAborting {
		return refuse(CodeState, "%s is being aborted already", RunID(e.Run))
	}
	run.State = RunAborting
	s.keep(run)
	return nil
}

// foldRunEnded ends a run whose steps allow it and lets its workloads go.
func (s *State) foldRunEnded(e RunEnded) error {
	run, err := s.openRun(e.Run)
	if err != nil {
		return err
	}
	for i := range run.Steps {
		step := &run.Steps[i]
		if step.State == StateStarted && step.commanded() {
			return refuse(CodeState, "%s cannot end: %s is under way", RunID(e.Run), step.ID)
		}
		if e.Outcome == RunSucceeded && !step.over() {
			return refuse(CodeState, "%s cannot succeed: %s is %s", RunID(e.Run), step.ID, step.State)
		}
	}
	switch e.Outcome {
	case RunSucceeded, RunFailed, RunWasAborted:
	default:
		return refuse(CodeInvalid, "a run cannot end as %s", e.Outcome)
	}
	run.State, run.Ended, run.Until = e.Outcome, s.At, time.Time{}
	s.Tally.ended(e.Outcome)
	s.keep(run)
	for name := range wantedBy(run.Steps) {
		if w, ok := s.Workloads.Get(name); ok && w.Run == run.ID {
			w.Run = 0
			s.Workloads = s.Workloads.With(name, w)
		}
	}
	s.forgetOldRuns()
	return nil
}

func (s *State) forgetOldRuns() {
	ended := -maxEndedRuns
	for _, run := range s.Runs.All() {
		if !run.Open() {
			ended++
		}
	}
	for key, run := range s.Runs.All() {
		if ended <= 0 {
			return
		}
		if !run.Open() {
			s.Runs = s.Runs.Without(key)
			ended--
		}
	}
}

// commanded says that the step is done by an agent.
func (st *Step) commanded() bool {
	return st.Kind == plans.StepStart || st.Kind == plans.StepStop || st.Kind == plans.StepRun
}
