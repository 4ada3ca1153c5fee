package plans

import (
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/holter-ha/holter/actions"
)

// The defaults and bounds of a workload.
const (
	defaultReadyTimeout = time.Minute
	defaultStartLimit   = time.Minute
	defaultShutdown     = time.Minute
	defaultPowerOff     = 10 * time.Second
	leastLimit          = time.Millisecond
	maxRungs            = 8
)

// readWorkloads reads the workloads; their names first, because they refer to each other.
func (w *inventoryWalk) readWorkloads(v value) {
	entries := make(map[string]value)
	for _, e := range v.open().entries {
		name := e.keyName("a workload")
		entries[name] = e
		w.inv.Workloads[name] = Workload{}
	}
	providers := make(map[string][]value)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		wl := defaultWorkload()
		providers[name] = w.workload(entries[name], &wl)
		w.inv.Workloads[name] = wl
	}
	w.circles(providers)
	w.sharedUnits(entries)
	w.workloadAt = entries
}

func defaultWorkload() Workload {
	return Workload{
		Exclusive: true,
		Evidence:  EvidenceAny,
		Hosts:     []string{},
		After:     []Dependency{},
		Ready:     actions.Ready{When: actions.ReadyActive, Timeout: defaultReadyTimeout},
		Stop:      []actions.Rung{{Limit: defaultShutdown}, {Force: true, Limit: defaultPowerOff}},
		Start:     defaultStartLimit,
	}
}

// workload reads one workload into wl and answers with the values that name its providers.
func (w *inventoryWalk) workload(v value, wl *Workload) (providers []value) {
	t := v.table(shape{
		fields: []string{"kind", "unit", "labels", "exclusive", "evidence", "hosts", "after", "ready", "stop", "start"},
		later: []string{
			"needs", "services", "with", "apart", "failback", "priority", "on_dependency_failed", "lease",
		},
	})
	t.need("kind", func(v value) { wl.Kind = v.choice(kindChoices()) })
	t.need("unit", func(v value) {
		if wl.Unit = v.text(); strings.HasPrefix(wl.Unit, "-") || strings.Contains(wl.Unit, " ") {
			v.mistake(codeForm, "it must have no space and not begin with a hyphen", "unit %s is no unit", quote(wl.Unit))
		}
	})
	t.opt("labels", func(v value) { wl.Labels = v.labels() })
	t.opt("exclusive", func(v value) { wl.Exclusive = v.boolean() })
	t.opt("evidence", func(v value) {
		wl.Evidence = Evidence(v.choice(choices{now: []string{string(EvidenceAny), string(EvidenceFenced)}}))
		if wl.Evidence == EvidenceFenced && !wl.Exclusive {
			v.onKey(codeTogether, "leave it out", "evidence has no meaning with exclusive: false: it may run on two hosts")
		}
	})
	t.need("hosts", func(v value) { wl.Hosts = w.allowed(v) })
	t.opt("after", func(v value) { wl.After, providers = w.dependencies(v) })
	t.opt("ready", func(v value) { wl.Ready = v.ready(w.addresses(wl.Hosts)) })
	t.opt("stop", func(v value) { wl.Stop = v.ladder() })
	t.opt("start", func(v value) {
		v.table(shape{fields: []string{"timeout"}}).need("timeout", func(v value) { v.duration(&wl.Start, leastLimit) })
	})
	return providers
}

func kindChoices() choices {
	c := choices{later: []string{"address", "container", "hyperv", "libvirt", "ocf"}}
	for _, k := range actions.Kinds() {
		c.now = append(c.now, k.Name)
	}
	return c
}

// allowed reads which hosts may run a workload, the most preferred first.
func (w *inventoryWalk) allowed(v value) []string {
	hosts := []string{}
	switch {
	case v.isList():
		hosts = v.hostNames(w.inv.Hosts)
	case v.isScalar():
		if v.any() {
			hosts = slices.Clone(w.hosts)
		}
	default:
		hosts = w.preferred(v)
	}
	if w.places += len(hosts); w.places > maxPlaces {
		v.mistake(codeTooBig, "allow fewer hosts", "more than %d pairs of workload and host", maxPlaces)
		return []string{}
	}
	return hosts
}

// preferred resolves {labels, site, prefer: {site}} to hosts: those of the preferred site first, then by name.
func (w *inventoryWalk) preferred(v value) []string {
	var s Selector
	first, noted := "", v.file.lint.noted()
	t := v.table(shape{fields: []string{"labels", "site", "prefer"}})
	t.opt("labels", func(v value) { s.Labels = v.labels() })
	t.opt("site", func(v value) { s.Site = w.site(v) })
	t.opt("prefer", func(v value) {
		v.table(shape{fields: []string{"site"}}).need("site", func(v value) { first = w.site(v) })
	})
	if !t.has("labels") && !t.has("site") {
		if t.entries != nil && !t.strange {
			v.mistake(codeMissing, "add labels or site, or write hosts: any", "%s selects nothing", v.name)
		}
		return []string{}
	}
	near, far := []string{}, []string{}
	for _, name := range w.hosts {
		switch h := w.inv.Hosts[name]; {
		case !s.PicksHost(name, h):
		case h.Site == first:
			near = append(near, name)
		default:
			far = append(far, name)
		}
	}
	switch {
	case v.file.lint.noted() != noted:
	case len(near)+len(far) == 0:
		v.mistake(codeNoPlace, "change the selector or the labels of a host", "no host of the inventory is selected")
	case first != "" && len(near) == 0:
		t.opt("prefer", func(v value) {
			v.mistake(codeMatchesNone, "prefer another site, or allow one of its hosts", "no selected host is in site %s", quote(first))
		})
	}
	return append(near, far...)
}

// dependencies reads the providers: a list of names, or a mapping from names to what a loss means.
func (w *inventoryWalk) dependencies(v value) ([]Dependency, []value) {
	deps, at, seen := []Dependency{}, []value{}, make(map[string]bool)
	add := func(v value, name string, loss OnLoss) {
		deps, at = append(deps, Dependency{On: name, OnLoss: loss}), append(at, v)
		seen[name] = true
	}
	if v.isList() {
		for _, e := range v.entries("") {
			name := e.text()
			if seen[name] {
				e.mistake(codeRepeated, "leave it out", "workload %s is listed twice", quote(name))
			} else if refer(e, name, w.inv.Workloads, nounWorkload) {
				add(e, name, LossKeep)
			}
		}
	} else if v.is(yaml.MappingNode, "a list of workloads or a mapping from workloads to {on_loss: …}", "") {
		for _, e := range v.open().entries {
			name, loss := e.name, LossKeep
			e.table(shape{fields: []string{"on_loss"}}).opt("on_loss", func(v value) {
				loss = OnLoss(v.choice(choices{now: []string{string(LossKeep), string(LossRestart)}}))
			})
			if e = e.asKey(); refer(e, name, w.inv.Workloads, nounWorkload) {
				add(e, name, loss)
			}
		}
	}
	slices.SortFunc(deps, func(a, b Dependency) int { return strings.Compare(a.On, b.On) })
	return deps, at
}

// addresses are the addresses of hosts, with an empty one for each host without.
func (w *inventoryWalk) addresses(hosts []string) []string {
	all := make([]string, len(hosts))
	for i, name := range hosts {
		all[i] = w.inv.Hosts[name].Address
	}
	return all
}

// ladder reads the ways to stop a workload, one after the other.
func (v value) ladder() []actions.Rung {
	rungs := []actions.Rung{}
	entries := v.entries("write [{shutdown: 60s}, {power_off: 10s}]")
	for _, e := range entries {
		if e.isScalar() && e.node.Value == "fence" {
			e.mistake(codeLater, "leave it out", "%s is not available in this version", quote("fence"))
			continue
		}
		t := e.table(shape{fields: []string{"shutdown", "power_off"}})
		if t.entries != nil && !t.strange && len(t.entries) != 1 {
			e.mistake(codeTogether, "write {shutdown: 60s} or {power_off: 10s}", "a rung of the ladder is one way to stop")
			continue
		}
		read := func(force bool) func(value) {
			return func(v value) {
				if !force && len(rungs) > 0 && rungs[len(rungs)-1].Force {
					v.onKey(codeTogether, "put it first", "a shutdown after a power_off")
				}
				rung := actions.Rung{Force: force}
				v.duration(&rung.Limit, leastLimit)
				rungs = append(rungs, rung)
			}
		}
		t.opt("shutdown", read(false))
		t.opt("power_off", read(true))
	}
	if v.isList() && (len(entries) == 0 || len(entries) > maxRungs) {
		v.mistake(codeBounds, "", "the ladder must have 1 to %d rungs", maxRungs)
	}
	return rungs
}
