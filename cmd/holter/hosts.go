package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newHostsCommand(a *app) *cobra.Command {
	return newLookCommand(a, looked[console.HostItem]{
		use: "hosts [HOST]", short: "Show the hosts, those that are not alive first, or one of them", arg: "HOST",
		example: "  holter hosts\n  holter hosts ams-db-01\n  holter hosts -o name",
		all:     (*console.Client).Hosts, one: (*console.Client).Host,
		name:    func(h console.HostItem) string { return h.Name },
		showAll: a.showHosts, show: a.showHost,
	})
}

// lookBack is how many events are looked through for those of one thing, and shown how many of them.
const (
	lookBack  = 1000
	lookShown = 10
)

// showHosts shows all hosts, those that are not alive first.
func (a *app) showHosts(hosts []console.HostItem) {
	hosts = slices.Clone(hosts)
	slices.SortStableFunc(hosts, func(x, y console.HostItem) int { return healthy(x) - healthy(y) })
	t := table{head: []string{"HOST", "SITE", "STATE", "LAST BEAT", "LEASE", "PROOF", "WORKLOADS"}}
	words := map[console.HostWord]int{}
	for _, h := range hosts {
		words[h.Word]++
		t.add(cell{text: h.Name}, cell{text: orDash(h.Site)}, a.hostState(h), cell{text: age(h.AgeMs)}, leaseCell(h), cell{text: h.Proof},
			cell{text: placed(h.Workloads)})
	}
	t.write(a.out, a.style)
	a.say("%s", hostCount(len(hosts), words))
}

func healthy(h console.HostItem) int {
	if h.Word == console.HostAlive {
		return 1
	}
	return 0
}

func hostCount(n int, words map[console.HostWord]int) string {
	var parts []string
	for _, word := range []console.HostWord{
		console.HostAlive, console.HostSuspect, console.HostLost, console.HostFencing, console.HostFenced, console.HostExpired,
		console.HostConfirmed, console.HostSilent, console.HostReturning, console.HostUnseen, console.HostUnknown,
	} {
		if words[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", words[word], word))
		}
	}
	if n == 0 {
		return "no hosts: the inventory has none yet (holter apply -f FILE)"
	}
	return fmt.Sprintf("%d hosts: %s", n, strings.Join(parts, ", "))
}

// placed lists workloads, with the word of those that are not simply ready.
func placed(workloads []console.PlacedItem) string {
	var parts []string
	for _, w := range workloads {
		if w.Word == console.WorkloadReady {
			parts = append(parts, w.Name)
		} else {
			parts = append(parts, fmt.Sprintf("%s (%s)", w.Name, w.Word))
		}
	}
	return orDash(strings.Join(parts, " "))
}

// showHost shows one host and its last events.
func (a *app) showHost(h console.HostItem, events []console.EventItem) {
	c := a.hostState(h)
	a.printf("%s  %s\n\n", a.style.paint(roleBold, h.Name), a.style.paint(c.role, c.text))
	f := fields{a: a}
	f.add("site", orDash(h.Site))
	f.add("address", orDash(h.Address))
	f.add("labels", labels(h.Labels))
	f.add("heart", fmt.Sprintf("%s, last beat %s, lost after %s", h.Heart, ago(h.AgeMs), age(h.LostAfterMs)))
	if len(h.LostBy) > 0 {
		f.add("not heard by", strings.Join(h.LostBy, " "))
	}
	f.add("duty", h.Duty)
	f.add("proof", h.Proof)
	if h.Evidence != nil {
		f.add("evidence", evidence(h.Evidence))
	}
	f.add("host epoch", fmt.Sprintf("#%d since %s", h.Epoch, clockTime(h.Since)))
	f.add("agent", orDash(h.Version))
	a.addSafety(f, h)
	f.add("workloads", placed(h.Workloads))
	for _, what := range whatToDo(h) {
		f.add("what to do", what)
	}
	a.showEventsOf(h.Name, events)
}

// whatToDo says what a person can do about a lost host.
func whatToDo(h console.HostItem) []string {
	var list []string
	confirm := fmt.Sprintf("when you know that it is off: holter fence confirm %s --reason …", h.Name)
	switch h.Word {
	case console.HostLost, console.HostFencing:
		if len(h.Fence) > 0 && h.Fencing == nil {
			list = append(list, fmt.Sprintf("take its power away: holter fence %s --reason …", h.Name))
		}
		list = append(list, confirm)
	case console.HostExpired:
		if slices.ContainsFunc(h.Workloads, func(w console.PlacedItem) bool { return w.Word == console.WorkloadLost }) {
			list = append(list, confirm)
		}
	case console.HostFenced:
		list = append(list, "it stays off until you turn it on")
	case console.HostAlive, console.HostSuspect, console.HostSilent, console.HostConfirmed, console.HostReturning, console.HostUnseen,
		console.HostUnknown:
	}
	return list
}

func labels(m map[string]string) string {
	var parts []string
	for key, value := range m {
		parts = append(parts, key+"="+value)
	}
	slices.Sort(parts)
	return orDash(strings.Join(parts, " "))
}

// fields shows the facts of one thing.
type fields struct{ a *app }

func (f fields) add(name, text string) { f.a.printf(" %-13s %s\n", name, text) }

// showEventsOf shows the last events about one subject.
func (a *app) showEventsOf(subject string, events []console.EventItem) {
	var of []console.EventItem
	for _, e := range events {
		if e.Subject == subject {
			of = append(of, e)
		}
	}
	if len(of) == 0 {
		return
	}
	a.printf("\n%s\n", a.style.paint(roleBold, "LAST EVENTS"))
	for _, e := range of[max(0, len(of)-lookShown):] {
		a.printf("%s\n", a.eventLine(e.EventLine))
	}
}
