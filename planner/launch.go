package planner

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// Request is an operator's wish to start or stop workloads.
type Request struct {
	Workloads []string // names; ignored with All
	All       bool
	With      bool // also what a start needs running, or what a stop would leave without its provider
	// Down is what does not run although it has an owner, as the owners' agents say: a start starts it there again.
	Down []string
}

// defaultStep is how the steps of runs without a plan behave: one attempt, then a person.
var defaultStep = plans.Step{OnFailure: plans.OnFailure{Attempts: 1, Then: plans.ThenHalt, Within: time.Hour}}

// NewStart makes the run that starts workloads, providers first. It refuses (CodeOrder) a workload whose providers neither
// run nor are started along.
func NewStart(s *State, r Request) (RunStarted, error) {
	names, err := s.requested(r, func(name string) []string { return s.providersOf(name) })
	if err != nil {
		return RunStarted{}, err
	}
	todo := false
	for name := range names {
		w, _ := s.Workloads.Get(name)
		todo = todo || w.Owner == "" || !w.Ready || w.Stopping || slices.Contains(r.Down, name)
		for _, provider := range s.providersOf(name) {
			p, _ := s.Workloads.Get(provider)
			if !names[provider] && (p.Owner == "" || !p.Ready) {
				return RunStarted{}, refuse(CodeOrder, "%s needs %s, which is not running; nothing was started", name, provider).
					with("holter start %s --with-providers", name)
			}
		}
	}
	if !todo {
		return RunStarted{}, refuse(CodeNothing, "running already: %s", join(names))
	}
	step := defaultStep
	step.ID, step.Kind = "start", plans.StepStart
	return RunStarted{Kind: RunStart, Hosts: []string{}, Losses: []uint64{}, Steps: s.startSteps(step, names, nil), Why: []Input{}}, nil
}

// NewStop makes the run that stops workloads, dependents first. It refuses (CodeOrder) a workload that others need, unless
// they are stopped along.
func NewStop(s *State, r Request) (RunStarted, error) {
	names, err := s.requested(r, func(name string) []string {
		return slices.DeleteFunc(s.dependents(name), func(n string) bool { w, _ := s.Workloads.Get(n); return w.Owner == "" })
	})
	if err != nil {
		return RunStarted{}, err
	}
	todo := false
	for name := range names {
		w, _ := s.Workloads.Get(name)
		todo = todo || w.Owner != "" || w.Wanted == WantedRunning
		for _, dependent := range s.dependents(name) {
			if d, _ := s.Workloads.Get(dependent); !names[dependent] && d.Owner != "" {
				return RunStarted{}, refuse(CodeOrder, "%s needs %s and runs on %s; nothing was stopped", dependent, name, d.Owner).
					with("holter stop %s --with-dependents", name)
			}
		}
	}
	if !todo {
		return RunStarted{}, refuse(CodeNothing, "stopped already: %s", join(names))
	}
	step := defaultStep
	step.ID, step.Kind = "stop", plans.StepStop
	return RunStarted{Kind: RunStop, Hosts: []string{}, Losses: []uint64{}, Steps: s.stopSteps(step, names, nil), Why: []Input{}}, nil
}

// NewPlanRun makes a run of a plan for hosts. Of a host that is lost it answers the loss.
func NewPlanRun(s *State, name string, hosts []string) (RunStarted, error) {
	plan, ok := s.Plans.Get(name)
	if !ok {
		return RunStarted{}, refuse(CodeNoSuch, "there is no plan %q", name).with("holter plan list")
	}
	hosts = slices.Compact(slices.Sorted(slices.Values(hosts)))
	run := RunStarted{Kind: RunPlan, Plan: name, PlanRev: plan.Rev, Hosts: hosts, Losses: []uint64{}, Why: []Input{}}
	if run.Hosts == nil {
		run.Hosts = []string{}
	}
	for _, host := range hosts {
		h, known := s.Hosts.Get(host)
		if !known {
			return RunStarted{}, refuse(CodeNoSuch, "there is no host %q", host).with("holter hosts")
		}
		run.Losses = append(run.Losses, h.Revocation)
	}
	if s.Inventory == nil {
		return RunStarted{}, refuse(CodeNoSuch, "there is no inventory yet").with("holter apply -f inventory.yaml")
	}
	run.Steps = s.expand(plan.Plan, hosts)
	if len(run.Steps) == 0 {
		return RunStarted{}, refuse(CodeNothing, "plan %s finds nothing to do for %v: nothing matches its selectors", name, hosts)
	}
	return run, nil
}

// newHomeless makes the run that starts what should run and has no owner on the host where it was last.
func newHomeless(s *State, names map[string]bool) RunStarted {
	step := defaultStep
	step.ID, step.Kind = "start", plans.StepStart
	steps := s.startSteps(step, names, nil)
	for i := range steps {
		w, _ := s.Workloads.Get(steps[i].Workload)
		steps[i].To = &plans.Selector{Names: []string{w.Last}}
	}
	return RunStarted{Kind: RunHomeless, Hosts: []string{}, Losses: []uint64{}, Steps: steps, Why: []Input{}}
}

// requested resolves a request's names, closed over more where With is set.
func (s *State) requested(r Request, more func(string) []string) (map[string]bool, error) {
	if s.Inventory == nil {
		return nil, refuse(CodeNoSuch, "there is no inventory yet").with("holter apply -f inventory.yaml")
	}
	names := map[string]bool{}
	queue := slices.Clone(r.Workloads)
	if r.All {
		queue = slices.Sorted(maps.Keys(s.Inventory.Workloads))
	}
	if len(queue) == 0 {
		return nil, refuse(CodeNothing, "no workload was named")
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if names[name] {
			continue
		}
		if _, ok := s.Inventory.Workloads[name]; !ok {
			return nil, refuse(CodeNoSuch, "there is no workload %q", name).with("holter workloads")
		}
		names[name] = true
		if r.With {
			queue = append(queue, more(name)...)
		}
	}
	return names, nil
}

func (s *State) providersOf(name string) []string {
	var providers []string
	for _, dep := range s.Inventory.Workloads[name].After {
		providers = append(providers, dep.On)
	}
	return providers
}

func (s *State) dependents(name string) []string {
	var dependents []string
	for dependent := range s.dependentsOf(name) {
		dependents = append(dependents, dependent)
	}
	return dependents
}

func join(names map[string]bool) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if text != "" {
			text += ", "
		}
		text += name
	}
	return text
}

// inOrder sorts workloads so that providers come before their dependents; among equals by name.
func (s *State) inOrder(names map[string]bool) []string {
	depth := map[string]int{}
	var measure func(name string) int
	measure = func(name string) int {
		if d, known := depth[name]; known {
			return d
		}
		d := 0
		for _, provider := range s.providersOf(name) {
			d = max(d, measure(provider)+1)
		}
		depth[name] = d
		return d
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(measure(a), measure(b)), cmp.Compare(a, b))
	})
}
