package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// witnesses lists the monitors that say, able and fresh, that an incarnation of a host is lost. One that has never heard the
// host (incarnation 0) bears witness, too.
func (v *View) witnesses(host string, inc uint64, now Now) []Witness {
	var out []Witness
	for _, name := range v.monitors {
		o, ok := v.opinionOf(name, host, now)
		if ok && o.Verdict == wire.Lost && (o.Inc == inc || o.Inc == 0) {
			out = append(out, Witness{Monitor: name, Age: o.Age})
		}
	}
	return out
}

// hearers counts the monitors that say, able and fresh, that this host is neither late nor lost.
func (v *View) hearers(host string, now Now) int {
	n := 0
	for _, name := range v.monitors {
		if o, ok := v.opinionOf(name, host, now); ok && o.Verdict == wire.Alive {
			n++
		}
	}
	return n
}

// opinionOf is a monitor's present opinion of a host; false while it cannot judge or is not heard.
func (v *View) opinionOf(monitor, host string, now Now) (wire.Opinion, bool) {
	if monitor == v.self {
		able, _ := v.able(now)
		i, known := v.index[host]
		if !able || !known {
			return wire.Opinion{}, false
		}
		return v.targets[i].opinion(now.Watch), true
	}
	if !v.fresh(monitor, now) || !v.peers[monitor].view.Able {
		return wire.Opinion{}, false
	}
	if o, ok := v.peers[monitor].opinions[host]; ok {
		return o, true
	}
	return wire.Opinion{Host: host, Verdict: wire.Alive}, true
}

// heard says that this monitor itself hears an incarnation of a host now.
func (v *View) heard(host string, inc uint64, now Now) bool {
	i, known := v.index[host]
	if n, ok := v.strange[host]; ok && n.inc == inc {
		return now.Watch-n.at < v.heart.LateAfter
	}
	return known && v.targets[i].inc == inc && v.targets[i].verdict(now.Watch) == wire.Alive
}

// confirmed says that a host's agent has shown, in its newest status, that it holds the host's present epoch.
func (v *View) confirmed(s *State, host string) bool {
	h, _ := s.Hosts.Get(host)
	r, ok := v.reports[host]
	return ok && h.Phase == Active && r.status.Inc == h.Inc && r.status.Epoch == h.Epoch
}

// newestStamp is the newest stamp of the agent's own clock that was heard under its present incarnation.
func (v *View) newestStamp(host string) time.Duration {
	i, known := v.index[host]
	if !known {
		return 0
	}
	stamp := v.targets[i].stamp
	if r, ok := v.reports[host]; ok && r.status.Inc == v.targets[i].inc {
		stamp = max(stamp, r.status.Stamp)
	}
	return stamp
}

// says is what an agent's newest status says of a workload, if that status is of the host's joined incarnation.
func (v *View) says(s *State, host, workload string) (wire.WorkloadStatus, bool) {
	if !v.confirmed(s, host) {
		return wire.WorkloadStatus{}, false
	}
	r := v.reports[host]
	i := slices.IndexFunc(r.status.Workloads, func(w wire.WorkloadStatus) bool { return w.Workload == workload })
	if i < 0 {
		return wire.WorkloadStatus{}, false
	}
	return r.status.Workloads[i], true
}

// Picture shows the view to people.
func (v *View) Picture(s *State, now Now) *Picture {
	p := &Picture{
		At: now.Log, Hosts: make(map[string]HostPicture, s.Hosts.Len()), Workloads: map[string][]WorkloadPicture{},
		Monitors: make([]MonitorPicture, 0, len(v.monitors)), Strangers: []string{},
	}
	able, why := v.able(now)
	for i := range v.targets {
		t := &v.targets[i]
		host, known := s.Hosts.Get(t.name)
		if !known {
			if t.inc != 0 && t.verdict(now.Watch) == wire.Alive {
				p.Strangers = append(p.Strangers, t.name)
			}
			continue
		}
		pic := v.picture(t, host, able, now)
		pic.Unfit = (&decision{s: s, v: v, now: now}).unfit(t.name)
		p.Hosts[t.name] = pic
	}
	slices.Sort(p.Strangers)
	for _, name := range v.monitors {
		m := MonitorPicture{Name: name, Age: never}
		if peer, ok := v.peers[name]; ok {
			m = MonitorPicture{Name: name, Age: now.Watch - peer.at, Able: peer.view.Able, Why: peer.view.Why, Version: peer.view.Version, Heard: peer.view.Heard}
		}
		if name == v.self {
			if able {
				why = v.health.Disk
			}
			m = MonitorPicture{Name: name, Able: able, Why: why, Heard: v.Opinions(now).Heard, Log: LogVersion}
		} else if l, ok := v.levels[name]; ok {
			m.Log = l.log
		}
		p.Monitors = append(p.Monitors, m)
	}
	for host := range s.Hosts.All() {
		r, ok := v.reports[host]
		if !ok {
			continue
		}
		for _, w := range r.status.Workloads {
			if _, current := v.says(s, host, w.Workload); current {
				p.Workloads[w.Workload] = append(p.Workloads[w.Workload], WorkloadPicture{
					Host: host, Condition: w.Condition, Ready: w.Ready, Token: w.Token, Found: found(w), Autostart: w.Autostart, Detail: w.Detail,
				})
			}
		}
	}
	return p
}

func (v *View) picture(t *target, host Host, able bool, now Now) HostPicture {
	pic := HostPicture{Age: never, LostAfter: v.lostAfter(t, now.Watch), Healed: t.healed(now.Watch), LostBy: []string{}}
	if t.inc != 0 {
		pic.Age = max(now.Watch-t.evidence(), 0)
	}
	for _, w := range v.witnesses(t.name, host.Inc, now) {
		pic.LostBy = append(pic.LostBy, w.Monitor)
	}
	if n, ok := v.strange[t.name]; ok && n.inc != host.Inc {
		if t.verdict(now.Watch) == wire.Alive {
			pic.Twin = fmt.Sprintf("%016x", n.inc)
		} else {
			pic.Anew = fmt.Sprintf("%016x", n.inc)
		}
	}
	if r, ok := v.reports[t.name]; ok && r.status.Inc == host.Inc {
		pic.Lease = r.status.Lease
		pic.Lease.Left -= now.Watch - r.at
		if pic.Lease.Fenced > 0 {
			pic.Lease.FencedAgo += now.Watch - r.at
		}
	}
	if c, ok := v.clocks[t.name]; ok && c.inc == host.Inc {
		pic.Clock = &c.ClockPicture
	}
	switch {
	case host.Phase == Unseen:
		pic.Heart = HeartUnseen
	case !able:
		pic.Heart = HeartUnknown
	case t.verdict(now.Watch) == wire.Alive:
		pic.Heart = HeartAlive
	case host.Phase == Revoking || host.Phase == Expired || len(pic.LostBy) >= v.majority():
		pic.Heart = HeartLost
	default:
		pic.Heart = HeartSuspect
	}
	return pic
}

// found says that a workload runs and that no journal of its agent lists it.
func found(w wire.WorkloadStatus) bool { return w.Condition == actions.Running && w.Token == 0 }
