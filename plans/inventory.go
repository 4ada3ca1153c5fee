package plans

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/lease"
)

// The defaults and bounds of an inventory.
const (
	defaultInterval  = 250 * time.Millisecond
	defaultLostAfter = 3 * time.Second
	leastInterval    = 50 * time.Millisecond
	leastLostAfter   = time.Second
	beatsPerLoss     = 6 // lost_after is at least so many intervals
)

// maxPlaces is how many pairs of workload and allowed host an inventory may have: selectors multiply.
const maxPlaces = 1_000_000

// inventoryWalk is one inventory while it is read.
type inventoryWalk struct {
	inv    *Inventory
	sites  map[string]bool
	hosts  []string // names, sorted
	places int

	hostAt, workloadAt map[string]value // where they stand

	terms    lease.Terms // of the cluster
	takeover takeover    // of the cluster
	errors   int         // of the files read before this one
}

// inventory compiles the document. After a mistake the result is only good for checking references against.
func (t table) inventory() *Inventory {
	w := &inventoryWalk{
		inv:   &Inventory{Hosts: make(map[string]Host), Workloads: make(map[string]Workload), Source: string(t.file.text)},
		sites: make(map[string]bool), terms: lease.Normal(), hostAt: make(map[string]value), errors: t.file.lint.errors,
	}
	t.known(shape{fields: []string{"apiVersion", "kind", "cluster", "sites", "hosts", "workloads"}})
	t.need("cluster", func(v value) { w.inv.Cluster = w.cluster(v) })
	t.need("sites", w.readSites)
	w.inv.Sites = append([]string{}, slices.Sorted(maps.Keys(w.sites))...)
	t.need("hosts", w.readHosts)
	t.opt("workloads", w.readWorkloads)
	w.takeover.check(w.terms)
	if t.file.lint.errors == w.errors { // what is wrong may be the protection
		w.checkSafety()
	}
	return w.inv
}

func (w *inventoryWalk) cluster(v value) Cluster {
	c := Cluster{Heartbeat: defaultHeartbeat()}
	t := v.table(shape{fields: []string{"name", "heartbeat", "lease", "takeover_after"}})
	t.need("name", func(v value) { c.Name = v.newName("a cluster") })
	t.opt("heartbeat", func(v value) { c.Heartbeat = v.heartbeat() })
	t.opt("lease", func(v value) { v.readLease(&w.terms) })
	t.opt("takeover_after", func(v value) {
		w.takeover.at = v
		v.duration(&w.takeover.after, leastLimit)
	})
	return c
}

func defaultHeartbeat() Heartbeat {
	return Heartbeat{
		Interval: defaultInterval, LateAfter: 3 * defaultInterval,
		LostAfter: defaultLostAfter, LostAfterMax: 2 * defaultLostAfter,
	}
}

func (v value) heartbeat() Heartbeat {
	h := defaultHeartbeat()
	t := v.table(shape{fields: []string{"interval", "late_after", "lost_after", "lost_after_max"}})
	t.opt("interval", func(v value) { v.duration(&h.Interval, leastInterval) })
	t.opt("lost_after", func(v value) { v.duration(&h.LostAfter, leastLostAfter) })
	h.LateAfter, h.LostAfterMax = 3*h.Interval, 2*h.LostAfter
	t.opt("late_after", func(v value) {
		v.duration(&h.LateAfter, h.Interval)
		if h.LateAfter >= h.LostAfter {
			v.mistake(codeBounds, "make it shorter", "late_after must be shorter than lost_after, which is %s", short(h.LostAfter))
		}
	})
	t.opt("lost_after_max", func(v value) { v.duration(&h.LostAfterMax, h.LostAfter) })
	if beatsPerLoss*h.Interval > h.LostAfter {
		given := t.value
		if !t.opt("lost_after", func(v value) { given = v }) {
			t.opt("interval", func(v value) { given = v })
		}
		given.mistake(codeBounds, "make lost_after at least "+short(beatsPerLoss*h.Interval)+" or interval shorter",
			"lost_after is %s, less than %d intervals of %s", short(h.LostAfter), beatsPerLoss, short(h.Interval))
	}
	return h
}

func (w *inventoryWalk) readSites(v value) {
	t := v.open()
	for _, site := range t.entries {
		w.sites[site.keyName("a site")] = true
		site.table(shape{})
	}
	if t.entries != nil && len(t.entries) == 0 && !t.strange {
		v.mistake(codeMissing, "add one, for example main: {}", "there is no site")
	}
}

func (w *inventoryWalk) readHosts(v value) {
	for _, host := range v.open().entries {
		name := host.keyName("a host")
		w.inv.Hosts[name], w.hostAt[name] = w.host(host), host
	}
	w.hosts = slices.Sorted(maps.Keys(w.inv.Hosts))
}

func (w *inventoryWalk) host(v value) Host {
	var h Host
	t := v.table(shape{
		fields: []string{"site", "address", "labels", "lease", "self_fence", "watchdog", "takeover_after", "fence"},
		later:  []string{"capacity", "heartbeat"},
	})
	h.Lease = w.lease(t)
	t.opt("fence", func(v value) { h.Fence = v.readFence() })
	t.need("site", func(v value) { h.Site = w.site(v) })
	t.opt("address", func(v value) {
		if h.Address = v.text(); h.Address != "" && !isHostAddress(h.Address) {
			v.mistake(codeForm, "write an IP address or a host name, without a port", "address %s is no address", quote(h.Address))
		}
	})
	t.opt("labels", func(v value) { h.Labels = v.labels() })
	return h
}

// site reads the name of a site of this inventory.
func (w *inventoryWalk) site(v value) string {
	name := v.text()
	refer(v, name, w.sites, nounSite)
	return name
}

// labels reads a mapping of texts.
func (v value) labels() map[string]string {
	t := v.open()
	labels := make(map[string]string, len(t.entries))
	for _, label := range t.entries {
		if !validLabel(label.name) {
			v.file.mistake(nodeSpot(label.key), codeName, labelForm, quote(label.name)+" cannot be the name of a label")
		}
		s := label.text()
		if s != "" && !validLabel(s) {
			label.mistake(codeForm, labelForm, "%s cannot be the value of a label", quote(s))
		}
		labels[label.name] = s
	}
	if t.entries != nil && len(t.entries) == 0 && !t.strange {
		v.mistake(codeMissing, "leave it out", "%s is empty", v.name)
	}
	return labels
}

const labelForm = "letters, digits and . _ / -, at most 63"

func validLabel(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		//nolint:gosec // below 128
		return r >= 128 || !isLower(byte(r)) && !isDigit(byte(r)) && (r < 'A' || r > 'Z') && !strings.ContainsRune("._/-", r)
	})
}

// hostNames reads a list of hosts of the inventory, each once, in the order of the file.
func (v value) hostNames(hosts map[string]Host) []string {
	return names(v, hosts, nounHost)
}

// names reads a list of names of things, each once, in the order of the file. Without things (nil) any name will do.
func names[T any](v value, things map[string]T, n noun) []string {
	found, seen := []string{}, make(map[string]bool)
	entries := v.entries("write [NAME, …]")
	for _, e := range entries {
		name := e.text()
		switch {
		case name == "":
		case seen[name]:
			e.mistake(codeRepeated, "leave it out", "%s %s is listed twice", n.what, quote(name))
		case things == nil && !e.named("a "+n.what, name, e.spot()):
		case things != nil && !refer(e, name, things, n):
		default:
			found = append(found, name)
		}
		seen[name] = true
	}
	if v.isList() && len(entries) == 0 {
		v.mistake(codeMissing, "name at least one", "%s is an empty list", v.name)
	}
	return found
}
