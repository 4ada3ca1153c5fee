package planner

import (
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/plans"
)

// joinSettle is how long a host must have been joined before what waits for it starts there by itself, so that hosts that
// come back together are one run.
const joinSettle = time.Second

// Decide derives from what is what should happen now. Only the leader asks. It changes nothing: the caller carries the
// intents out, in order, and tells the view with Acted. An intent that is not yet fulfilled is repeated by the next call.
func Decide(s *State, v *View, rules Rules, now Now) []Intent {
	if s.Inventory == nil {
		return nil
	}
	d := &decision{s: s, v: v, rules: rules, now: now, m: v.remembered(s)}
	d.joins()
	d.reports()
	d.losses()
	d.revoked()
	d.twice()
	if s.Recovery == nil { // until then nobody knows what runs where
		d.adoptions()
		d.triggers()
		d.homeless()
	}
	for _, c := range d.m.open {
		d.advance(c)
	}
	return d.out
}

type decision struct {
	s      *State
	v      *View
	rules  Rules
	now    Now
	m      *memo
	out    []Intent
	course *course         // of the run that advances
	taken  map[string]bool // workloads that a run proposed in this decision would claim
}

// memo is what Decide needs of a State and would otherwise search for on each call.
type memo struct {
	of        *State
	open      []*course
	silent    []string          // hosts in phase revoking or expired
	adoptable []string          // workloads that never were Holter's
	homeless  []string          // workloads that should run and have no owner and no run
	twice     []string          // workloads that were seen on several hosts
	granted   map[string]uint64 // by host: the newest token of what it owns
}

func (v *View) remembered(s *State) *memo {
	if v.memo.of == s {
		return &v.memo
	}
	m := memo{of: s, granted: map[string]uint64{}}
	for _, run := range s.Runs.All() {
		if run.Open() {
			m.open = append(m.open, run.course())
		}
	}
	for name, host := range s.Hosts.All() {
		switch host.Phase {
		case Revoking, Expired:
			m.silent = append(m.silent, name)
		case Active, Unseen:
		}
	}
	for name, w := range s.Workloads.All() {
		if len(w.Twice) > 0 {
			m.twice = append(m.twice, name)
		}
		switch {
		case w.Owner != "":
			m.granted[w.Owner] = max(m.granted[w.Owner], w.Token)
		case w.Run != 0:
		case w.Wanted == WantedRunning:
			m.homeless = append(m.homeless, name)
		case w.Wanted == "" && w.Last == "":
			m.adoptable = append(m.adoptable, name)
		}
	}
	v.memo = m
	return &v.memo
}

// propose adds a proposal. The key says what it is about: while one is in flight the next is not made.
func (d *decision) propose(key string, cause uint64, reason string, event Event) {
	d.out = append(d.out, Intent{Key: key, Propose: &Entry{Reason: reason, Cause: cause, Event: event}})
}

// adoptions takes over what is found running: a workload that never was Holter's, that exactly one host reports running,
// and that every other allowed host has said not to run, each in its present incarnation.
func (d *decision) adoptions() {
	if len(d.v.touched) == 0 {
		return
	}
	for _, name := range d.m.adoptable {
		at, sure := "", true
		for _, host := range d.s.Inventory.Workloads[name].Hosts {
			w, ok := d.v.says(d.s, host, name)
			switch {
			case !ok || w.Condition == actions.Unknown:
				sure = false
			case w.Condition == actions.Running && at != "":
				sure = false
			case w.Condition == actions.Running:
				at = host
			}
		}
		if at == "" || !sure {
			continue
		}
		host, _ := d.s.Hosts.Get(at)
		d.propose("adopt/"+name, 0, "found running there and nowhere else", WorkloadAdopted{Workload: name, Host: at, Epoch: host.Epoch})
	}
}

// triggers starts the armed plans whose trigger matches a loss that they have not answered.
func (d *decision) triggers() {
	if len(d.m.silent) == 0 {
		return
	}
	for name, plan := range d.s.Plans.All() {
		if !plan.Armed || slices.ContainsFunc(d.m.open, func(c *course) bool { return c.run.Plan == name }) {
			continue
		}
		var hosts []string
		var first Host
		for _, host := range d.m.silent {
			h, _ := d.s.Hosts.Get(host)
			if h.Handled[name] != 0 || h.damps(d.now.Log) || !d.s.triggers(plan.Plan, host) {
				continue
			}
			hosts = append(hosts, host)
			if first.Revocation == 0 || h.Revocation < first.Revocation {
				first = h
			}
		}
		if len(hosts) == 0 || d.settling(first) {
			continue
		}
		if _, _, held := d.s.MassLoss(plan.Plan); held {
			continue // until a person starts it
		}
		run, err := NewPlanRun(d.s, name, hosts)
		if err != nil || !moves(run.Steps) || !d.claim(run.Steps) {
			continue // nothing of it to do, or not yet: the loss stays visible, and is looked at again when something changes
		}
		run.Why = []Input{
			{Name: "armed", Value: "yes", OK: true},
			{Name: "trigger", Value: "host_lost " + strings.Join(hosts, " "), OK: true},
		}
		d.propose("run/"+name, first.Revocation, "", run)
	}
}

// moves says that a run would do something beside waiting for evidence.
func moves(steps []Step) bool {
	return slices.ContainsFunc(steps, func(st Step) bool { return st.Kind != plans.StepFence })
}

// claim says that no run claims the workloads of a run that is to be proposed, and notes that this one would.
func (d *decision) claim(steps []Step) bool {
	wanted := wantedBy(steps)
	for name := range wanted {
		if w, _ := d.s.Workloads.Get(name); w.Run != 0 || d.taken[name] {
			return false
		}
	}
	if d.taken == nil {
		d.taken = map[string]bool{}
	}
	for name := range wanted {
		d.taken[name] = true
	}
	return true
}

// settling says that losses of the same moment may still be coming: another host is late, and the settle time is not over.
func (d *decision) settling(first Host) bool {
	if d.now.Log.Sub(first.Since) >= d.rules.Settle {
		return false
	}
	for i := range d.v.targets {
		t := &d.v.targets[i]
		if d.now.Watch < t.late {
			continue
		}
		if host, known := d.s.Hosts.Get(t.name); known && host.Phase == Active {
			return true
		}
	}
	return false
}

// homeless starts again what should run, once its last host has joined again; once per epoch of that host.
func (d *decision) homeless() {
	names := map[string]bool{}
	for _, name := range d.m.homeless {
		w, _ := d.s.Workloads.Get(name)
		host, _ := d.s.Hosts.Get(w.Last)
		back := host.Phase == Active && !host.Quarantined(d.now.Log) && w.Tried != host.Epoch && d.now.Log.Sub(host.Since) >= joinSettle
		if back && d.v.heard(w.Last, host.Inc, d.now) {
			names[name] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for name := range names {
			for _, provider := range d.s.providersOf(name) {
				if p, _ := d.s.Workloads.Get(provider); !names[provider] && (p.Owner == "" || !p.Ready) {
					delete(names, name)
					changed = true
					break
				}
			}
		}
	}
	if len(names) == 0 {
		return
	}
	if run := newHomeless(d.s, names); d.claim(run.Steps) {
		d.propose("homeless", 0, "their host is back: "+join(names), run)
	}
}
