package planner

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// twiceAfter is how long a workload must be reported running on several hosts before it counts as such: the status of the
// host that it left may be a moment old.
const twiceAfter = 3 * time.Second

// ObserveStatus hears what an agent says of its workloads.
func (v *View) ObserveStatus(s wire.Status, now Now) {
	if v.replaced(s.Host, s.Inc) {
		return
	}
	if old, ok := v.reports[s.Host]; ok && old.status.Inc == s.Inc && s.Seq < old.status.Seq {
		return
	}
	v.reports[s.Host] = report{status: s, at: now.Watch}
	v.touched[s.Host] = true
	for _, w := range s.Workloads {
		v.noteRunning(w.Workload, s.Host, w.Condition == actions.Running, now)
	}
}

// noteRunning keeps where a workload is said to run.
func (v *View) noteRunning(workload, host string, runs bool, now Now) {
	hosts := v.running[workload]
	switch {
	case runs && hosts == nil:
		v.running[workload] = map[string]bool{host: true}
	case runs:
		hosts[host] = true
	default:
		delete(hosts, host)
	}
	if len(hosts) < 2 {
		delete(v.double, workload)
	} else if _, known := v.double[workload]; !known {
		v.double[workload] = now.Watch
	}
}

// runners lists the hosts whose agents report a workload running, each under its present epoch.
func (v *View) runners(s *State, workload string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for host := range v.running[workload] {
			if v.confirmed(s, host) && !yield(host) {
				return
			}
		}
	})
}

// ObserveJoin hears an agent that asks to join. Of its asks the newest counts, and of one ask the second turn.
func (v *View) ObserveJoin(j wire.Join, now Now) {
	if v.replaced(j.Host, j.Inc) {
		return
	}
	key := asker{j.Host, j.Inc}
	if old, ok := v.joins[key]; ok && cmp.Or(cmp.Compare(old.join.Ask, j.Ask), cmp.Compare(old.join.Nonce, j.Nonce)) > 0 {
		return
	}
	v.joins[key] = asked{join: j, at: now.Watch}
}

// asking lists who asks to join, by host and incarnation.
func (v *View) asking() []wire.Join {
	all := make([]wire.Join, 0, len(v.joins))
	for _, a := range v.joins {
		all = append(all, a.join)
	}
	slices.SortFunc(all, func(a, b wire.Join) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Inc, b.Inc))
	})
	return all
}

// replaced says that a newer incarnation of a host has been heard since: what comes of this one is late.
func (v *View) replaced(host string, inc uint64) bool {
	i, known := v.index[host]
	return known && inc != v.targets[i].inc && slices.Contains(v.targets[i].replaced[:], inc)
}

// ObserveResult hears an agent's answer. What answers no command under way is dropped by Acted. An answer counts only from
// the host that was commanded; one of another host does not displace it.
func (v *View) ObserveResult(r wire.Result) { v.results[answerTo{r.Host, r.ID}] = r }

// ObserveReport hears a monitor that has not renewed a revoked host's lease for long enough.
func (v *View) ObserveReport(r wire.Report) {
	if !slices.Contains(v.monitors, MonitorName(r.Monitor)) {
		return
	}
	if v.expired[r.Host] == nil {
		v.expired[r.Host] = map[string]uint64{}
	}
	v.expired[r.Host][r.Monitor] = max(v.expired[r.Host][r.Monitor], r.Revocation)
}

// reportsOf lists the monitors whose report answers a host's present revocation, sorted.
func (v *View) reportsOf(name string, host Host) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for monitor, revocation := range v.expired[name] {
			if revocation == host.Revocation && !yield(monitor) {
				return
			}
		}
	})
}

// ObserveFenced hears what came of a fence attempt.
func (v *View) ObserveFenced(f wire.Fenced) { v.fenced[f.Host] = f }

// Acted tells the view that the intents of a Decide on s were carried out: what was answered is forgotten, and what was
// asked a while ago, because whoever still waits asks again.
func (v *View) Acted(s *State, now Now) {
	clear(v.touched)
	maps.DeleteFunc(v.joins, func(key asker, a asked) bool {
		host, _ := s.Hosts.Get(key.host)
		return now.Watch-a.at > joinFresh || host.Inc == key.inc && a.join.Ask <= host.Ask && v.confirmed(s, key.host)
	})
	idle := func(name string) bool { h, _ := s.Hosts.Get(name); return h.Phase != Revoking && h.Phase != Expired }
	maps.DeleteFunc(v.expired, func(name string, _ map[string]uint64) bool { return idle(name) })
	maps.DeleteFunc(v.fenced, func(name string, _ wire.Fenced) bool { return idle(name) })
	maps.DeleteFunc(v.strange, func(_ string, n newcomer) bool { return now.Watch-n.at > newcomerFresh })
	v.forgetResults(s)
}

// forgetResults drops the answers that no step under way waits for.
func (v *View) forgetResults(s *State) {
	if len(v.results) == 0 {
		return
	}
	due := map[answerTo]bool{}
	for _, c := range v.remembered(s).open {
		for i := range c.run.Steps {
			if st := &c.run.Steps[i]; st.State == StateStarted {
				due[answerTo{st.Host, CommandID(c.run, st)}] = true
			}
		}
	}
	maps.DeleteFunc(v.results, func(to answerTo, _ wire.Result) bool { return !due[to] })
}
