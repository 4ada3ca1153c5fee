package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// needs lists what needs a person, worst first.
func needs(look Look, st Status) []Need {
	list := []Need{}
	list = append(list, needsOfHosts(look)...)
	list = append(list, needsOfWorkloads(look)...)
	list = append(list, needsOfRuns(st.Runs)...)
	list = append(list, needsOfMonitors(look, st)...)
	rank := map[Level]int{LevelCritical: 0, LevelPaused: 1, LevelWarning: 2}
	slices.SortStableFunc(list, func(a, b Need) int { return rank[a.Level] - rank[b.Level] })
	return list
}

// needsOfHosts names the lost hosts without evidence, and the hosts that beat and are in no inventory.
func needsOfHosts(look Look) []Need {
	var list []Need
	for _, host := range hostItems(look) {
		if host.Word != HostLost {
			continue
		}
		need := Need{Level: LevelWarning, About: host.Name, Text: fmt.Sprintf("%s is lost since %s and runs nothing of Holter's", host.Name, clock(host.Since.Time))}
		if waiting := waitingOn(host); len(waiting) > 0 {
			need.Level = LevelCritical
			need.Text = fmt.Sprintf("%s is lost since %s and nobody knows whether it still runs %s: %s until it returns, or a person confirms that it is off",
				host.Name, clock(host.Since.Time), strings.Join(waiting, " "), theyWait(len(waiting)))
			need.Command = fmt.Sprintf("holter fence confirm %s --reason …", host.Name)
		}
		list = append(list, need)
	}
	for _, name := range look.Picture.Strangers {
		list = append(list, Need{Level: LevelWarning, About: name, Text: name + " beats and is in no inventory", Command: "holter apply -f INVENTORY"})
	}
	return list
}

func theyWait(n int) string {
	if n == 1 {
		return "it waits"
	}
	return "they wait"
}

// waitingOn lists the workloads that cannot start elsewhere before there is evidence of the host.
func waitingOn(host HostItem) []string {
	var names []string
	for _, w := range host.Workloads {
		if w.Word == WorkloadLost {
			names = append(names, w.Name)
		}
	}
	return names
}

// needsOfWorkloads names the workloads that run twice, and those that should run and do not, unless a run is at it.
func needsOfWorkloads(look Look) []Need {
	var list []Need
	for _, w := range workloadItems(look) {
		if w.Word == WorkloadTwice {
			list = append(list, Need{
				Level: LevelCritical, About: w.Name,
				Text:    fmt.Sprintf("%s is exclusive and runs on %s at once; Holter grants nothing until one of them is stopped by hand", w.Name, strings.Join(runsOn(w), " and ")),
				Command: "holter workloads " + w.Name,
			})
			continue
		}
		if w.Wanted != string(planner.WantedRunning) || w.Run != "" {
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
		}
	}
	if look.State.UnsafeDemo {
		list = append(list, Need{
			Level: LevelWarning, About: "unsafe_demo",
			Text: "this is a demo cluster: a lost host is assumed to run nothing, so a workload may run twice; never use it for real ones",
		})
	}
	if look.State.Inventory == nil {
		list = append(list, Need{Level: LevelWarning, About: "inventory", Text: "there is no inventory yet", Command: "holter apply -f FILE"})
	}
	return list
}
