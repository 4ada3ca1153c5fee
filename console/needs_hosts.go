package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// maxAlike is how many hosts are named one by one in the same need.
const maxAlike = 3

// leaseSlack is how long after its lease a lost host's evidence may take to be in the log.
const leaseSlack = 5 * time.Second

// needsOfHosts names what is wrong with hosts now, what would go wrong on the bad day, and the hosts that beat and are in no
// inventory.
func needsOfHosts(look Look) []Need {
	var list, quiet, unprotected []Need
	for _, host := range hostItems(look) {
		if need, lost := needOfLost(look, host); lost && need.Command == "" && need.Level == LevelWarning {
			quiet = append(quiet, need)
		} else if lost {
			list = append(list, need)
		}
		list = append(list, needsOfSafety(host)...)
		if waiting := waitingOnPerson(host); len(waiting) > 0 {
			unprotected = append(unprotected, Need{
				Level: LevelWarning, About: host.Name, Command: "holter hosts " + host.Name,
				Text: fmt.Sprintf("when %s is lost, %s will wait for a person: it has no fence device and does not fence itself",
					host.Name, strings.Join(waiting, " ")),
			})
		}
	}
	list = append(list, alike(quiet, "%d more hosts are lost, and nothing waits for a person")...)
	list = append(list, alike(unprotected, "and %d more hosts whose workloads will wait for a person when they are lost")...)
	for _, name := range look.Picture.Strangers {
		list = append(list, Need{Level: LevelWarning, About: name, Text: name + " beats and is in no inventory", Command: "holter apply -f INVENTORY"})
	}
	return list
}

// alike cuts a list of needs of the same kind: the rest is counted.
func alike(needs []Need, format string) []Need {
	if len(needs) <= maxAlike {
		return needs
	}
	more := Need{Level: LevelWarning, About: "hosts", Text: fmt.Sprintf(format, len(needs)-maxAlike), Command: "holter hosts"}
	return append(needs[:maxAlike:maxAlike], more)
}

// needOfLost says of a lost host what waits for it, and for what.
func needOfLost(look Look, host HostItem) (Need, bool) {
	waiting := waitingOn(host)
	need := Need{Level: LevelWarning, About: host.Name}
	since := clock(host.Since.Time)
	switch host.Word {
	case HostLost, HostFencing:
	case HostExpired:
		if len(waiting) > 0 {
			need.Level, need.Command = LevelCritical, fenceCommand(host)
			need.Text = fmt.Sprintf("the lease of %s is over since %s, and %s does not take that for proof: %s until the host is seen off, or a person confirms that it is off",
				host.Name, since, strings.Join(waiting, " "), theyWait(len(waiting)))
			return need, true
		}
		need.Text = fmt.Sprintf("%s is lost, and its lease is over since %s: it runs nothing exclusive any more", host.Name, since)
		if failed(host.Fencing) {
			need.Command = "holter hosts " + host.Name
			need.Text += "; " + fencingFailed(host.Fencing)
		}
		return need, true
	case HostFenced:
		need.Text = fmt.Sprintf("%s is off since %s (%s): it stays off until you turn it on", host.Name, since, host.Evidence.Reason)
		return need, true
	case HostAlive, HostSuspect, HostSilent, HostConfirmed, HostReturning, HostUnseen, HostUnknown:
		return need, false
	}
	if len(waiting) == 0 {
		need.Text = fmt.Sprintf("%s is lost since %s and runs nothing of Holter's", host.Name, since)
		return need, true
	}
	comes, person := comesBy(look, host)
	need.Text = fmt.Sprintf("%s is lost since %s and nobody knows whether it still runs %s: %s %s",
		host.Name, since, strings.Join(waiting, " "), theyWait(len(waiting)), comes)
	if host.Anew != "" {
		need.Text += "; an agent that was started anew there, or a second machine of this name, is let in then, too"
	}
	if failed(host.Fencing) {
		need.Text += "; " + fencingFailed(host.Fencing)
	}
	if person || failed(host.Fencing) {
		need.Level = LevelCritical
	}
	if !host.Damped.IsZero() {
		need.Text += fmt.Sprintf("; no plan starts by itself for it before %s, as it is lost again and again", clock(host.Damped.Time))
	}
	switch {
	case person:
		need.Command = fmt.Sprintf("holter fence confirm %s --reason …", host.Name)
	case need.Level == LevelCritical:
		need.Command = "holter hosts " + host.Name
	}
	return need, true
}

// comesBy says where the evidence of a lost host comes from, and whether only a person can bring it.
func comesBy(look Look, host HostItem) (text string, person bool) {
	fences := host.Lease.TakeoverMs > 0
	overdue := fences && look.Now.After(host.Lease.OverBy.Add(leaseSlack))
	switch {
	case host.Word == HostFencing:
		return fmt.Sprintf("for attempt %d by %s to fence it", host.Fencing.Attempt, host.Fencing.Monitor), false
	case overdue:
		return fmt.Sprintf("until it returns, or a person confirms that it is off: its lease was to be over by %s, but too few monitors can say so",
			clock(host.Lease.OverBy.Time)), true
	case fences:
		return "until its lease is over, by " + clock(host.Lease.OverBy.Time), false
	}
	return "until it returns, or a person confirms that it is off", true
}

// fenceCommand is what a person types to bring the evidence that a host is off.
func fenceCommand(host HostItem) string {
	if len(host.Fence) > 0 && !failed(host.Fencing) {
		return fmt.Sprintf("holter fence %s --reason …", host.Name)
	}
	return fmt.Sprintf("holter fence confirm %s --reason …", host.Name)
}

func failed(f *FencingItem) bool {
	return f != nil && f.Outcome != "" && f.Outcome != string(wire.Done)
}

func fencingFailed(f *FencingItem) string {
	if f.Outcome == string(wire.Unknown) {
		return fmt.Sprintf("nobody knows what came of attempt %d by %s to fence it: %s", f.Attempt, f.Monitor, f.Reason)
	}
	return fmt.Sprintf("attempt %d by %s to fence it failed: %s", f.Attempt, f.Monitor, f.Reason)
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

// needsOfSafety names what is wrong with a host's safety: a second agent of its name, a fence device that failed its test, a
// quarantine, and a lease that it cannot hold.
func needsOfSafety(host HostItem) []Need {
	var list []Need
	need := func(level Level, command, format string, args ...any) {
		list = append(list, Need{Level: level, About: host.Name, Text: fmt.Sprintf(format, args...), Command: command})
	}
	look := "holter hosts " + host.Name
	if host.Twin != "" {
		need(LevelCritical, look, "a second agent says that it is %s (incarnation %s): it gets nothing as long as the first is there; turn one of them off, or give it another name",
			host.Name, host.Twin)
	}
	for _, device := range host.Fence {
		if !device.OK && !device.Tested.IsZero() {
			need(LevelWarning, look, "fence device %s of %s failed its test at %s: %s", device.Name, host.Name, clock(device.Tested.Time), device.Reason)
		}
	}
	if !host.Quarantine.IsZero() {
		need(LevelWarning, "holter host release "+host.Name+" --reason …", "%s takes no workloads until %s: it is quarantined, for it was lost too often",
			host.Name, clock(host.Quarantine.Time))
	}
	if host.Word == HostAlive && !host.Lease.Held && host.Lease.Why != "" {
		need(LevelWarning, look, "nothing can be started on %s, it holds no lease: %s", host.Name, host.Lease.Why)
	}
	return list
}

// waitingOnPerson lists the exclusive workloads of a living host that only a person's word could free.
func waitingOnPerson(host HostItem) []string {
	if host.Word != HostAlive || host.Lease.SelfFence != string(lease.None) || len(host.Fence) > 0 {
		return nil
	}
	var names []string
	for _, w := range host.Workloads {
		if w.Exclusive && !slices.Contains(names, w.Name) {
			names = append(names, w.Name)
		}
	}
	return names
}

// needsOfPlans names the armed plans that hold because too many hosts were lost together.
func needsOfPlans(look Look) []Need {
	var list []Need
	for name, plan := range look.State.Plans.All() {
		lost, limit, held := look.State.MassLoss(plan.Plan)
		if !held || !plan.Armed || inRun(look.State, name) {
			continue
		}
		list = append(list, Need{
			Level: LevelCritical, About: name,
			Text: fmt.Sprintf("%s holds: %d hosts were lost together (%s), and it starts by itself for %d at most",
				name, len(lost), strings.Join(lost, " "), limit),
			Command: fmt.Sprintf("holter run start %s --host %s", name, strings.Join(lost, ",")),
		})
	}
	return list
}

// inRun says that a run of a plan is open.
func inRun(s *planner.State, plan string) bool {
	for _, run := range s.Runs.All() {
		if run.Open() && run.Plan == plan {
			return true
		}
	}
	return false
}
