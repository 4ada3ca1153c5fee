package plans

import (
	"maps"
	"slices"

	"gopkg.in/yaml.v3"
)

// PicksHost says whether the selector picks a host of the inventory.
func (s Selector) PicksHost(name string, h Host) bool {
	if s.Any {
		return true
	}
	if len(s.Names) == 0 && len(s.Labels) == 0 && s.Site == "" {
		return false
	}
	return (len(s.Names) == 0 || contains(s.Names, name)) && holds(h.Labels, s.Labels) && (s.Site == "" || s.Site == h.Site)
}

// PicksWorkload says whether the selector may pick a workload of the inventory, as far as the inventory tells: Site and
// LostWith depend on where the workload is and are not looked at.
func (s Selector) PicksWorkload(name string, w Workload) bool {
	if s.Any {
		return true
	}
	if len(s.Names) == 0 && len(s.Labels) == 0 && s.Kind == "" && s.Site == "" && !s.LostWith {
		return false
	}
	return (len(s.Names) == 0 || contains(s.Names, name)) && holds(w.Labels, s.Labels) && (s.Kind == "" || s.Kind == w.Kind)
}

// holds says whether labels has all that is wanted.
func holds(labels, wanted map[string]string) bool {
	for k, want := range wanted {
		if got, ok := labels[k]; !ok || got != want {
			return false
		}
	}
	return true
}

// triggerHosts is the one expression of this version: the hosts whose loss started the run.
const triggerHosts = "trigger.hosts"

// any reads the word any.
func (v value) any() bool {
	if !v.tag("!!str", "any, a list of names or a selector", "") {
		return false
	}
	if s := v.text(); s != "any" {
		if s != "" {
			v.mistake(codeChoice, "write any, or a list of names", "%s cannot be %s", v.name, quote(s))
		}
		return false
	}
	return true
}

// hosts reads a selector of hosts: any, a list of names, or {names, labels, site}.
func (w *planWalk) hosts(v value) Selector {
	var s Selector
	noted := v.file.lint.noted()
	switch {
	case v.isScalar():
		return Selector{Any: v.any()}
	case v.isList():
		s.Names = w.hostNames(v)
	default:
		t := v.table(shape{fields: []string{"names", "labels", "site"}, later: []string{"kind", "lost_with"}})
		t.opt("names", func(v value) { s.Names = w.hostNames(v) })
		t.opt("labels", func(v value) { s.Labels = v.labels() })
		t.opt("site", func(v value) { s.Site = w.site(v) })
		t.empty()
	}
	if w.refs != nil && v.file.lint.noted() == noted && len(w.pickedHosts(s)) == 0 {
		v.mistake(codeMatchesNone, "look at the labels and sites of the hosts", "no host of the inventory is selected")
	}
	return s
}

// workloads reads a selector of workloads: any, a list of names, or {names, labels, kind, site, lost_with}.
func (w *planWalk) workloads(v value) Selector {
	var s Selector
	noted := v.file.lint.noted()
	switch {
	case v.isScalar():
		return Selector{Any: v.any()}
	case v.isList():
		s.Names = w.workloadNames(v)
	default:
		t := v.table(shape{fields: []string{"names", "labels", "kind", "site", "lost_with"}})
		t.opt("names", func(v value) { s.Names = w.workloadNames(v) })
		t.opt("labels", func(v value) { s.Labels = v.labels() })
		t.opt("kind", func(v value) { s.Kind = v.choice(kindChoices()) })
		t.opt("site", func(v value) { s.Site = w.site(v) })
		t.opt("lost_with", func(v value) { s.LostWith = w.triggerHosts(v) })
		t.empty()
	}
	if w.refs != nil && v.file.lint.noted() == noted && len(w.pickedWorkloads(s)) == 0 {
		v.mistake(codeMatchesNone, "look at the labels and kinds of the workloads", "no workload of the inventory is selected")
	}
	return s
}

// empty notes a selector that says nothing.
func (t table) empty() {
	if t.entries != nil && len(t.entries) == 0 && !t.strange {
		t.mistake(codeMissing, "write any if you mean all", "%s selects nothing", t.name)
	}
}

// triggerHosts reads the expression trigger.hosts.
func (w *planWalk) triggerHosts(v value) bool {
	if !v.is(yaml.ScalarNode, triggerHosts, "write "+triggerHosts) {
		return false
	}
	if s := v.text(); s != triggerHosts {
		if s != "" {
			v.mistake(codeLater, "write "+triggerHosts, "the expression %s is not available in this version", quote(s))
		}
		return false
	}
	w.useTrigger = append(w.useTrigger, v)
	return true
}

func (w *planWalk) hostNames(v value) []string {
	var hosts map[string]Host
	if w.refs != nil {
		hosts = w.refs.Hosts
	}
	return slices.Sorted(slices.Values(names(v, hosts, nounHost)))
}

func (w *planWalk) workloadNames(v value) []string {
	var workloads map[string]Workload
	if w.refs != nil {
		workloads = w.refs.Workloads
	}
	return slices.Sorted(slices.Values(names(v, workloads, nounWorkload)))
}

// site reads the name of a site.
func (w *planWalk) site(v value) string {
	s := v.text()
	switch {
	case s == "":
	case w.refs != nil:
		refer(v, s, w.sites, nounSite)
	default:
		v.named("a site", s, v.spot())
	}
	return s
}

// pickedHosts are the hosts of the inventory that a selector picks, sorted.
func (w *planWalk) pickedHosts(s Selector) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.refs.Hosts)), func(name string) bool {
		return !s.PicksHost(name, w.refs.Hosts[name])
	})
}

// pickedWorkloads are the workloads of the inventory that a selector may pick, sorted.
func (w *planWalk) pickedWorkloads(s Selector) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.refs.Workloads)), func(name string) bool {
		return !s.PicksWorkload(name, w.refs.Workloads[name])
	})
}
