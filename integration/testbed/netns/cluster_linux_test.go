package netns_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/netns"
	"github.com/holter-ha/holter/integration/testbed/procs"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

const inventory = `apiVersion: holter/v1
kind: Inventory
cluster: {name: cut, heartbeat: {interval: 150ms, lost_after: 1500ms, lost_after_max: 1500ms}}
sites: {ams: {}, fra: {}}
hosts: {h1: {site: ams}, h2: {site: ams}, h3: {site: fra}}
workloads:
  db: {kind: command, unit: db, hosts: [h1, h2, h3]}
`

const (
	lostAfter = 1500 * time.Millisecond
	lostLimit = 20 * time.Second // not a promise: a busy machine has gaps, and lost_after stretches
	// upLimit bounds what must happen, but may take its time on a loaded machine.
	upLimit  = 30 * time.Second
	askLimit = 2 * time.Second
)

// programs is shared by all tests of this package.
var programs procs.Programs

func TestMain(m *testing.M) {
	code := m.Run()
	programs.Remove()
	os.Exit(code)
}

// words is the one word for each host, as some monitors say it.
func words(c *netns.Cluster, monitors ...string) map[string]console.HostWord {
	client := c.Client(monitors...)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	list, err := client.Hosts(ctx)
	if err != nil {
		return nil
	}
	all := map[string]console.HostWord{}
	for _, host := range list.Items {
		all[host.Name] = host.Word
	}
	return all
}

func leader(c *netns.Cluster, monitors ...string) string {
	client := c.Client(monitors...)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return ""
	}
	return status.Item.Leader
}

func allAre(word console.HostWord, hosts map[string]console.HostWord, names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return hosts[name] != word })
}

func started(t *testing.T, c *netns.Cluster) int {
	t.Helper()
	lines, err := record.Read(c.Record())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range lines {
		if l.What == record.Started {
			n++
		}
	}
	return n
}

// TestCuts is a day in the life of a cluster: it comes up, links are cut and heal, processes are stopped and killed, a host
// loses power.
func TestCuts(t *testing.T) {
	netns.Require(t)
	hosts := []string{"h1", "h2", "h3"}
	c := netns.Start(t, netns.Options{Programs: &programs, Monitors: []string{"m1", "m2", "m3"}, Hosts: hosts, Workloads: []string{"db"}})
	c.Until("a monitor leads", upLimit, func() bool { return leader(c) != "" })
	c.Apply(inventory)
	alive := func() bool { return allAre(console.HostAlive, words(c), hosts...) }
	t.Logf("all hosts alive after %v", c.Until("all hosts are alive", upLimit, alive))
	c.Must(0, "start", "--all")
	if n := started(t, c); n != 1 {
		t.Fatalf("the workload was started %d times, want once", n)
	}
	lost := func(host string) func() bool {
		return func() bool { return words(c)[host] == console.HostLost }
	}

	c.Cut("h2")
	t.Logf("cut: lost after %v", c.Until("a host whose link is cut is lost", lostLimit, lost("h2")))
	if got := words(c); !allAre(console.HostAlive, got, "h1", "h3") {
		t.Errorf("hosts after the cut of h2: %v", got)
	}
	c.Heal("h2")
	t.Logf("healed: alive after %v", c.Until("a host whose link has healed is alive", upLimit, alive))

	c.CutOneWay("h3", "m1", "m2", "m3")
	t.Logf("cut one way: lost after %v", c.Until("a host that is not heard is lost", lostLimit, lost("h3")))
	c.HealAll()
	t.Logf("healed: alive after %v", c.Until("it is alive again", upLimit, alive))

	cutMonitor := leader(c)
	others := slices.DeleteFunc([]string{"m1", "m2", "m3"}, func(name string) bool { return name == cutMonitor })
	c.Cut(cutMonitor)
	t.Logf("leading monitor cut: the others lead after %v", c.Until("the other monitors have a leader", upLimit, func() bool {
		now := leader(c, others...)
		return now != "" && now != cutMonitor
	}))
	c.Until("they hear all hosts", upLimit, func() bool { return allAre(console.HostAlive, words(c, others...), hosts...) })
	c.Must(0, "stop", "--all", "--server", c.Servers(others...))
	c.Must(0, "start", "--all", "--server", c.Servers(others...))
	c.Heal(cutMonitor)
	c.Until("the monitor that was cut hears them too", upLimit, func() bool { return allAre(console.HostAlive, words(c, cutMonitor), hosts...) })

	t.Run("faults of processes", func(t *testing.T) { faults(t, c, lost, alive) })
}

// faults stops, kills and crashes the parties of a cluster that is well.
func faults(t *testing.T, c *netns.Cluster, lost func(host string) func() bool, alive func() bool) {
	c.Signal("h1", syscall.SIGSTOP)
	c.Until("a stopped agent's host is lost", lostLimit, lost("h1"))
	c.Signal("h1", syscall.SIGCONT)
	c.Until("it is alive again", upLimit, alive)

	c.Signal("h2", syscall.SIGKILL)
	if c.Runs("h2") || c.Signal("h2", syscall.SIGCONT) {
		t.Error("a killed agent runs")
	}
	c.Until("a killed agent's host is lost", lostLimit, lost("h2"))
	c.Start("h2")
	c.Until("its host is alive again", upLimit, alive)

	isWorkload := func(p netns.Process) bool { return strings.HasSuffix(p.Args[0], "/workload") }
	hosts := slices.DeleteFunc([]string{"h1", "h2", "h3"}, func(host string) bool {
		return !slices.ContainsFunc(c.Processes(host), isWorkload)
	})
	if len(hosts) != 1 || c.SignalAll(hosts[0], syscall.SIGSTOP, isWorkload) != 1 {
		t.Fatalf("the workload runs on %v, want one host", hosts)
	}
	where := hosts[0]
	c.Crash(where)
	if left := c.Processes(where); c.Up(where) || c.Runs(where) || len(left) > 0 {
		t.Errorf("after a crash run %v", left)
	}
	c.Until("a crashed host is lost", lostLimit, lost(where))
	c.Boot(where)
	c.Until("it is alive again", upLimit, alive)
}

// TestGuardsAreServicesOfTheirOwn: a guard can be killed and started again beside its agent.
func TestGuardsAreServicesOfTheirOwn(t *testing.T) {
	netns.Require(t)
	c := netns.Start(t, netns.Options{Programs: &programs, Monitors: []string{"m1"}, Hosts: []string{"h1"}, Guards: true})
	if diff := cmp.Diff(c.Services(), []string{"m1", "h1/guard", "h1"}); diff != "" {
		t.Errorf("services (-got +want):\n%s", diff)
	}
	isGuard := func(p netns.Process) bool { return len(p.Args) > 1 && p.Args[1] == "guard" }
	guards := func() int { return c.SignalAll("h1", 0, isGuard) }
	c.Until("the guard runs", upLimit, func() bool { return guards() == 1 })
	if !c.Signal("h1/guard", syscall.SIGKILL) || c.Runs("h1/guard") || guards() != 0 {
		t.Error("the guard was killed and runs")
	}
	c.Start("h1/guard")
	c.Until("the guard runs again", upLimit, func() bool { return c.Runs("h1/guard") && guards() == 1 })
}
