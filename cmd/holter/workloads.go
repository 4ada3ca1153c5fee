package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newWorkloadsCommand(a *app) *cobra.Command {
	return newLookCommand(a, looked[console.WorkloadItem]{
		use: "workloads [WORKLOAD]", short: "Show the workloads and where they are, or one of them", arg: "WORKLOAD",
		example: "  holter workloads\n  holter workloads orders-db -o json",
		all:     (*console.Client).Workloads, one: (*console.Client).Workload,
		name:    func(w console.WorkloadItem) string { return w.Name },
		showAll: a.showWorkloads, show: a.showWorkload,
	})
}

// showWorkloads shows all workloads.
func (a *app) showWorkloads(workloads []console.WorkloadItem) {
	t := table{head: []string{"WORKLOAD", "STATE", "WANTED", "HOST", "AFTER", "MAY RUN ON", "RUN"}}
	for _, w := range workloads {
		t.add(cell{text: w.Name}, workloadCell(w.Word), cell{text: orDash(w.Wanted)}, cell{text: whereIs(w)},
			cell{text: orDash(strings.Join(w.After, " "))}, cell{text: orDash(strings.Join(w.Hosts, " "))}, cell{text: orDash(w.Run)})
	}
	t.write(a.out, a.style)
	if len(workloads) == 0 {
		a.say("no workloads: the inventory has none yet (holter apply -f FILE)")
	}
}

// whereIs names the owner, or where the workload was found or was last.
func whereIs(w console.WorkloadItem) string {
	if w.Owner != "" {
		return w.Owner
	}
	for _, r := range w.Reports {
		if r.Found {
			return r.Host
		}
	}
	if w.Last != "" {
		return "(was " + w.Last + ")"
	}
	return "-"
}

// showWorkload shows one workload, what each host says of it, and its last events.
func (a *app) showWorkload(w console.WorkloadItem, events []console.EventItem) {
	c := workloadCell(w.Word)
	a.printf("%s  %s\n\n", a.style.paint(roleBold, w.Name), a.style.paint(c.role, c.text))
	f := fields{a: a}
	f.add("kind", fmt.Sprintf("%s %s", w.Kind, w.Unit))
	f.add("exclusive", fmt.Sprint(w.Exclusive))
	f.add("wanted", orDash(w.Wanted))
	f.add("host", whereIs(w))
	if w.Token != 0 {
		f.add("token", fmt.Sprintf("#%d", w.Token))
	}
	if len(w.Twice) > 0 {
		f.add("twice", fmt.Sprintf("it was seen running on %s at once; nothing of it is granted until it is seen on one", strings.Join(w.Twice, " and ")))
	}
	if e := w.Freed; e != nil {
		f.add("left", e.Host)
		f.add("evidence", evidence(e))
	}
	if w.Silence != nil {
		f.add("silence", silence(w.Silence))
	}
	f.add("may run on", orDash(strings.Join(w.Hosts, " ")))
	f.add("after", orDash(strings.Join(w.After, " ")))
	f.add("run", orDash(w.Run))
	if len(w.Reports) > 0 {
		a.printf("\n")
		t := table{head: []string{"SAYS", "CONDITION", "READY", "TOKEN", "DETAIL"}}
		for _, r := range w.Reports {
			detail := r.Detail
			if r.Found {
				detail = strings.TrimSpace(detail + " (found: Holter did not start it)")
			}
			if r.Autostart {
				detail = strings.TrimSpace(detail + " (starts by itself at boot)")
			}
			t.add(plain(r.Host, r.Condition, fmt.Sprint(r.Ready), token(r.Token), orDash(detail))...)
		}
		t.write(a.out, a.style)
	}
	a.showEventsOf(w.Name, events)
}

func token(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("#%d", n)
}
