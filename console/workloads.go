package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/planner"
)

// WorkloadWord is the one word for a workload that people see.
type WorkloadWord string

// The words for a workload.
const (
	WorkloadReady    WorkloadWord = "ready"    // it runs where it should, and is ready
	WorkloadStarting WorkloadWord = "starting" // it is being started
	WorkloadStopping WorkloadWord = "stopping" // it is being stopped
	WorkloadUnready  WorkloadWord = "unready"  // it was ready, runs, and is not ready now
	WorkloadDown     WorkloadWord = "down"     // it was ready, and does not run now
	WorkloadUnknown  WorkloadWord = "unknown"  // its host does not say
	WorkloadLost     WorkloadWord = "lost"     // its host is lost, and it may still run there
	WorkloadHomeless WorkloadWord = "homeless" // it should run and has no host
	WorkloadStopped  WorkloadWord = "stopped"  // it should not run
	WorkloadFound    WorkloadWord = "found"    // it runs, but Holter did not start it
	WorkloadTwice    WorkloadWord = "twice"    // it is exclusive and runs on two hosts, or did until a moment ago
	WorkloadIdle     WorkloadWord = "idle"     // Holter never had it, and it does not run
)

// runs says that the host's agent sees the workload running.
func (r ReportItem) runs() bool { return r.Condition == string(actions.Running) }

// workloadItems lists the workloads by name.
func workloadItems(look Look) []WorkloadItem {
	items := make([]WorkloadItem, 0, look.State.Workloads.Len())
	for name, w := range look.State.Workloads.All() {
		items = append(items, workloadItem(look, name, w))
	}
	return items
}

func workloadItem(look Look, name string, w planner.Workload) WorkloadItem {
	spec := inventory(look).Workloads[name]
	item := WorkloadItem{
		Name: name, Kind: spec.Kind, Unit: spec.Unit, Exclusive: spec.Exclusive,
		Wanted: string(w.Wanted), Owner: w.Owner, Last: w.Last, Token: w.Token,
		Hosts: some(spec.Hosts), After: []string{}, Reports: []ReportItem{},
		Freed: evidenceItem(w.Freed), Twice: w.Twice, Silence: silenceItem(look, w.Silence),
	}
	if w.Run != 0 {
		item.Run = planner.RunID(w.Run)
	}
	for _, dep := range spec.After {
		item.After = append(item.After, dep.On)
	}
	for _, r := range look.Picture.Workloads[name] {
		item.Reports = append(item.Reports, ReportItem{
			Host: r.Host, Condition: string(r.Condition), Ready: r.Ready, Token: r.Token, Found: r.Found, Autostart: r.Autostart, Detail: r.Detail,
		})
	}
	slices.SortFunc(item.Reports, func(a, b ReportItem) int { return cmp.Compare(a.Host, b.Host) })
	item.Word = workloadWord(look, w, item)
	return item
}

// down lists what does not run although it was ready where it is owned.
func down(look Look) []string {
	var names []string
	for _, item := range workloadItems(look) {
		if item.Word == WorkloadDown {
			names = append(names, item.Name)
		}
	}
	return names
}

// workloadWord is the one word for a workload.
func workloadWord(look Look, w planner.Workload, item WorkloadItem) WorkloadWord {
	switch runsOn := runsOn(item); {
	case item.Exclusive && (len(runsOn) > 1 || len(w.Twice) > 0):
		return WorkloadTwice
	case w.Owner != "":
		return ownedWord(look, w, item)
	case w.Wanted == planner.WantedRunning:
		return WorkloadHomeless
	case len(runsOn) > 0:
		return WorkloadFound
	case w.Wanted == planner.WantedStopped:
		return WorkloadStopped
	}
	return WorkloadIdle
}

func ownedWord(look Look, w planner.Workload, item WorkloadItem) WorkloadWord {
	owner, _ := look.State.Hosts.Get(w.Owner)
	if owner.Phase != planner.Active {
		return WorkloadLost
	}
	if heldBack(owner, look.Picture.Hosts[w.Owner], look.Now) {
		return WorkloadUnknown // its last word is old
	}
	if w.Stopping {
		return WorkloadStopping
	}
	i := slices.IndexFunc(item.Reports, func(r ReportItem) bool { return r.Host == w.Owner })
	if i < 0 {
		return WorkloadUnknown
	}
	report := item.Reports[i]
	switch {
	case !w.Ready:
		return WorkloadStarting
	case report.runs() && report.Ready:
		return WorkloadReady
	case report.runs():
		return WorkloadUnready
	case report.Condition == string(actions.Stopped):
		return WorkloadDown
	}
	return WorkloadUnknown
}

// runsOn lists the hosts whose agents see the workload running.
func runsOn(item WorkloadItem) []string {
	var hosts []string
	for _, report := range item.Reports {
		if report.runs() {
			hosts = append(hosts, report.Host)
		}
	}
	return hosts
}

// some makes a list that is never null in JSON.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ageMs is an age in milliseconds; never stays -1.
func ageMs(age time.Duration) int64 {
	if age < 0 {
		return -1
	}
	return age.Milliseconds()
}
