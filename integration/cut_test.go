package integration

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/planner"
)

// phase is a host's phase in the newest state.
func (c *cluster) phase(host string) planner.Phase {
	h, _ := c.state().Hosts.Get(host)
	return h.Phase
}

// TestCutHostComesBack cuts a host's network for longer than lost_after: it is lost, the run waits for evidence, and when
// the host is heard again all is taken back. Nothing was moved.
func TestCutHostComesBack(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		c.bus.Party("ams-1").Cut()
		c.until("ams-1 is lost", 10*time.Second, func() bool { return c.phase("ams-1") == planner.Revoking })
		time.Sleep(5 * time.Second)
		c.bus.Party("ams-1").Heal()
		c.until("ams-1 is back", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Active })
		c.ended(2, planner.RunSucceeded)
		c.happened(memory.Starting, "db", 1)
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
	})
}

// TestCutHostThatWasReplacedStopsWhatItRuns confirms a cut host by mistake. It comes back and stops what it runs without
// authority. Without leases the workload ran twice meanwhile: that is what a person answered for.
func TestCutHostThatWasReplacedStopsWhatItRuns(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		c.bus.Party("ams-1").Cut()
		c.until("ams-1 is lost", 10*time.Second, func() bool { return c.phase("ams-1") == planner.Revoking })
		h, _ := c.state().Hosts.Get("ams-1")
		c.propose(planner.HostExpired{Host: "ams-1", Epoch: h.Epoch, Revocation: h.Revocation, Evidence: planner.Confirmed}, "I believe it is off")
		c.ended(2, planner.RunSucceeded)
		c.bus.Party("ams-1").Heal()
		c.until("ams-1 has joined again and stopped its db", 30*time.Second, func() bool {
			on := c.world.Running()["db"]
			return c.phase("ams-1") == planner.Active && len(on) == 1 && on[0] == "fra-1"
		})
	})
}

// TestSilenceOfEverythingStartsNothing cuts all hosts at once: that is our own hearing.
func TestSilenceOfEverythingStartsNothing(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		for _, host := range shopHosts {
			c.bus.Party(host).Cut()
		}
		time.Sleep(time.Minute)
		for _, host := range shopHosts {
			if got := c.phase(host); got != planner.Active {
				c.t.Errorf("%s: got %s, want active", host, got)
			}
		}
		if c.state().LastRun != 1 {
			c.t.Errorf("a run was started\n%s", c.story())
		}
	})
}

// TestMonitorWithoutQuorumStartsNothing leaves one monitor of three: it accepts nothing and starts nothing, even when a host
// dies, and the hosts stop what is exclusive when their leases end. When the others are back, everything starts again.
func TestMonitorWithoutQuorumStartsNothing(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		c.killMonitor("m1")
		c.killMonitor("m2")
		time.Sleep(5 * time.Second)
		c.powerOff("ams-1")
		ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.monitors["m3"].monitor.Propose(ctx, planner.Entry{By: "operator", Event: planner.PlanDisarmed{Plan: "restart-elsewhere"}})
		if !errors.Is(err, planner.ErrNotLeader) {
			c.t.Errorf("without quorum: got %v, want %v", err, planner.ErrNotLeader)
		}
		time.Sleep(time.Minute)
		if got := c.world.Running(); len(got) != 0 {
			c.t.Errorf("without quorum these run: %v", got)
		}
		c.restartMonitor("m1")
		c.restartMonitor("m2")
		want := map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"}
		c.until("everything runs again", time.Minute, func() bool {
			got := c.world.Running()
			return len(got["db"]) == 1 && len(got["api"]) == 1 && len(got["web"]) == 1
		})
		c.runsOn(want)
	})
}

// TestOneMonitorCutOffJudgesNobody cuts one monitor off the bus, the leader for a start: no host is lost by that.
func TestOneMonitorCutOffJudgesNobody(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		leader := c.leader()
		c.bus.Party(leader).Cut()
		time.Sleep(30 * time.Second)
		c.bus.Party(leader).Heal()
		time.Sleep(10 * time.Second)
		for _, host := range shopHosts {
			if got := c.phase(host); got != planner.Active {
				c.t.Errorf("%s: got %s, want active\n%s", host, got, c.story())
			}
		}
	})
}

// TestTargetDiesDuringTheRun lets the host that takes over die while it starts the workload: the step is placed anew once
// there is evidence.
func TestTargetDiesDuringTheRun(t *testing.T) {
	inventory := map[string]string{"shop.yaml": `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop}
sites: {ams: {}, fra: {}}
hosts: {ams-1: {site: ams, self_fence: guard}, ams-2: {site: ams}, fra-1: {site: fra, self_fence: guard}, fra-2: {site: fra}}
workloads:
  db: {kind: memory, unit: db, hosts: [ams-1, fra-1, fra-2]}
`, "plan.yaml": restartElsewhere}
	inBubble(t, shopHosts, func(c *cluster) {
		c.apply(inventory)
		c.propose(planner.PlanArmed{Plan: "restart-elsewhere"}, "")
		c.start(planner.Request{All: true})
		c.slow()
		c.powerOff("ams-1")
		c.until("db starts on fra-1", time.Minute, func() bool { return len(c.world.Running()["db"]) == 1 })
		c.powerOff("fra-1")
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-2"})
	})
}
