package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// needs lists what needs a person, worst first.
func needs(look Look, st Status) []Need {
	list := append([]Need{}, needsOfRecovery(look)...)
	list = append(list, needsOfHosts(look)...)
	list = append(list, needsOfPlans(look)...)
	list = append(list, needsOfWorkloads(look)...)
	list = append(list, needsOfRuns(st.Runs)...)
	list = append(list, needsOfMonitors(look, st)...)
	list = append(list, needsOfCertificates(look)...)
	rank := map[Level]int{LevelCritical: 0, LevelPaused: 1, LevelWarning: 2}
	slices.SortStableFunc(list, func(a, b Need) int { return rank[a.Level] - rank[b.Level] })
	return list
}

// needsOfWorkloads names the workloads that run twice, and those that should run and do not, unless a run is at it.
func needsOfWorkloads(look Look) []Need {
	var list []Need
	for _, w := range workloadItems(look) {
		if w.Word == WorkloadTwice {
			list = append(list, Need{
				Level: LevelCritical, About: w.Name,
				Text:    fmt.Sprintf("%s is exclusive and runs on %s at once; nothing of it is granted until one of them is stopped by hand", w.Name, strings.Join(twiceOn(w), " and ")),
				Command: "holter workloads " + w.Name,
			})
			continue
		}
		list = append(list, needsOfAutostart(w)...)
		if w.Wanted != string(planner.WantedRunning) || w.Run != "" || masked(look, w) {
			continue
		}
		need := Need{Level: LevelCritical, About: w.Name, Command: "holter start " + w.Name}
		switch w.Word {
		case WorkloadHomeless:
			need.Text = w.Name + " should run and has no host"
		case WorkloadDown:
			need.Text = fmt.Sprintf("%s should run on %s and does not", w.Name, w.Owner)
		case WorkloadUnready:
			need.Level, need.Command = LevelWarning, "holter workloads "+w.Name
			need.Text = fmt.Sprintf("%s runs on %s and is not ready", w.Name, w.Owner)
		case WorkloadStarting:
			need.Level, need.Command = LevelWarning, "holter workloads "+w.Name
			need.Text = fmt.Sprintf("%s was to be started on %s and never became ready", w.Name, w.Owner)
		case WorkloadReady, WorkloadStopping, WorkloadUnknown, WorkloadLost, WorkloadStopped, WorkloadFound, WorkloadTwice, WorkloadIdle:
			continue
		}
		list = append(list, need)
	}
	return list
}

// alarming says that a workload that should run does not, or that nobody can tell.
func alarming(w WorkloadItem) bool {
	if w.Wanted != string(planner.WantedRunning) {
		return false
	}
	switch w.Word {
	case WorkloadHomeless, WorkloadDown, WorkloadUnready, WorkloadStarting, WorkloadLost, WorkloadUnknown:
		return true
	case WorkloadReady, WorkloadStopping, WorkloadStopped, WorkloadFound, WorkloadTwice, WorkloadIdle:
	}
	return false
}

// twiceOn lists the hosts that an exclusive workload runs on at once: as the log has it, or as it is heard already.
func twiceOn(w WorkloadItem) []string {
	hosts := slices.Concat(w.Twice, runsOn(w))
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// needsOfAutostart names the hosts where a workload of Holter's would start by itself at boot: after a power cut it could run
// twice.
func needsOfAutostart(w WorkloadItem) []Need {
	var hosts []string
	for _, r := range w.Reports {
		if r.Autostart && w.Exclusive && w.Wanted != "" {
			hosts = append(hosts, r.Host)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	return []Need{{
		Level: LevelWarning, About: w.Name, Command: "holter workloads " + w.Name,
		Text: fmt.Sprintf("%s (%s %s) starts by itself at boot on %s, and may then run twice: switch that off there", w.Name, w.Kind, w.Unit, strings.Join(hosts, " ")),
	}}
}

func needsOfRuns(runs []RunItem) []Need {
	var list []Need
	for _, run := range runs {
		if run.State != string(planner.RunPaused) {
			continue
		}
		list = append(list, Need{
			Level: LevelPaused, About: run.ID,
			Text:    fmt.Sprintf("%s is paused and fails by itself at %s: %s", run.ID, clock(run.Until.Time), strings.Join(run.Waits, "; ")),
			Command: "holter run abort " + run.ID + " --reason …",
		})
	}
	return list
}

func needsOfMonitors(look Look, st Status) []Need {
	var list []Need
	for _, m := range st.Monitors {
		switch {
		case !m.Answers && m.AgeMs < 0:
			list = append(list, Need{Level: LevelWarning, About: m.Name, Text: "monitor " + m.Name + " was never heard"})
		case !m.Answers:
			list = append(list, Need{Level: LevelWarning, About: m.Name, Text: fmt.Sprintf("monitor %s is silent", m.Name)})
		case !m.Able && m.Why != "":
			list = append(list, Need{Level: LevelWarning, About: m.Name, Text: fmt.Sprintf("monitor %s cannot judge hosts: %s", m.Name, m.Why)})
		case m.Why != "":
			list = append(list, Need{Level: LevelWarning, About: m.Name, Text: fmt.Sprintf("monitor %s cannot lead: %s", m.Name, m.Why)})
		}
	}
	if look.State.Inventory == nil {
		list = append(list, Need{Level: LevelWarning, About: "inventory", Text: "there is no inventory yet", Command: "holter apply -f FILE"})
	}
	return list
}
