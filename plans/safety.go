package plans

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/holter-ha/holter/lease"
)

// checkSafety notes what would wait for a person on the bad day, or be cut short.
func (w *inventoryWalk) checkSafety() {
	waiting := make(map[string][]string) // workloads by host
	for _, name := range slices.Sorted(maps.Keys(w.inv.Workloads)) {
		wl := w.inv.Workloads[name]
		w.checkWorkload(name, wl, w.workloadAt[name])
		if !wl.Exclusive || len(wl.Hosts) < 2 {
			continue
		}
		for _, host := range wl.Hosts {
			if h := w.inv.Hosts[host]; h.Lease.Self == lease.None && len(h.Fence) == 0 {
				waiting[host] = append(waiting[host], name)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(waiting)) {
		w.hostAt[host].onKey(codeNeedsHuman, "add self_fence: guard, or fence:", "when %s is lost, these wait for a person: %s", host, some(waiting[host]))
	}
}

// maxListed is how many names a mistake lists.
const maxListed = 12

// some lists names, the first of many.
func some(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// checkWorkload notes what of a workload's own wishes its hosts do not give it. The default ladder wishes for nothing: how long
// the workload needs to stop is not known.
func (w *inventoryWalk) checkWorkload(name string, wl Workload, at value) {
	var clean time.Duration
	for _, rung := range wl.Stop {
		if !rung.Force {
			clean += rung.Limit
		}
	}
	cut, asked := "", !slices.Equal(wl.Stop, defaultWorkload().Stop)
	var bare []string
	for _, host := range wl.Hosts {
		h := w.inv.Hosts[host]
		if wl.Evidence == EvidenceFenced && len(h.Fence) == 0 {
			bare = append(bare, host)
		}
		if cut == "" && wl.Exclusive && h.Lease.Self != lease.None && clean > h.Lease.Stop && asked {
			cut = host
		}
	}
	if len(bare) > 0 {
		at.onKey(codeNoDevice, "add fence: to them, or leave evidence out",
			"%s accepts only fencing, but these of its hosts have no fence device, and it would wait for a person: %s", name, some(bare))
	}
	if cut == "" {
		return
	}
	terms := w.inv.Hosts[cut].Lease
	longer := terms
	longer.Length, longer.Stop = terms.Length+clean-terms.Stop, clean
	at.onKey(codeShortStop, "give the lease stop: "+short(clean)+" and length: "+short(longer.Length)+", and the take-over "+short(longer.Takeover()),
		"%s takes up to %s to stop, but when the lease of %s ends it gets %s", name, short(clean), cut, short(terms.Stop))
}

// gives says that a mapping has a field.
func (v value) gives(field string) bool {
	for i := 0; v.node.Kind == yaml.MappingNode && i < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == field {
			return true
		}
	}
	return false
}
