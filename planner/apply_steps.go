package planner

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// maxRetryDelay bounds the growing delay between two attempts of a step.
const maxRetryDelay = 10 * time.Minute

// foldStepStarted lets a step begin. Here is the last door: no start of an exclusive workload that has another owner, none
// on a host that is not active, none before its providers are ready; no stop of a provider before its dependents.
func (s *State) foldStepStarted(index uint64, e StepStarted) error {
	run, step, err := s.openStep(e.Run, e.Step)
	if err != nil {
		return err
	}
	if err := mayBegin(run, step, e, s.At); err != nil {
		return err
	}
	switch step.Kind {
	case plans.StepStart:
		err = s.grant(index, run, step, e)
	case plans.StepStop:
		err = s.markStopping(run, step, e)
	case plans.StepRun:
		err = s.activeUnder(e.Host, e.Epoch)
	case plans.StepFence, plans.StepWait:
	}
	if err != nil {
		return err
	}
	step.State, step.Attempt, step.Token = StateStarted, e.Attempt, index
	step.Begun, step.Ended, step.Within = s.At, time.Time{}, e.Within
	step.Outcome, step.Reason, step.Already = "", "", false
	if step.Kind == plans.StepStart {
		step.Host = e.Host
	}
	s.keep(run)
	return nil
}

func mayBegin(run *Run, step *Step, e StepStarted, at time.Time) error {
	switch {
	case run.State == RunAborting:
		return refuse(CodeState, "%s is being aborted: nothing begins any more", RunID(run.ID))
	case step.State != StatePending || e.Attempt != step.Attempt+1:
		return refuse(CodeStale, "attempt %d of %s/%s cannot begin: it is %s, attempt %d", e.Attempt, RunID(run.ID), step.ID, step.State, step.Attempt)
	case run.busyWith(step.Workload):
		return refuse(CodeOrder, "%s/%s waits for another step with %s", RunID(run.ID), step.ID, step.Workload)
	case at.Before(step.NotYet):
		return refuse(CodeState, "%s/%s is not due before %s", RunID(run.ID), step.ID, step.NotYet.UTC().Format(time.RFC3339))
	}
	for _, id := range step.After {
		if !run.Step(id).over() {
			return refuse(CodeOrder, "%s/%s comes after %s, which is %s", RunID(run.ID), step.ID, id, run.Step(id).State)
		}
	}
	return nil
}

// busyWith says that a step with a workload is under way: a start and a stop of one workload never are at once.
func (r *Run) busyWith(workload string) bool {
	return workload != "" && slices.ContainsFunc(r.Steps, func(st Step) bool {
		return st.Workload == workload && st.State == StateStarted
	})
}

// grant gives a workload to a host. Its index becomes the workload's token.
func (s *State) grant(index uint64, run *Run, step *Step, e StepStarted) error {
	w, ok := s.Workloads.Get(step.Workload)
	spec := s.Inventory.Workloads[step.Workload]
	if !ok {
		return refuse(CodeNoSuch, "there is no workload %s", step.Workload)
	}
	if s.Recovery != nil {
		return s.recovering()
	}
	if err := s.activeUnder(e.Host, e.Epoch); err != nil {
		return err
	}
	if !slices.Contains(spec.Hosts, e.Host) {
		return refuse(CodeHost, "workload %s may not run on %s", step.Workload, e.Host)
	}
	host, _ := s.Hosts.Get(e.Host)
	switch {
	case host.Quarantined(s.At):
		return refuse(CodeHost, "host %s is quarantined until %s", e.Host, host.Quarantine.UTC().Format(time.RFC3339)).
			with("holter host release %s --reason …", e.Host)
	case len(w.Twice) > 0:
		return refuse(CodeOwned, "workload %s runs on %s at once", step.Workload, strings.Join(w.Twice, " and "))
	}
	elsewhere := w.Owner != "" && w.Owner != e.Host
	if elsewhere && (spec.Exclusive || s.phaseOf(w.Owner) == Active) {
		return refuse(CodeOwned, "workload %s is on %s under #%d", step.Workload, w.Owner, w.Token)
	}
	if provider, ok := s.missingProvider(run, step.Workload); ok {
		return refuse(CodeOrder, "workload %s needs %s, which is not ready", step.Workload, provider)
	}
	w.Owner, w.Last, w.Epoch, w.Token = e.Host, e.Host, e.Epoch, index
	w.Ready, w.Stopping = false, false
	s.Workloads = s.Workloads.With(step.Workload, w)
	return nil
}

func (s *State) phaseOf(host string) Phase {
	h, _ := s.Hosts.Get(host)
	return h.Phase
}

// missingProvider names the first provider that is not ready, unless a person skipped its start in this run.
func (s *State) missingProvider(run *Run, workload string) (string, bool) {
	for _, dep := range s.Inventory.Workloads[workload].After {
		provider, _ := s.Workloads.Get(dep.On)
		if provider.Ready && !provider.Stopping && s.phaseOf(provider.Owner) == Active {
			continue
		}
		if !run.skipped(plans.StepStart, dep.On) {
			return dep.On, true
		}
	}
	return "", false
}

// runningDependent names the first dependent that still has an owner and must not be left without its provider: unless a
// person skipped its stop in this run, or it keeps on through a restart.
func (s *State) runningDependent(run *Run, st *Step) (string, bool) {
	for name, dep := range s.dependentsOf(st.Workload) {
		keeps := st.Restart && dep.OnLoss == plans.LossKeep || run.skipped(plans.StepStop, name)
		if w, _ := s.Workloads.Get(name); w.Owner != "" && !keeps {
			return name, true
		}
	}
	return "", false
}

// dependent is a workload that comes directly after a provider, with how it does.
type dependent struct {
	name string
	dep  plans.Dependency
}

// behind lists the dependents of each provider of an inventory, in the order of their names.
func behind(inv *plans.Inventory) map[string][]dependent {
	if inv == nil {
		return nil
	}
	all := map[string][]dependent{}
	for _, name := range sortedKeys(inv.Workloads) {
		for _, dep := range inv.Workloads[name].After {
			all[dep.On] = append(all[dep.On], dependent{name, dep})
		}
	}
	return all
}

// dependentsOf yields the workloads that come directly after one, with how they do, in the order of their names.
func (s *State) dependentsOf(provider string) iter.Seq2[string, plans.Dependency] {
	return func(yield func(string, plans.Dependency) bool) {
		for _, d := range s.behind[provider] {
			if !yield(d.name, d.dep) {
				return
			}
		}
	}
}

func (r *Run) skipped(kind plans.StepKind, workload string) bool {
	return slices.ContainsFunc(r.Steps, func(st Step) bool {
		return st.Kind == kind && st.Workload == workload && st.State == StateSkipped
	})
}

func (s *State) markStopping(run *Run, step *Step, e StepStarted) error {
	w, ok := s.Workloads.Get(step.Workload)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "there is no workload %s", step.Workload)
	case w.Owner != e.Host || w.Owner == "":
		return refuse(CodeStale, "workload %s is not on %q", step.Workload, e.Host)
	}
	if err := s.activeUnder(e.Host, e.Epoch); err != nil {
		return err
	}
	if dependent, ok := s.runningDependent(run, step); ok {
		return refuse(CodeOrder, "workload %s is stopped after %s, which still runs", step.Workload, dependent)
	}
	w.Stopping = true
	s.Workloads = s.Workloads.With(step.Workload, w)
	step.Host = e.Host
	return nil
}

// foldStepFinished takes the answer to an attempt. A pending step can finish without having begun: because there is nothing
// to do (done, Already), or because it could not begin in time (failed).
func (s *State) foldStepFinished(index uint64, entry Entry, e StepFinished) error {
	run, step, err := s.openStep(e.Run, e.Step)
	if err != nil {
		return err
	}
	switch e.Outcome {
	case wire.Done, wire.Failed, wire.Unknown:
	default:
		return refuse(CodeInvalid, "outcome %q is not known", e.Outcome)
	}
	started := step.State == StateStarted && step.Attempt == e.Attempt && step.Token == e.Token
	unbegun := step.State == StatePending && step.Attempt+1 == e.Attempt && step.unbegun(e)
	if !started && !unbegun {
		return refuse(CodeStale, "attempt %d of %s/%s is not under way", e.Attempt, RunID(e.Run), e.Step)
	}
	gone := Evidence{
		Kind: Stopped, Host: step.Host, Index: index, At: s.At, By: entry.By, Reason: "its agent stopped it and proved it gone",
	}
	switch step.Kind {
	case plans.StepStart:
		err = s.startAnswered(step, e, started, gone)
	case plans.StepStop:
		err = s.stopAnswered(step, e, started, gone)
	case plans.StepFence:
		err = s.fenceAnswered(run, step, e)
	case plans.StepRun, plans.StepWait:
	}
	if err != nil {
		return err
	}
	step.Attempt, step.Outcome, step.Reason, step.Already, step.Ended = e.Attempt, e.Outcome, entry.Reason, e.Already, s.At
	switch e.Outcome {
	case wire.Done:
		step.State = StateDone
	case wire.Failed, wire.Unknown:
		step.fail(e, s.At)
	}
	run.settle()
	s.keep(run)
	return nil
}

// unbegun says that an answer can be one to an attempt that did not begin: nobody did anything, so nothing was proven gone.
func (st *Step) unbegun(e StepFinished) bool {
	needless := e.Outcome == wire.Done && e.Already && st.Kind != plans.StepRun && st.Kind != plans.StepWait
	return !e.Stopped && (needless || e.Outcome == wire.Failed)
}

func (s *State) startAnswered(step *Step, e StepFinished, started bool, gone Evidence) error {
	w, _ := s.Workloads.Get(step.Workload)
	if !started {
		if e.Outcome == wire.Done && (w.Owner == "" || !w.Ready) {
			return refuse(CodeState, "workload %s is not running and ready", step.Workload)
		}
		return nil
	}
	if w.Owner != step.Host || w.Token != step.Token {
		return refuse(CodeStale, "workload %s is not under #%d any more", step.Workload, step.Token)
	}
	switch {
	case e.Outcome == wire.Done:
		w.Ready = true
	case e.Stopped:
		w = w.freed(gone)
		step.Avoid = append(slices.Clone(step.Avoid), step.Host)
	}
	s.Workloads = s.Workloads.With(step.Workload, w)
	return nil
}

func (s *State) stopAnswered(step *Step, e StepFinished, started bool, gone Evidence) error {
	w, _ := s.Workloads.Get(step.Workload)
	here := w.Owner != "" && w.Owner == step.Host
	switch {
	case here && w.Stopping && e.Stopped:
		s.Workloads = s.Workloads.With(step.Workload, w.freed(gone))
	case w.Owner == "" || e.Outcome != wire.Done || started && !here:
	default:
		return refuse(CodeOwned, "workload %s is not stopped: it is on %s under #%d", step.Workload, w.Owner, w.Token)
	}
	return nil
}

// fenceAnswered refuses a fence step that ends without its evidence.
func (s *State) fenceAnswered(run *Run, step *Step, e StepFinished) error {
	if e.Outcome == wire.Done && !s.fenceOver(run, step.Host) {
		return refuse(CodeEvidence, "there is no evidence that host %s runs nothing", step.Host)
	}
	return nil
}

// fenceOver says that a fence step has what it waits for: that the host was seen off, or a person's word for it, in a run
// that was to fence it; in any other the evidence that all its workloads accept, or its return.
func (s *State) fenceOver(run *Run, name string) bool {
	host, _ := s.Hosts.Get(name)
	if run.Kind == RunFence {
		return host.seenOff()
	}
	return host.Phase != Revoking && (host.Phase != Expired || len(s.ownedBy(name)) == 0)
}

// silent says that what a host owns waits for evidence.
func (s *State) silent(name string) bool {
	phase := s.phaseOf(name)
	return phase == Revoking || phase == Expired
}

// seenOff says that a host has expired because it was seen off, or because a person said so.
func (h Host) seenOff() bool {
	return h.Phase == Expired && (h.Evidence.Kind == Confirmed || h.Fence != nil && h.Fence.Outcome == wire.Done)
}

// fail counts an attempt that did not succeed and makes the step pending again while attempts are left. What nobody knows
// to have happened is repeated only where repeating is harmless: starts and stops, and commands declared idempotent.
func (st *Step) fail(e StepFinished, at time.Time) {
	st.State = StateFailed
	if e.Outcome == wire.Unknown {
		st.State = StateUnknown
	}
	st.Spent++
	harmless := st.Kind != plans.StepRun || e.Outcome == wire.Failed || st.Idem
	if !harmless || st.Spent >= st.OnFailure.Attempts {
		return
	}
	delay := st.OnFailure.Delay
	for range st.Spent - 1 {
		delay = min(delay*time.Duration(max(st.OnFailure.Factor, 1)), maxRetryDelay)
	}
	st.State, st.NotYet = StatePending, at.Add(delay)
}

// foldStepReset puts a start whose host is proven to run nothing back to pending: it is placed anew.
func (s *State) foldStepReset(e StepReset) error {
	run, step, err := s.openStep(e.Run, e.Step)
	if err != nil {
		return err
	}
	begun := step.State == StateStarted || step.State == StateDone
	if !begun || step.Attempt != e.Attempt || step.Kind != plans.StepStart {
		return refuse(CodeStale, "attempt %d of %s/%s is not a start under way or done", e.Attempt, RunID(e.Run), e.Step)
	}
	w, _ := s.Workloads.Get(step.Workload)
	switch {
	case step.State == StateDone && (w.Owner != "" || w.Wanted != WantedRunning):
		return refuse(CodeOwned, "workload %s is still on %q, or not wanted any more", step.Workload, w.Owner)
	case w.Owner != "" && w.Owner == step.Host && w.Token == step.Token:
		return refuse(CodeOwned, "workload %s is still on %s under #%d", step.Workload, w.Owner, w.Token)
	}
	step.State, step.NotYet = StatePending, s.At
	step.Avoid = append(slices.Clone(step.Avoid), step.Host)
	s.keep(run)
	return nil
}
