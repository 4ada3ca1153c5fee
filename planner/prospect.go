package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// Prospect is what the loss of a host would come to for one workload that it owns, as far as can be said beforehand.
type Prospect struct {
	Workload string
	Plan     string // armed, and starts it elsewhere; empty: none does
	Disarmed string // without Plan: one that would if it were armed
	// Late is until when the plan would not start by itself, because a run was started for this host a moment ago; Held says
	// that its guard lets it start for no host.
	Late time.Time
	Held bool
	// Evidence lists what would prove by itself that the host runs it no more. Person: nothing would, and it must be proven.
	Evidence []EvidenceKind
	Person   bool
	To       string  // where it would start; empty: nowhere
	Why      []Input // of each host that it may run on but the lost one, in the order of preference
	// Behind is a provider of it that would not be there, so that it could not start.
	Behind string
}

// Home says that the workload would be started elsewhere by itself, sooner or later.
func (p Prospect) Home() bool {
	return p.Plan != "" && !p.Held && !p.Person && p.To != "" && p.Behind == ""
}

// Prospects says what the loss of a host at a moment would come to for each workload that it owns and that should run,
// providers first. unfit says why a host can take nothing, empty if it can, as in HostPicture.
//
// It asks what Decide would ask, of the present state: what a plan does on the way, and what fails on the way, it cannot know.
func (s *State) Prospects(name string, at time.Time, unfit func(host string) string) []Prospect {
	owned := map[string]bool{}
	for _, workload := range s.ownedBy(name) {
		if w, _ := s.Workloads.Get(workload); w.Wanted == WantedRunning {
			owned[workload] = true
		}
	}
	if len(owned) == 0 {
		return nil
	}
	answers := s.answersTo(name)
	var list []Prospect
	homes := map[string]bool{}
	for _, workload := range s.inOrder(owned) {
		p := Prospect{Workload: workload}
		step := p.choose(answers, workload)
		host, _ := s.Hosts.Get(name)
		if host.damps(at) {
			p.Late = host.dampedUntil()
		}
		p.prove(s, name, answers)
		p.place(s, name, step, unfit)
		for _, provider := range s.providersOf(workload) {
			w, _ := s.Workloads.Get(provider)
			if there := w.Owner != "" && w.Ready; p.Behind == "" && (owned[provider] && !homes[provider] || !owned[provider] && !there) {
				p.Behind = provider
			}
		}
		homes[workload] = p.Home()
		list = append(list, p)
	}
	return list
}

// reply is the run by which a plan would answer a loss.
type reply struct {
	plan Plan
	held bool
	run  RunStarted
}

// answersTo lists the runs by which plans would answer the loss of a host, whether they are armed or not.
func (s *State) answersTo(host string) []reply {
	var all []reply
	for name, plan := range s.Plans.All() {
		if !s.triggers(plan.Plan, host) {
			continue
		}
		if run, err := NewPlanRun(s, name, []string{host}); err == nil {
			_, limit, _ := s.MassLoss(plan.Plan)
			all = append(all, reply{plan, limit < 1, run})
		}
	}
	return all
}

// choose finds the plan that would start a workload, an armed one first, and its step.
func (p *Prospect) choose(answers []reply, workload string) *Step {
	var found *Step
	for _, a := range answers {
		i := slices.IndexFunc(a.run.Steps, func(st Step) bool { return st.Kind == plans.StepStart && st.Workload == workload })
		switch {
		case i < 0:
		case a.plan.Armed:
			p.Plan, p.Disarmed, p.Held = a.run.Plan, "", a.held
			return &a.run.Steps[i]
		case p.Disarmed == "":
			p.Disarmed, p.Held = a.run.Plan, a.held
			found = &a.run.Steps[i]
		}
	}
	return found
}

// prove finds what would prove that the lost host runs the workload no more.
func (p *Prospect) prove(s *State, name string, answers []reply) {
	host, _ := s.Hosts.Get(name)
	fences := slices.ContainsFunc(answers, func(a reply) bool {
		return (a.plan.Armed || p.Plan == "" && a.run.Plan == p.Disarmed) &&
			slices.ContainsFunc(a.run.Steps, func(st Step) bool { return st.Kind == plans.StepFence && st.Host == name })
	})
	if fences && s.mayFence(name, host) {
		p.Evidence = append(p.Evidence, Fenced)
	}
	if host.Lease.Fences() && s.accepts(p.Workload, LeaseExpired) {
		p.Evidence = append(p.Evidence, LeaseExpired)
	}
	p.Person = len(p.Evidence) == 0 && s.Inventory.Workloads[p.Workload].Exclusive
}

// mayFence says that a host has a level of fence devices none of which failed its last test.
func (s *State) mayFence(name string, host Host) bool {
	return slices.ContainsFunc(s.Inventory.Hosts[name].Fence, func(level plans.FenceLevel) bool {
		return !slices.ContainsFunc(level.Devices, func(device plans.FenceDevice) bool {
			test, tested := host.Tests[device.Name]
			return tested && !test.OK
		})
	})
}

// place finds where the workload would start: the first host in the order of preference that can take it now.
func (p *Prospect) place(s *State, name string, step *Step, unfit func(string) string) {
	for _, host := range s.Inventory.Workloads[p.Workload].Hosts {
		if host == name {
			continue
		}
		why := unfit(host)
		if step != nil && step.To != nil && !s.selectsHost(step.To, host) {
			why = "is not among the step's hosts"
		}
		if why == "" && p.To == "" {
			p.To = host
		}
		p.Why = append(p.Why, Input{Name: host, Value: why, OK: why == ""})
	}
}
