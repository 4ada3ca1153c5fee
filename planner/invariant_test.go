package planner

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/holter-ha/holter/plans"
)

// encoded is the state as bytes.
func encoded(t testing.TB, s *State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// broken says which invariant an entry has broken, "" if none: what must hold of a state, and of the way to it.
func broken(c commit) string {
	checks := []func(commit) string{ownersBroken, startBroken, stopBroken, claimsBroken, endsBroken}
	if c.after.Index != c.index || c.after.At.Before(c.before.At) {
		return fmt.Sprintf("index #%d at %s follows #%d at %s", c.after.Index, c.after.At, c.before.Index, c.before.At)
	}
	for _, check := range checks {
		if why := check(c); why != "" {
			return why
		}
	}
	return ""
}

// ownersBroken: an exclusive workload changes hands only through nobody's, gets an owner only by a grant or an adoption,
// and loses it only by proof: its stop, its host's new incarnation, or evidence.
func ownersBroken(c commit) string {
	for name, is := range c.after.Workloads.All() {
		was, _ := c.before.Workloads.Get(name)
		if is.Owner != "" && c.after.Inventory.Workloads[name].Exclusive {
			if host, _ := c.after.Hosts.Get(is.Owner); host.Epoch != is.Epoch || host.Phase == Unseen {
				return fmt.Sprintf("%s is owned by %s under #%d, which is %s under #%d", name, is.Owner, is.Epoch, host.Phase, host.Epoch)
			}
			if was.Owner != "" && was.Owner != is.Owner {
				return fmt.Sprintf("%s went from %s to %s at once", name, was.Owner, is.Owner)
			}
			if was.Owner == "" && was.Last != "" && is.Owner != was.Last && (is.Freed == nil || is.Freed.Host != was.Last) {
				return fmt.Sprintf("%s went from %s to %s without evidence: %v", name, was.Last, is.Owner, is.Freed)
			}
		}
		switch e := c.entry.Event.(type) {
		case StepStarted, WorkloadAdopted:
			if is.Owner == "" && was.Owner != "" {
				return fmt.Sprintf("%s freed %s", e.Name(), name)
			}
		case HostJoined, HostExpired, StepFinished:
			if is.Owner != "" && was.Owner == "" {
				return fmt.Sprintf("%s gave %s to %s", e.Name(), name, is.Owner)
			}
			if finished, ok := e.(StepFinished); ok && is.Owner == "" && was.Owner != "" && !finished.Stopped {
				return fmt.Sprintf("%s was freed without proof", name)
			}
		default:
			if is.Owner != was.Owner {
				return fmt.Sprintf("%s changed the owner of %s", e.Name(), name)
			}
		}
	}
	return ""
}

// startBroken: a grant goes to an active host that is allowed, for a workload whose providers are ready, or were skipped.
func startBroken(c commit) string {
	e, run, step := beginning(c)
	if step == nil || step.Workload == "" || step.Kind != plans.StepStart {
		return ""
	}
	if host, _ := c.before.Hosts.Get(e.Host); host.Phase != Active || host.Epoch != e.Epoch {
		return fmt.Sprintf("%s was granted to %s, which is %s under #%d", step.Workload, e.Host, host.Phase, host.Epoch)
	}
	for _, dep := range c.before.Inventory.Workloads[step.Workload].After {
		p, _ := c.before.Workloads.Get(dep.On)
		ready := p.Owner != "" && p.Ready && !p.Stopping && c.before.phaseOf(p.Owner) == Active
		if !ready && !run.skipped(plans.StepStart, dep.On) {
			return fmt.Sprintf("%s was granted before %s, which it needs, was ready", step.Workload, dep.On)
		}
	}
	return ""
}

// stopBroken: no provider is stopped while a dependent runs, unless that stop was skipped, or the provider restarts and the
// dependent keeps on through it.
func stopBroken(c commit) string {
	_, run, step := beginning(c)
	if step == nil || step.Kind != plans.StepStop {
		return ""
	}
	for name, spec := range c.before.Inventory.Workloads {
		for _, dep := range spec.After {
			keeps := step.Restart && dep.OnLoss == plans.LossKeep || run.skipped(plans.StepStop, name)
			if w, _ := c.before.Workloads.Get(name); dep.On == step.Workload && w.Owner != "" && !keeps {
				return fmt.Sprintf("%s is being stopped while %s runs on %s", step.Workload, name, w.Owner)
			}
		}
	}
	return ""
}

// beginning is the step that an accepted StepStarted let begin, nil if the entry is none.
func beginning(c commit) (StepStarted, *Run, *Step) {
	e, ok := c.entry.Event.(StepStarted)
	if !ok || c.refused != nil {
		return e, nil, nil
	}
	run := c.before.Run(e.Run)
	return e, run, run.Step(e.Step)
}

// claimsBroken: every workload that an open run starts or stops is claimed by it, and by nobody else.
func claimsBroken(c commit) string {
	claims := map[string]uint64{}
	plan := map[string]uint64{}
	for _, run := range c.after.Runs.All() {
		if !run.Open() {
			continue
		}
		for name := range wantedBy(run.Steps) {
			if claims[name] != 0 {
				return fmt.Sprintf("%s and %s claim %s", RunID(claims[name]), RunID(run.ID), name)
			}
			claims[name] = run.ID
		}
		if run.Plan != "" && plan[run.Plan] != 0 {
			return fmt.Sprintf("plan %s has two open runs, %s and %s", run.Plan, RunID(plan[run.Plan]), RunID(run.ID))
		}
		plan[run.Plan] = run.ID
	}
	for name, w := range c.after.Workloads.All() {
		if w.Run != claims[name] {
			return fmt.Sprintf("%s is claimed by %s, says the run, and by %s, says the workload", name, RunID(claims[name]), RunID(w.Run))
		}
	}
	return ""
}

// endsBroken: a run that has ended stays as it is.
func endsBroken(c commit) string {
	for key, was := range c.before.Runs.All() {
		if is, kept := c.after.Runs.Get(key); !was.Open() && kept && is != was {
			return fmt.Sprintf("%s has ended and was changed", RunID(was.ID))
		}
	}
	return ""
}

// refusalBroken: a refused entry changes nothing but index, time and the count of refusals.
func refusalBroken(t testing.TB, c commit) string {
	if c.refused == nil {
		return ""
	}
	undone := *c.after
	undone.Index, undone.At, undone.Refused = c.before.Index, c.before.At, c.after.Refused-1
	if got, want := encoded(t, &undone), encoded(t, c.before); !bytes.Equal(got, want) {
		return fmt.Sprintf("a refused entry changed the state\nbefore %s\nafter  %s", want, got)
	}
	return ""
}
