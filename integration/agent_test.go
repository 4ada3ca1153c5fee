package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// TestAgentRestartsBetweenBegunAndEnded ends the agent while a start is under way and starts it again: the start is not
// done twice, and the run ends well.
func TestAgentRestartsBetweenBegunAndEnded(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		c.apply(map[string]string{"shop.yaml": shop})
		c.world.Script("ams-1", "db", memory.Script{Start: memory.Behaviour{Takes: 3 * time.Second}})
		run, err := planner.NewStart(c.state(), planner.Request{All: true})
		if err != nil {
			c.t.Fatal(err)
		}
		c.propose(run, "")
		c.until("db is starting", 10*time.Second, func() bool { return len(c.world.Running()["db"]) == 1 })
		c.stopAgent("ams-1")
		c.startAgent("ams-1")
		c.ended(1, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
		c.happened(memory.Starting, "db", 1)
	})
}

// TestAgentRestartIsNoOutage restarts an agent, as an upgrade does: its workloads go on under their tokens.
func TestAgentRestartIsNoOutage(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		before, _ := c.state().Workloads.Get("db")
		epoch, _ := c.state().Hosts.Get("ams-1")
		c.stopAgent("ams-1")
		c.startAgent("ams-1")
		c.until("ams-1 has joined anew", 10*time.Second, func() bool {
			h, _ := c.state().Hosts.Get("ams-1")
			return h.Epoch > epoch.Epoch && h.Phase == planner.Active
		})
		time.Sleep(10 * time.Second)
		after, _ := c.state().Workloads.Get("db")
		if after.Owner != "ams-1" || after.Token != before.Token {
			c.t.Errorf("db: got %+v, want the owner and token of %+v", after, before)
		}
		c.happened(memory.Starting, "db", 1)
		c.happened(memory.Stopped, "db", 0)
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
	})
}

// TestRebootStartsAgainWhatRanThere takes a host's power for a moment, too short for it to be lost.
func TestRebootStartsAgainWhatRanThere(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		c.powerOff("ams-2")
		c.startAgent("ams-2")
		c.until("api and web were started again", 30*time.Second, func() bool {
			run := c.state().Run(2)
			return run != nil && !run.Open()
		})
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
		if run := c.state().Run(2); run.Kind != planner.RunHomeless || run.State != planner.RunSucceeded {
			c.t.Errorf("run: got kind %s state %s, want a homeless run that succeeded", run.Kind, run.State)
		}
	})
}

// TestDuplicateAndLateCommands sends an agent copies of a command that it has done, an older one, and one whose time is over.
func TestDuplicateAndLateCommands(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		host, _ := c.state().Hosts.Get("ams-1")
		w, _ := c.state().Workloads.Get("db")
		stop := wire.Command{
			Host: "ams-1", Inc: host.Inc, Epoch: host.Epoch, Within: time.Minute, NotAfter: c.boottime() + time.Hour,
			Action: actions.Action{Verb: actions.Stop, Target: actions.Target{Workload: "db", Kind: "memory", Unit: "db"}},
			Ladder: []actions.Rung{{Limit: time.Minute}},
		}
		start := stop
		start.ID, start.Token, start.Action.Verb, start.Ladder = "R-0001/start/db/1", w.Token, actions.Start, nil
		older, late, stranger := stop, stop, stop
		older.ID, older.Token = "R-0001/old/db/1", w.Token-1
		late.ID, late.Token, late.NotAfter = "R-0009/late/db/1", w.Token+100, c.boottime()-time.Second
		stranger.ID, stranger.Token, stranger.Inc = "R-0009/stranger/db/1", w.Token+200, host.Inc+1
		conn := c.monitors["m1"].conn
		for _, command := range []wire.Command{start, start, older, late, stranger} {
			data, err := wire.Marshal(command)
			if err != nil {
				c.t.Fatal(err)
			}
			for range 3 {
				if err := conn.Publish(wire.CommandSubject("ams-1"), data); err != nil {
					c.t.Fatal(err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		c.happened(memory.Starting, "db", 1)
		c.happened(memory.Stopped, "db", 0)
	})
}

// TestFirstInstallationChangesNothing applies an inventory over workloads that run already: they are adopted, not touched.
// What runs on two hosts is left alone and adopted by nobody.
func TestFirstInstallationChangesNothing(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		for host, units := range map[string][]string{"fra-1": {"db"}, "ams-2": {"api", "web"}, "fra-2": {"web"}} {
			for _, unit := range units {
				start := actions.Action{Verb: actions.Start, Target: actions.Target{Workload: unit, Kind: "memory", Unit: unit}}
				if err := c.world.Driver(host).Do(c.t.Context(), start); err != nil {
					c.t.Fatal(err)
				}
			}
		}
		before := len(c.world.Record())
		c.apply(map[string]string{"shop.yaml": shop, "plan.yaml": restartElsewhere})
		c.until("db and api are adopted", 20*time.Second, func() bool {
			db, _ := c.state().Workloads.Get("db")
			api, _ := c.state().Workloads.Get("api")
			return db.Owner == "fra-1" && api.Owner == "ams-2"
		})
		time.Sleep(time.Minute)
		if web, _ := c.state().Workloads.Get("web"); web.Owner != "" {
			c.t.Errorf("web runs on two hosts and was given to %s", web.Owner)
		}
		if got := len(c.world.Record()); got != before {
			c.t.Errorf("the installation did something: %v", c.world.Record()[before:])
		}
	})
}

// happened checks how often something happened to a unit, by the world's own record.
func (c *cluster) happened(what memory.What, unit string, want int) {
	c.t.Helper()
	got := 0
	for _, e := range c.world.Record() {
		if e.What == what && e.Unit == unit {
			got++
		}
	}
	if got != want {
		c.t.Errorf("%s %s: got %d times, want %d\n%s", what, unit, got, want, c.story())
	}
}

// TestCrashedWorkloadIsStartedAgainByHand kills a workload while its agent lives: it keeps its owner, and a person's start
// starts it there again.
func TestCrashedWorkloadIsStartedAgainByHand(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		handles, err := c.world.Driver("ams-1").Handles(c.t.Context(), actions.Target{Workload: "db", Kind: "memory", Unit: "db"})
		if err != nil || len(handles) != 1 {
			c.t.Fatalf("handles of db: %v %v", handles, err)
		}
		if err := c.world.Kill(handles[0]); err != nil {
			c.t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if db, _ := c.state().Workloads.Get("db"); db.Owner != "ams-1" {
			c.t.Errorf("db: got owner %q, want ams-1", db.Owner)
		}
		c.start(planner.Request{Workloads: []string{"db"}, Down: []string{"db"}})
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
		c.happened(memory.Starting, "db", 2)
	})
}

// TestHostLeavesTheInventoryAndReturns takes a host out of the inventory and puts it back: its agent, which never stopped,
// is taken in again.
func TestHostLeavesTheInventoryAndReturns(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		smaller := strings.NewReplacer("  fra-2: {site: fra}\n", "", ", fra-2]", "]").Replace(shop)
		c.propose(planner.FilesApplied{Base: c.state().Revision, Set: c.decode(smaller)}, "")
		time.Sleep(5 * time.Second)
		if got := c.phase("fra-2"); got != "" {
			c.t.Fatalf("fra-2: got %s, want it to be out of the inventory", got)
		}
		c.propose(planner.FilesApplied{Base: c.state().Revision, Set: c.decode(shop)}, "")
		c.until("fra-2 has joined again", 20*time.Second, func() bool { return c.phase("fra-2") == planner.Active })
	})
}
