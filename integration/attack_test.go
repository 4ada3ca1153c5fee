package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent"
	"github.com/holter-ha/holter/agent/guard/guardtest"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/planner"
)

// TestLostJournalIsNoEvidence loses an agent's journal, but not what runs on its host, while a run waits for evidence: an
// agent that remembers nothing has proven nothing, so nothing starts elsewhere. It is the successor of the one that joined,
// though, as its run directory says, so it is let in.
func TestLostJournalIsNoEvidence(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		c.powerOff("ams-1") // so that db runs where it is not preferred
		c.until("ams-1 is lost", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Revoking })
		h, _ := c.state().Hosts.Get("ams-1")
		c.propose(planner.HostExpired{Host: "ams-1", Epoch: h.Epoch, Revocation: h.Revocation, Evidence: planner.Confirmed}, "off")
		c.ended(2, planner.RunSucceeded)
		c.startAgent("ams-1")
		c.until("ams-1 is back", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Active })
		c.runsOn(map[string]string{"db": "fra-1"})

		c.stopAgent("fra-1") // db goes on
		c.until("fra-1 is lost", 20*time.Second, func() bool { return c.phase("fra-1") == planner.Revoking })
		if err := os.Remove(filepath.Join(c.dir, "fra-1", "journal.db")); err != nil {
			c.t.Fatal(err)
		}
		c.startAgent("fra-1")
		c.until("fra-1 has joined again", 20*time.Second, func() bool { return c.phase("fra-1") == planner.Active })
		time.Sleep(20 * time.Second)
		c.runsOn(map[string]string{"db": "fra-1"})
	})
}

// TestTwoAgentsOfOneName starts a second machine's agent under the name of a host that is alive, with a copy of its disk. It is
// not let in, an alarm names it, and the first goes on. When the first is lost, the second has to wait for the evidence.
func TestTwoAgentsOfOneName(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		pair, err := bus.DialPair(bus.Options{Name: "twin", InProcess: c.bus.Party("twin"), Logger: c.log})
		if err != nil {
			c.t.Fatal(err)
		}
		twin, err := agent.New(agent.Options{
			Host: "ams-1", Boot: [16]byte{9, 9}, Dir: filepath.Join(c.dir, "twin"), RunDir: filepath.Join(c.dir, "twin.run"),
			Kill: guardtest.Killer{Host: c.world.Driver("twin")}, Bus: pair, Boottime: c.boottime, Log: c.log,
			Version: "test", Drivers: map[string]actions.Driver{"memory": c.world.Driver("twin"), "command": c.world.Driver("twin")},
		})
		if err != nil {
			c.t.Fatal(err)
		}
		life := &agentParts{pair: pair}
		ctx, stop := context.WithCancel(context.Background())
		life.stop = stop
		life.running.Go(func() {
			if err := twin.Run(ctx); err != nil {
				c.t.Errorf("twin: %v", err)
			}
		})
		c.agents["twin"] = life
		before, _ := c.state().Hosts.Get("ams-1")
		time.Sleep(30 * time.Second)
		if after, _ := c.state().Hosts.Get("ams-1"); after.Inc != before.Inc || after.Phase != planner.Active {
			c.t.Errorf("ams-1: incarnation %x is %s, want %x active", after.Inc, after.Phase, before.Inc)
		}
		picture, err := c.monitors[c.leader()].monitor.Picture(c.t.Context())
		if err != nil || picture.Hosts["ams-1"].Twin == "" {
			c.t.Errorf("nobody says that there is a second ams-1 (%v)", err)
		}
		c.runsOn(map[string]string{"db": "ams-1"})

		c.powerOff("ams-1")
		c.until("db runs elsewhere", time.Minute, func() bool { return len(c.world.Running()["db"]) == 1 })
		c.until("the second ams-1 has joined", time.Minute, func() bool { return c.phase("ams-1") == planner.Active })
		if host, _ := c.state().Hosts.Get("ams-1"); host.Inc == before.Inc {
			c.t.Errorf("the first ams-1 is back from the dead")
		}
		if overlaps := c.world.Overlaps(); len(overlaps) > 0 {
			c.t.Errorf("ran twice: %v\n%s", overlaps, c.story())
		}
	})
}

// TestMonitorsJudgeAgainAfterALongSilenceOfTheBus takes the bus away from all monitors for longer than their canaries are
// remembered, as a restart of a user's NATS does, and gives it back: a host that then dies is lost.
func TestMonitorsJudgeAgainAfterALongSilenceOfTheBus(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		for _, name := range monitorNames {
			c.bus.Party(name).Cut()
		}
		time.Sleep(30 * time.Second)
		for _, name := range monitorNames {
			c.bus.Party(name).Heal()
		}
		time.Sleep(30 * time.Second)
		for _, name := range monitorNames {
			picture, err := c.monitors[name].monitor.Picture(c.t.Context())
			if err != nil {
				c.t.Fatal(err)
			}
			for _, m := range picture.Monitors {
				if m.Name == name && !m.Able {
					c.t.Errorf("%s cannot judge 30 s after its bus is back: %s", name, m.Why)
				}
			}
		}
		c.powerOff("ams-1")
		c.until("ams-1 is lost", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Revoking })
	})
}

// TestStartOnAHostThatIsAllowedNoMoreEnds retries a start that may have happened on a host which the inventory allows no
// more: it cannot begin anywhere, says so, and is given up in time.
func TestStartOnAHostThatIsAllowedNoMoreEnds(t *testing.T) {
	const inventory = `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop}
sites: {ams: {}, fra: {}}
hosts: {ams-1: {site: ams}, ams-2: {site: ams}, fra-1: {site: fra}, fra-2: {site: fra}}
workloads:
  db: {kind: memory, unit: db, hosts: [ams-1, fra-1], ready: {when: command, command: is-up, timeout: 5s}}
`
	inBubble(t, shopHosts, func(c *cluster) {
		c.apply(map[string]string{"shop.yaml": inventory})
		c.world.Script("ams-1", "is-up", memory.Script{Run: memory.Behaviour{Fail: 1_000_000}})
		run, err := planner.NewStart(c.state(), planner.Request{All: true})
		if err != nil {
			c.t.Fatal(err)
		}
		c.propose(run, "")
		c.until("the start is given up", 5*time.Minute, func() bool { return c.state().Run(1).State == planner.RunPaused })
		elsewhere := strings.Replace(inventory, "[ams-1, fra-1]", "[fra-1]", 1)
		c.propose(planner.FilesApplied{Base: c.state().Revision, Set: c.decode(elsewhere)}, "")
		c.propose(planner.StepRetried{Run: 1, Step: "start/db"}, "")
		c.until("the retry is given up", 5*time.Minute, func() bool { return c.state().Run(1).State == planner.RunPaused })
		if st := c.state().Run(1).Step("start/db"); !strings.Contains(st.Reason, "does not allow it any more") {
			c.t.Errorf("start/db: got %q, want it to say that ams-1 is not allowed any more", st.Reason)
		}
		c.happened(memory.Starting, "db", 1)
	})
}
