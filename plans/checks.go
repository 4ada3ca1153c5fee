package plans

import (
	"maps"
	"slices"
)

// circles notes workloads that wait for each other. At has, for each workload, the values that name its providers.
func (w *inventoryWalk) circles(at map[string][]value) {
	next := func(name string) []string {
		var providers []string
		for _, d := range w.inv.Workloads[name].After {
			providers = append(providers, d.On)
		}
		return providers
	}
	for _, path := range cycles(slices.Sorted(maps.Keys(at)), next) {
		last := path[len(path)-2]
		for _, v := range at[last] {
			if v.node.Value == path[0] {
				v.mistake(codeCycle, "take one of them out", "workloads wait for each other: %s", arrows(path))
			}
		}
	}
}

// sharedUnits notes workloads that are the same thing under two names on a host that both may run on.
func (w *inventoryWalk) sharedUnits(at map[string]value) {
	same := make(map[[2]string][]string) // names by kind and unit
	for _, name := range slices.Sorted(maps.Keys(at)) {
		wl := w.inv.Workloads[name]
		same[[2]string{wl.Kind, wl.Unit}] = append(same[[2]string{wl.Kind, wl.Unit}], name)
	}
	for _, key := range slices.SortedFunc(maps.Keys(same), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		names := same[key]
		if len(names) < 2 || key[0] == "" || key[1] == "" {
			continue
		}
		taken := make(map[string]string) // the workload by host
		for _, name := range names {
			hosts := w.inv.Workloads[name].Hosts
			if i := slices.IndexFunc(hosts, func(host string) bool { return taken[host] != "" }); i >= 0 {
				at[name].onKey(codeSharedUnit, "give each its own unit, or make them one workload", "workloads %s and %s are the same unit on host %s",
					quote(taken[hosts[i]]), quote(name), quote(hosts[i]))
			}
			for _, host := range hosts {
				taken[host] = name
			}
		}
	}
}

// checkSteps notes steps that cannot be in this order, or are not safe in it.
func (w *planWalk) checkSteps(hasTrigger bool) {
	w.checkOrder()
	before := w.before()
	w.checkFences(before)
	if w.refs != nil {
		w.checkPlaces()
		w.checkDependencies(before)
	}
	if !hasTrigger {
		for _, v := range w.useTrigger {
			v.mistake(codeNoTrigger, "add trigger: [{host_lost: any}], or name hosts whenever you start it", "this plan has no trigger, and so no trigger's hosts of its own")
		}
	}
}

// checkOrder notes steps that wait for each other, and steps that come after one further down.
func (w *planWalk) checkOrder() {
	var ids []string
	drafts, place := make(map[string]*draft), make(map[string]int)
	for i, d := range w.drafts {
		if d.ID != "" {
			ids = append(ids, d.ID)
			drafts[d.ID], place[d.ID] = d, i
		}
	}
	inCycle := make(map[[2]string]bool)
	for _, path := range cycles(ids, func(id string) []string { return drafts[id].After }) {
		for i := range path[1:] {
			inCycle[[2]string{path[i], path[i+1]}] = true
		}
		from, to := path[len(path)-2], path[0]
		drafts[from].afterValue(to).mistake(codeCycle, "take one of them out; without after: a step comes after the one above it",
			"steps wait for each other: %s", arrows(path))
	}
	for _, from := range ids {
		d := drafts[from]
		for _, id := range d.After {
			if place[id] > place[d.ID] && !inCycle[[2]string{d.ID, id}] {
				d.afterValue(id).mistake(codeStepBelow, "move step "+quote(id)+" up", "step %s stands further down", quote(id))
			}
		}
	}
}

// afterValue is where the step says that it comes after another one.
func (d *draft) afterValue(id string) value {
	for _, v := range d.after {
		if v.node.Value == id {
			return v
		}
	}
	return d.named
}

// before finds, for each step, all steps that have ended when it begins.
func (w *planWalk) before() map[string]map[string]bool {
	before := make(map[string]map[string]bool)
	for _, d := range w.drafts { // an order of After, or there are mistakes and what is found here does not matter
		before[d.ID] = make(map[string]bool)
		for _, id := range d.After {
			before[d.ID][id] = true
			maps.Copy(before[d.ID], before[id])
		}
	}
	return before
}

// checkFences notes starts of what was lost that do not wait for evidence.
func (w *planWalk) checkFences(before map[string]map[string]bool) {
	for _, d := range w.drafts {
		if d.Kind != StepStart || d.Workloads == nil || !d.Workloads.LostWith || w.noneExclusive(*d.Workloads) {
			continue
		}
		fenced := slices.ContainsFunc(w.drafts, func(f *draft) bool { return f.Kind == StepFence && before[d.ID][f.ID] })
		if !fenced {
			d.named.mistake(codeNoFence, "put a step before it: - fence: "+triggerHosts,
				"step %s starts exclusive workloads of lost hosts before it is known that they run nothing", quote(d.ID))
		}
	}
}

// noneExclusive says that no workload that the selector may pick is exclusive, as far as is known.
func (w *planWalk) noneExclusive(s Selector) bool {
	return w.refs != nil && !slices.ContainsFunc(w.pickedWorkloads(s), func(name string) bool { return w.refs.Workloads[name].Exclusive })
}

// checkPlaces notes workloads that no host of a start's own selection may run.
func (w *planWalk) checkPlaces() {
	for _, d := range w.drafts {
		if d.Kind != StepStart || d.Workloads == nil || d.To == nil || !d.Workloads.static() {
			continue
		}
		to := make(map[string]bool)
		for _, host := range w.pickedHosts(*d.To) {
			to[host] = true
		}
		if len(to) == 0 {
			continue // noted before
		}
		for _, name := range w.pickedWorkloads(*d.Workloads) {
			if !slices.ContainsFunc(w.refs.Workloads[name].Hosts, func(host string) bool { return to[host] }) {
				d.named.mistake(codeNotAllowed, "change to:, or the workload's hosts in the inventory",
					"workload %s may not run on any host that step %s selects", quote(name), quote(d.ID))
			}
		}
	}
}

// static says that the inventory alone tells what the selector picks.
func (s Selector) static() bool { return !s.LostWith && s.Site == "" }

// checkDependencies notes starts before the start of a provider, and stops before the stop of a dependent.
func (w *planWalk) checkDependencies(before map[string]map[string]bool) {
	providers, dependents := make(map[string][]string), make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(w.refs.Workloads)) {
		for _, d := range w.refs.Workloads[name].After {
			providers[name] = append(providers[name], d.On)
			dependents[d.On] = append(dependents[d.On], name)
		}
	}
	w.checkSequence(StepStart, providers, before)
	w.checkSequence(StepStop, dependents, before)
}

// checkSequence notes steps of a kind that act on a workload before a later step of the kind acts on one of those that have
// to be first.
func (w *planWalk) checkSequence(kind StepKind, first map[string][]string, before map[string]map[string]bool) {
	steps := make(map[string][]*draft) // by workload
	for _, d := range w.drafts {
		if d.Kind == kind && d.Workloads != nil && d.Workloads.static() {
			for _, name := range w.pickedWorkloads(*d.Workloads) {
				steps[name] = append(steps[name], d)
			}
		}
	}
	noted := make(map[*draft]bool)
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		for _, d := range steps[name] {
			for _, other := range first[name] {
				if noted[d] || len(steps[other]) == 0 || slices.ContainsFunc(steps[other], func(o *draft) bool { return !before[o.ID][d.ID] }) {
					continue
				}
				noted[d] = true
				d.named.mistake(codeOrder, "do both in one step, or change the order", "step %s would %s %s before step %s does it with %s, which the inventory wants first",
					quote(d.ID), kind, quote(name), quote(steps[other][0].ID), quote(other))
			}
		}
	}
}
