package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
)

// findLimit is how long a step of a script waits for what it is to kill: the leader after an election, a workload's host.
const findLimit = 10 * time.Second

const keysLine = "[k] kill a host   [1-6] kill that one   [l] kill the leading monitor   [h] heal   [s] status   [q] quit   [?] keys"

// press obeys a key.
func (d *demo) press(ctx context.Context, key byte, ok bool) *verdict {
	if !ok {
		return &verdict{console.ExitOK, nil} // the terminal is gone
	}
	var err error
	switch key {
	case 'k':
		if name := d.victim(); name != "" {
			err = d.kill(name)
		} else {
			d.story.say("no host runs anything now: [h] heals")
		}
	case '1', '2', '3', '4', '5', '6':
		err = d.killByKey(hostNames[key-'1'])
	case 'l':
		if leader, known := d.leader(); known {
			err = d.kill(leader)
		} else {
			d.story.say("no monitor leads now")
		}
	case 'h':
		err = d.heal()
	case 's':
		d.story.say("")
		err = d.o.Status(ctx, d.place.servers())
	case 'q':
		return &verdict{console.ExitOK, nil}
	case '?':
		d.story.say("%s", keysLine)
		d.story.say("hosts: %s", numbered(hostNames))
	}
	if err != nil {
		return &verdict{console.ExitFailed, err}
	}
	return nil
}

func numbered(names []string) string {
	var words []string
	for i, name := range names {
		words = append(words, fmt.Sprintf("[%d] %s", i+1, name))
	}
	return strings.Join(words, "  ")
}

func (d *demo) killByKey(name string) error {
	if d.dead(name) {
		d.story.say("%s is dead already: [h] heals", name)
		return nil
	}
	return d.kill(name)
}

// dead says that a machine was killed and not started again.
func (d *demo) dead(name string) bool {
	f := d.fates[name]
	return f != nil && f.healed.IsZero()
}

// fresh says that the newest look is newer than everything that was killed or healed.
func (d *demo) fresh() bool { return d.looked.at.After(d.story.deed) }

// victim draws a living host that runs something.
func (d *demo) victim() string {
	var names []string
	for _, w := range d.looked.workloads {
		if w.Owner != "" && !d.dead(w.Owner) {
			names = append(names, w.Owner)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[rand.IntN(len(names))] //nolint:gosec // no secret
}

// leader is the leading monitor, if the newest look knows a living one.
func (d *demo) leader() (string, bool) {
	leader := d.looked.leader
	return leader, leader != "" && d.fresh() && !d.dead(leader)
}

// target finds what a step of a script is to kill.
func (d *demo) target(target string) (name string, ok bool) {
	workload, isWorkload := strings.CutPrefix(target, hostOf)
	switch {
	case target == targetLeader:
		return d.leader()
	case isWorkload:
		owner := d.looked.workloads[workload].Owner
		return owner, owner != "" && d.fresh() && !d.dead(owner)
	}
	return target, !d.dead(target)
}

// kill takes a machine down with all that runs on it.
func (d *demo) kill(name string) error {
	m, ok := d.place.machine(name)
	if !ok {
		return fmt.Errorf("there is no %s", name)
	}
	now := time.Now()
	if err := d.processes.kill(name); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	d.fates[name] = &fate{machine: m, killed: now}
	d.due = true
	what := "SIGKILL to a monitor"
	switch {
	case name == d.looked.leader:
		what = "SIGKILL to the leading monitor"
	case m.isHost():
		what = "SIGKILL to " + strings.Join(append([]string{"its agent", "its guard"}, d.runsOn(name)...), ", ")
	}
	d.story.tellDeed(now, "%s is killed: %s", name, what)
	if left := d.monitorsLeft(); !m.isHost() && left <= len(monitorNames)/2 {
		d.story.tell(now, markBad, "%d of %d monitors left, no majority: nothing fails over until one is healed", left, len(monitorNames))
	}
	return nil
}

// monitorsLeft counts the monitors that live.
func (d *demo) monitorsLeft() int {
	left := 0
	for _, name := range monitorNames {
		if !d.dead(name) {
			left++
		}
	}
	return left
}

// runsOn lists the workloads of a host.
func (d *demo) runsOn(host string) []string {
	var names []string
	for _, name := range workloadNames {
		if d.looked.workloads[name].Owner == host {
			names = append(names, name)
		}
	}
	return names
}

// heal starts what was killed, on what it had on its disk.
func (d *demo) heal() error {
	var names []string
	for name := range d.fates {
		if d.dead(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		d.story.say("nothing is dead")
		return nil
	}
	slices.Sort(names)
	now := time.Now()
	d.story.tellDeed(now, "healed: started again on the old disk: %s", strings.Join(names, ", "))
	var failed []error
	for _, name := range names {
		f := d.fates[name]
		f.healed = now
		failed = append(failed, d.processes.start(f.machine))
	}
	return errors.Join(failed...)
}
