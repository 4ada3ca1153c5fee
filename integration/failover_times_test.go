//go:build linux

package integration

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

var failoverTimes = flag.Int("times", 0, "measure each class of failover so often (make times: 10)")

const timesInventory = `apiVersion: holter/v1
kind: Inventory
cluster: {name: times, lease: {profile: %s}}
sites: {ams: {}}
hosts:
%sworkloads:
  db: {kind: command, unit: db, hosts: [%s], exclusive: %t}
`

const restartAtOnce = `apiVersion: holter/v1
kind: Plan
name: restart-elsewhere
trigger: [{host_lost: any}]
steps:
  - start: {workloads: {lost_with: trigger.hosts}}
`

// TestFailoverTimes measures: from SIGKILL of a host until its workload has started elsewhere, by class, and from SIGKILL of
// the leading monitor until the next step of a run has begun. The times decide nothing.
func TestFailoverTimes(t *testing.T) {
	if *failoverTimes == 0 {
		t.Skip("left out: measure with -times 10, or make times")
	}
	rows := []string{"| what | median | max |", "|---|---:|---:|"}
	for _, c := range []struct {
		name, what, profile string
		fenced, exclusive   bool
	}{
		{"fenced", "`fenced` (`fence_ipmilan`, one device)", "normal", true, true},
		{"normal", "`lease-expired`, guard, profile `normal`", "normal", false, true},
		{"fast", "`lease-expired`, guard, profile `fast`", "fast", false, true},
		{"free", "not exclusive", "normal", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows = append(rows, row("SIGKILL of a host → started elsewhere, "+c.what, measureHosts(t, c.profile, c.fenced, c.exclusive)))
		})
	}
	t.Run("leader", func(t *testing.T) {
		rows = append(rows, row("SIGKILL of the leading monitor → the next start of a running run", measureLeader(t)))
	})
	t.Log("\n" + strings.Join(rows, "\n"))
}

func row(what string, took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("| %s | %.2f s | %.2f s |", what, took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
}

// measureHosts kills one host after the other. None is killed twice, so that nothing is damped.
func measureHosts(t *testing.T, profile string, fenced, exclusive bool) (took []time.Duration) {
	p := newProcesses(t)
	var hosts []string
	var powers []*power
	var lines strings.Builder
	for i := range *failoverTimes + 1 {
		host := fmt.Sprintf("ams-%d", i+1)
		hosts = append(hosts, host)
		device := ""
		if fenced {
			w := &power{p: p, host: host}
			powers = append(powers, w)
			bmc := testbed.StartBMC(t, testbed.Power{On: w.On, Set: w.Set})
			device = ", fence: [" + p.device("bmc", bmc) + "]"
		}
		fmt.Fprintf(&lines, "  %s: {site: ams, self_fence: guard%s}\n", host, device)
	}
	if !exclusive { // it waits for no evidence
		p.plan = restartAtOnce
	}
	p.plan = strings.Replace(p.plan, "steps:", "guard: {max_lost: 10} # they are killed one after another, which is no mass loss\nsteps:", 1)
	p.begin(hosts, fmt.Sprintf(timesInventory, profile, lines.String(), strings.Join(hosts, ", "), exclusive))
	for _, w := range powers {
		w.turnedOn()
	}
	p.must(0, "start", "db")
	for i, host := range hosts[:*failoverTimes] {
		killed := record.Now()
		p.killHost(host)
		p.until("db runs on "+hosts[i+1], func() bool { return p.lives("db", hosts[i+1]) })
		took = append(took, p.lastStart()-killed)
		p.until("the run has ended", func() bool {
			runs, err := p.client().Runs(t.Context())
			return err == nil && !slices.ContainsFunc(runs.Items, console.RunItem.Open)
		})
	}
	return took
}

// measureLeader kills the leading monitor in the middle of a start of one thing after another.
func measureLeader(t *testing.T) (took []time.Duration) {
	p := newProcesses(t)
	p.units = nil
	var text strings.Builder
	text.WriteString("apiVersion: holter/v1\nkind: Inventory\ncluster: {name: times}\nsites: {ams: {}}\nhosts: {ams-1: {site: ams}}\nworkloads:\n")
	for i := range 3 * *failoverTimes {
		p.units = append(p.units, fmt.Sprintf("w%02d", i))
		after := ""
		if i > 0 {
			after = fmt.Sprintf(", after: [w%02d]", i-1)
		}
		fmt.Fprintf(&text, "  w%02[1]d: {kind: command, unit: w%02[1]d, hosts: [ams-1]%[2]s, ready: {when: active, settle: 200ms}}\n", i, after)
	}
	p.startAll([]string{"ams-1"})
	inventory := filepath.Join(p.dir, "inventory.yaml")
	p.writeFile(inventory, text.String())
	p.must(0, "apply", "-f", inventory)
	p.until("ams-1 has joined", func() bool { return p.alive() == 1 })
	p.must(0, "start", "--all", "--no-wait")
	for range *failoverTimes {
		p.until("all monitors are there", func() bool { return p.monitors() == len(monitorNames) })
		n := len(p.lines())
		p.until("the next has started", func() bool { return len(p.lines()) > n })
		leader, n := p.waitLeader(), len(p.lines())
		killed := record.Now()
		p.kill(leader)
		p.until("the next has started", func() bool { return len(p.lines()) > n })
		took = append(took, p.lastStart()-killed)
		p.start(leader)
	}
	return took
}

// monitors counts the monitors that answer.
func (p *processes) monitors() int {
	status, err := p.client().Status(p.t.Context())
	if err != nil {
		return 0
	}
	n := 0
	for _, m := range status.Item.Monitors {
		if m.Answers {
			n++
		}
	}
	return n
}

// lastStart is when something was started last.
func (p *processes) lastStart() time.Duration {
	p.t.Helper()
	lines := p.lines()
	for _, line := range slices.Backward(lines) {
		if line.What == record.Started {
			return line.At
		}
	}
	p.t.Fatal("nothing was started")
	return 0
}
