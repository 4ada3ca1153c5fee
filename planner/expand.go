package planner

import (
	"cmp"
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// Limits of steps whose plan names none.
const (
	fenceLimit = time.Hour        // waiting for evidence, most often a person's
	answerSlop = 5 * time.Second  // for the way of command and result, beyond the work itself
	runLimit   = 10 * time.Minute // a command
)

// expand turns a plan into the steps of one run: one step over many workloads becomes one step each. A step that comes
// after another comes after all that the other became; a step that became nothing hands on what it came after.
func (s *State) expand(plan *plans.Plan, hosts []string) []Step {
	var steps []Step
	ends := map[string][]string{} // by the plan's step: what to wait for when waiting for it
	for _, step := range plan.Steps {
		var after []string
		for _, id := range step.After {
			after = append(after, ends[id]...)
		}
		slices.Sort(after)
		after = slices.Compact(after)
		made := s.expandStep(step, after, hosts)
		steps = append(steps, made...)
		ends[step.ID] = after
		if len(made) > 0 {
			ends[step.ID] = nil
			for _, st := range made {
				ends[step.ID] = append(ends[step.ID], st.ID)
			}
		}
	}
	return steps
}

func (s *State) expandStep(step plans.Step, after, hosts []string) []Step {
	switch step.Kind {
	case plans.StepFence:
		var made []Step
		for _, host := range hosts {
			made = append(made, Step{
				ID: step.ID + "/" + host, Plan: step.ID, Kind: step.Kind, Host: host, After: list(after),
				Within: orElse(step.Timeout, fenceLimit), OnFailure: step.OnFailure,
			})
		}
		return made
	case plans.StepStop:
		return s.stopSteps(step, s.selected(step.Workloads, hosts), after)
	case plans.StepStart:
		names := s.selected(step.Workloads, hosts)
		restarts := s.restarts(names, hosts)
		stops := s.stopSteps(withID(step, step.ID+".stop"), restarts, after)
		for i := range stops {
			stops[i].Restart = true
		}
		for name := range restarts {
			names[name] = true
		}
		starts := s.startSteps(step, names, after)
		for i := range starts {
			starts[i].After = append(starts[i].After, s.stopsBefore(stops, starts[i].Workload)...)
		}
		return append(stops, starts...)
	case plans.StepWait:
		return []Step{{ID: step.ID, Plan: step.ID, Kind: step.Kind, After: list(after), Within: step.For, OnFailure: step.OnFailure}}
	case plans.StepRun:
		return []Step{{
			ID: step.ID, Plan: step.ID, Kind: step.Kind, Host: step.Host, Command: step.Command, Args: step.Args, After: list(after),
			Within: orElse(step.Timeout, runLimit), Idem: step.Idempotent, OnFailure: step.OnFailure,
		}}
	}
	return nil
}

func withID(step plans.Step, id string) plans.Step {
	step.ID = id
	return step
}

func list(ids []string) []string { return append([]string{}, ids...) }

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// startSteps makes a step for each workload; it comes after the steps of its providers.
func (s *State) startSteps(step plans.Step, names map[string]bool, after []string) []Step {
	var made []Step
	for _, name := range s.inOrder(names) {
		spec := s.Inventory.Workloads[name]
		st := Step{
			ID: step.ID + "/" + name, Plan: step.ID, Kind: plans.StepStart, Workload: name, To: step.To, After: list(after),
			Within: orElse(step.Timeout, spec.Start+spec.Ready.Timeout), OnFailure: step.OnFailure,
		}
		for _, provider := range s.providersOf(name) {
			if names[provider] {
				st.After = append(st.After, step.ID+"/"+provider)
			}
		}
		made = append(made, st)
	}
	return made
}

// stopSteps makes a step for each workload; it comes after the steps of its dependents.
func (s *State) stopSteps(step plans.Step, names map[string]bool, after []string) []Step {
	var made []Step
	order := s.inOrder(names)
	slices.Reverse(order)
	for _, name := range order {
		var ladder time.Duration
		for _, rung := range s.Inventory.Workloads[name].Stop {
			ladder += rung.Limit
		}
		st := Step{
			ID: step.ID + "/" + name, Plan: step.ID, Kind: plans.StepStop, Workload: name, After: list(after),
			Within: orElse(step.Timeout, ladder), OnFailure: step.OnFailure,
		}
		for _, dependent := range s.dependents(name) {
			if names[dependent] {
				st.After = append(st.After, step.ID+"/"+dependent)
			}
		}
		made = append(made, st)
	}
	return made
}

// stopsBefore lists those of the stops that come before the start of a workload: its own and its dependents'.
func (s *State) stopsBefore(stops []Step, workload string) []string {
	var ids []string
	dependents := s.dependents(workload)
	for _, stop := range stops {
		if stop.Workload == workload || slices.Contains(dependents, stop.Workload) {
			ids = append(ids, stop.ID)
		}
	}
	return ids
}

// restarts is what runs elsewhere and must restart because a provider of it is lost: on_loss: restart, also of a
// dependent's dependents.
func (s *State) restarts(names map[string]bool, hosts []string) map[string]bool {
	restarts := map[string]bool{}
	var queue []string
	for name := range names {
		if s.lostWith(name, hosts) {
			queue = append(queue, name)
		}
	}
	for len(queue) > 0 {
		provider := queue[0]
		queue = queue[1:]
		for name, dep := range s.dependentsOf(provider) {
			w, _ := s.Workloads.Get(name)
			if dep.OnLoss != plans.LossRestart || names[name] || restarts[name] || w.Owner == "" || w.Run != 0 || s.lostWith(name, hosts) {
				continue
			}
			restarts[name] = true
			queue = append(queue, name)
		}
	}
	return restarts
}

// lostWith says that a workload should run and that its owner, or without one its last owner, is one of the hosts.
func (s *State) lostWith(name string, hosts []string) bool {
	w, _ := s.Workloads.Get(name)
	return w.Wanted == WantedRunning && slices.Contains(hosts, cmp.Or(w.Owner, w.Last))
}

// selected is the workloads that a selector picks for a run over hosts.
func (s *State) selected(sel *plans.Selector, hosts []string) map[string]bool {
	names := map[string]bool{}
	for name, spec := range s.Inventory.Workloads {
		w, _ := s.Workloads.Get(name)
		at := w.Owner
		if at == "" {
			at = w.Last
		}
		switch {
		case sel == nil || !sel.PicksWorkload(name, spec):
		case sel.Site != "" && s.Inventory.Hosts[at].Site != sel.Site:
		case sel.LostWith && !s.lostWith(name, hosts):
		default:
			names[name] = true
		}
	}
	return names
}

// selectsHost says that a selector picks a host.
func (s *State) selectsHost(sel *plans.Selector, name string) bool {
	host, ok := s.Inventory.Hosts[name]
	return ok && sel.PicksHost(name, host)
}
