package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/holter-ha/holter/planner"
)

// monitorQuietAfter is how long a monitor may be silent and still counts as answering: ten of its views.
const monitorQuietAfter = 2 * time.Second

func status(look Look) Status {
	s := look.State
	st := Status{
		Cluster: inventory(look).Cluster.Name, ClusterID: s.Cluster, Self: look.Self, Leader: look.Leader, Term: look.Term,
		LeaderContactMs: ageMs(look.LeaderContact), Monitors: monitorItems(look), Revision: s.Revision,
		Armed: []string{}, Disarmed: []string{}, Sites: siteItems(look), Runs: runItems(look, true),
		Version: look.Version,
	}
	for name, plan := range s.Plans.All() {
		if plan.Armed {
			st.Armed = append(st.Armed, name)
		} else {
			st.Disarmed = append(st.Disarmed, name)
		}
	}
	st.Needs, st.Silences = needs(look, st), wantedItems(look)
	return st
}

// monitorItems lists the monitors by name: those of the cluster, and those that are configured and not in it yet.
func monitorItems(look Look) []MonitorItem {
	items := map[string]MonitorItem{}
	for _, m := range look.Members {
		items[m.Name] = MonitorItem{Name: m.Name, API: m.API, Suffrage: m.Suffrage, AgeMs: -1}
	}
	for _, m := range look.Picture.Monitors {
		item := items[m.Name]
		item.Name, item.AgeMs, item.Able, item.Why, item.Version = m.Name, ageMs(m.Age), m.Able, m.Why, m.Version
		item.Answers = m.Age >= 0 && m.Age < monitorQuietAfter
		items[m.Name] = item
	}
	self := items[look.Self]
	self.Name, self.Answers, self.AgeMs, self.Version = look.Self, true, 0, look.Version
	items[look.Self] = self
	list := make([]MonitorItem, 0, len(items))
	for name, item := range items {
		item.Leader = name == look.Leader
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b MonitorItem) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func siteItems(look Look) []SiteItem {
	sites := map[string]*SiteItem{}
	list := make([]SiteItem, len(inventory(look).Sites))
	for i, name := range inventory(look).Sites {
		list[i].Name = name
		sites[name] = &list[i]
	}
	siteOf := map[string]*SiteItem{}
	for _, host := range hostItems(look) {
		site := sites[host.Site]
		if site == nil {
			continue
		}
		siteOf[host.Name] = site
		site.Hosts++
		switch host.Word {
		case HostAlive:
			site.Alive++
		case HostSuspect:
			site.Suspect++
		case HostLost, HostFencing, HostFenced, HostExpired, HostConfirmed:
			site.Lost++
		case HostUnseen, HostReturning, HostUnknown, HostSilent:
			site.Unknown++
		}
	}
	for _, w := range workloadItems(look) {
		site := siteOf[cmp.Or(w.Owner, w.Last)]
		if site == nil || w.Wanted != string(planner.WantedRunning) || w.Word != WorkloadReady && masked(look, w) {
			continue
		}
		site.Wanted++
		if w.Word == WorkloadReady {
			site.Running++
		}
	}
	return list
}
