package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
)

// showNoQuorum asks every monitor for itself and shows the screen that people see on their worst day.
func (a *app) showNoQuorum(ctx context.Context) error {
	probes := a.probeAll(ctx)
	answering, best := 0, -1
	for i, p := range probes {
		if p.err == nil {
			answering++
			if best < 0 || p.status.Index > probes[best].status.Index {
				best = i
			}
		}
	}
	need := len(probes)/2 + 1
	switch {
	case answering == 0:
		a.printf("NO MONITOR ANSWERS: %d asked. Whether anything fails over cannot be seen from here.\n\n", len(probes))
	case answering < need:
		a.printf("NO QUORUM: %d of %d monitors answers. Nothing fails over and nothing can be changed until %d answer.\n\n", answering, len(probes), need)
	default:
		a.printf("NO LEADER: %d of %d monitors answer, but none leads now. An election takes seconds; nothing can be changed until then.\n\n", answering, len(probes))
	}
	t := table{head: []string{"MONITOR", "ADDRESS", "STATE", ""}}
	for _, p := range probes {
		t.add(p.cells()...)
	}
	t.write(a.out, a.style)
	if best >= 0 {
		a.showLastView(probes[best].status)
		a.showLeases(ctx, probes[best].address)
	}
	return ended(console.ExitNoQuorum)
}

func (a *app) showLastView(answer console.Doc[console.Status]) {
	a.printf("\n")
	for _, run := range answer.Item.Runs {
		for _, step := range run.Steps {
			if step.State == "started" && step.Host != "" && step.Kind != "fence" {
				a.printf("%s/%s was sent to %s before the loss; its agent finishes it and keeps the result.\n", run.ID, step.ID, step.Host)
			}
		}
	}
	a.printf("%s's last view is #%d, last word of a leader %s:  holter status --stale\n", answer.Item.Self, answer.Index, ago(answer.Item.LeaderContactMs))
}

// showLeases says what becomes of exclusive workloads while nobody renews a lease: which agents have stopped theirs, and until
// when the others still hold, as one monitor heard it.
func (a *app) showLeases(ctx context.Context, address string) {
	client := console.NewClient([]string{address}, a.staleOptions())
	defer client.Close()
	asking, cancel := context.WithTimeout(ctx, min(probeTimeout, a.flags.timeout))
	defer cancel()
	hosts, err := client.Hosts(asking)
	if err != nil {
		a.printf("\nwhat became of the leases is not known: %v\n", err)
		return
	}
	t := table{head: []string{"HOST", "LEASE", "EXCLUSIVE WORKLOADS"}}
	for _, h := range hosts.Items {
		if names := exclusive(h); len(names) > 0 {
			t.add(cell{text: h.Name}, a.leftAlone(h), cell{text: strings.Join(names, " ")})
		}
	}
	if len(t.rows) == 0 {
		return
	}
	a.printf("\nNo lease is renewed without a majority. As this monitor heard it:\n")
	t.write(a.out, a.style)
}

// exclusive lists what must not run twice of what a host owns.
func exclusive(h console.HostItem) []string {
	var names []string
	for _, w := range h.Workloads {
		if w.Exclusive {
			names = append(names, w.Name)
		}
	}
	return names
}

// leftAlone says what a host does with its exclusive workloads while nobody renews its lease.
func (a *app) leftAlone(h console.HostItem) cell {
	at := func(ms int64) string {
		return clockTime(console.Time{Time: a.now().Add(time.Duration(ms) * time.Millisecond)})
	}
	l := h.Lease
	switch {
	case h.Evidence != nil || h.Word == console.HostLost || h.Word == console.HostFencing || h.Word == console.HostUnseen:
		return cell{string(h.Word) + " before the quorum was", roleWarn}
	case l.TakeoverMs == 0:
		return cell{"does not fence itself: they go on", roleWarn}
	case l.Held && l.LeftMs > 0:
		return cell{"held until " + at(l.LeftMs), roleOK}
	case l.Fenced > 0 && !l.Held:
		return cell{fmt.Sprintf("over: its agent stopped them %s, %s", at(-l.FencedAgoMs), ago(l.FencedAgoMs)), roleError}
	case l.Held:
		return cell{fmt.Sprintf("over since %s; its agent has not said yet that it stopped them", at(l.LeftMs)), roleError}
	}
	return cell{"none: " + orDash(l.Why), roleError}
}
