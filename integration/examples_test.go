package integration

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// exampleHosts are the hosts of the example inventory.
var exampleHosts = []string{"ams-app-01", "ams-app-02", "ams-db-01", "fra-app-01", "fra-app-02", "fra-db-01"}

// openExamples applies the example files and starts everything. Sockets do not work in a bubble, so every workload is
// ready as soon as it runs.
func openExamples(c *cluster) {
	c.t.Helper()
	var files []plans.File
	err := fs.WalkDir(plans.Examples(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(plans.Examples(), path)
		files = append(files, plans.File{Name: path, Text: text})
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	set, err := plans.Decode(files, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, w := range set.Inventory.Workloads {
		w.Ready = actions.Ready{When: actions.ReadyActive, Timeout: w.Ready.Timeout}
		set.Inventory.Workloads[name] = w
	}
	c.propose(planner.FilesApplied{Set: *set}, "")
	c.until("all agents have joined", 20*time.Second, func() bool {
		return !slices.ContainsFunc(exampleHosts, func(host string) bool { return c.phase(host) != planner.Active })
	})
	c.start(planner.Request{All: true})
}

// TestExampleMovesTheSite runs the example of a planned move by hand. The announcement fails at first and is tried again.
func TestExampleMovesTheSite(t *testing.T) {
	inBubble(t, exampleHosts, func(c *cluster) {
		openExamples(c)
		c.world.Script("fra-app-01", "announce", memory.Script{Run: memory.Behaviour{Fail: 1}})
		before := time.Now().Add(-time.Millisecond)
		run, err := planner.NewPlanRun(c.state(), "site-move", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.propose(run, "")
		ended := c.ended(2, planner.RunSucceeded)
		if st := ended.Step("announce"); st.Attempt != 2 {
			c.t.Errorf("announce: got %d attempts, want 2", st.Attempt)
		}
		for unit, hosts := range c.world.Running() {
			if len(hosts) != 1 || !strings.HasPrefix(hosts[0], "fra-") {
				c.t.Errorf("%s runs on %v, want one host in fra", unit, hosts)
			}
		}
		want := []string{
			"stopped shop-front", "stopped shop-web", "stopped shop-api", "stopped shop-db", "ran announce", "ran announce",
			"started shop-db", "started shop-api", "started shop-web", "started shop-front",
		}
		if got := c.order(before); !slices.Equal(got, want) {
			c.t.Errorf("order: got %q, want %q\n%s", got, want, c.story())
		}
	})
}

// TestExampleRestartsElsewhere arms the example that protects everything and takes the database's host away.
func TestExampleRestartsElsewhere(t *testing.T) {
	inBubble(t, exampleHosts, func(c *cluster) {
		openExamples(c)
		c.propose(planner.PlanArmed{Plan: "restart-elsewhere"}, "")
		c.powerOff("ams-db-01")
		c.until("a run has begun", time.Minute, func() bool { return c.state().LastRun == 2 })
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"shop-db": "fra-db-01"})
	})
}
