package integration

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/monitor"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// worldFencer is a monitor's way to the power of the hosts of a bubble. Devices named broken do not answer.
type worldFencer struct {
	c       *cluster
	monitor string
}

var _ monitor.Fencer = worldFencer{}

// Off implements monitor.Fencer, level by level, as the fence agents do.
func (f worldFencer) Off(ctx context.Context, host string, levels []plans.FenceLevel, may func(context.Context) error) (string, error) {
	for _, level := range levels {
		time.Sleep(500 * time.Millisecond)
		device := level.Devices[0].Name
		if f.Test(ctx, level.Devices[0]) != nil {
			continue
		}
		if err := may(ctx); err != nil {
			return "", err
		}
		f.c.fenced = append(f.c.fenced, f.monitor+" "+host)
		f.c.powerOff(host)
		return device, nil
	}
	return "", errors.New("no device answers")
}

// Test implements monitor.Fencer.
func (f worldFencer) Test(_ context.Context, device plans.FenceDevice) error {
	if device.Name == "broken" || device.Name == "far-from-"+f.monitor {
		return errors.New("no answer")
	}
	return nil
}

// fencedShop is the shop whose database host has these fence devices.
func fencedShop(devices ...string) string {
	list := make([]string, len(devices))
	for i, name := range devices {
		list[i] = "{agent: fence_dummy, name: " + name + "}"
	}
	return strings.Replace(shop, "ams-1: {site: ams}", "ams-1: {site: ams, fence: ["+strings.Join(list, ", ")+"]}", 1)
}

// TestFencedHost takes a host off the network that does not fence itself: its power is taken away through the second device,
// because the first does not answer, and only then its workloads start elsewhere.
func TestFencedHost(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		open(c, fencedShop("broken", "bmc"))
		c.bus.Party("ams-1").Cut()
		c.until("db runs elsewhere", 20*time.Second, func() bool { return slices.Equal(c.world.Running()["db"], []string{"fra-1"}) })
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"})
		h, _ := c.state().Hosts.Get("ams-1")
		w, _ := c.state().Workloads.Get("db")
		if h.Evidence == nil || h.Evidence.Kind != planner.Fenced || h.Fence.Device != "bmc" || w.Freed.Kind != planner.Fenced {
			c.t.Errorf("evidence %v, fencing %+v, db left by %v", h.Evidence, h.Fence, w.Freed)
		}
		c.until("the broken device is known", 30*time.Second, func() bool {
			h, _ := c.state().Hosts.Get("ams-1")
			return h.Tests["bmc"].OK && !h.Tests["broken"].OK && h.Tests["broken"].Reason != ""
		})
	})
}

// TestAnotherMonitorFences breaks the leader's path to the device: the next attempt is another monitor's.
func TestAnotherMonitorFences(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		leader := c.leader()
		open(c, fencedShop("far-from-"+leader))
		c.powerOff("ams-1")
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-1"})
		if len(c.fenced) != 1 || strings.HasPrefix(c.fenced[0], leader) {
			c.t.Errorf("fenced: %q, want once, and not by %s", c.fenced, leader)
		}
		if h, _ := c.state().Hosts.Get("ams-1"); h.Fence.Attempt != 2 {
			c.t.Errorf("attempt %d, want the second", h.Fence.Attempt)
		}
	})
}

// TestLeaderDiesWhileItFences kills the leader between the start of an attempt and its end: the attempt is given up as unknown,
// and the next one succeeds.
func TestLeaderDiesWhileItFences(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		open(c, fencedShop("bmc"))
		leader := c.leader()
		c.powerOff("ams-1")
		c.until("the fencing has begun", 20*time.Second, func() bool { h, _ := c.state().Hosts.Get("ams-1"); return h.Fence.Open() })
		c.killMonitor(leader)
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-1"})
		if h, _ := c.state().Hosts.Get("ams-1"); h.Fence.Attempt < 2 || h.Fence.Monitor == leader || h.Fence.Outcome != wire.Done {
			c.t.Errorf("the last attempt: %+v", h.Fence)
		}
	})
}

// TestNothingIsFencedWithoutQuorum lets an attempt begin and takes the quorum away before the power is touched.
func TestNothingIsFencedWithoutQuorum(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		open(c, fencedShop("broken", "broken-too", "bmc"))
		leader := c.leader()
		c.bus.Party("ams-1").Cut()
		c.until("the fencing has begun", 20*time.Second, func() bool { h, _ := c.state().Hosts.Get("ams-1"); return h.Fence.Open() })
		for _, name := range monitorNames {
			if name != leader {
				c.killMonitor(name)
			}
		}
		time.Sleep(time.Minute)
		if len(c.fenced) > 0 {
			c.t.Errorf("fenced without quorum: %q", c.fenced)
		}
		c.runsOn(map[string]string{"db": "ams-1"})
	})
}

// TestOperatorFencesALivingHost: its authority is revoked first, then its power goes, then its workloads start elsewhere.
func TestOperatorFencesALivingHost(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		open(c, fencedShop("bmc"))
		run, err := planner.NewFence(c.state(), "ams-1")
		if err != nil {
			c.t.Fatal(err)
		}
		c.propose(run, "it hangs")
		c.ended(2, planner.RunSucceeded)
		c.until("db runs elsewhere", 20*time.Second, func() bool { return slices.Equal(c.world.Running()["db"], []string{"fra-1"}) })
		c.runsOn(map[string]string{"db": "fra-1"})
		c.startAgent("ams-1") // turned on again
		c.until("ams-1 is back", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Active })
	})
}

// TestCutHostStopsBeforeItsLeaseIsTaken cuts a host that fences itself: it has stopped, cleanly, before the start elsewhere, as
// the workloads themselves recorded.
func TestCutHostStopsBeforeItsLeaseIsTaken(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		cut := time.Now()
		c.bus.Party("ams-1").Cut()
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"})
		var stopped, started time.Duration
		for _, e := range c.world.Record() {
			switch {
			case !e.At.After(cut) || e.Unit != "db":
			case e.Host == "ams-1" && e.What == memory.Stopped:
				stopped = e.At.Sub(cut)
			case e.Host == "fra-1" && e.What == memory.Starting:
				started = e.At.Sub(cut)
			}
		}
		if stopped == 0 || stopped > 6*time.Second || started < stopped+time.Second {
			c.t.Errorf("db stopped after %s and started elsewhere after %s: want within the lease of 6 s, and well after that", stopped, started)
		}
		if w, _ := c.state().Workloads.Get("db"); w.Freed == nil || w.Freed.Kind != planner.LeaseExpired {
			c.t.Errorf("db left by %v, want lease-expired", w.Freed)
		}
		c.bus.Party("ams-1").Heal()
		c.until("ams-1 is back", 20*time.Second, func() bool { return c.phase("ams-1") == planner.Active })
	})
}

// TestNewTermsAreNoOutage applies other terms: every agent joins anew under them, and nothing stops.
func TestNewTermsAreNoOutage(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openGuardedShop(c)
		for _, change := range []string{"cluster: {name: shop, lease: {profile: fast}}", "cluster: {name: shop, lease: {length: 20s, renew: 2s}}"} {
			c.apply(map[string]string{"shop.yaml": strings.Replace(guardedShop, "cluster: {name: shop}", change, 1)})
			want := c.state().Inventory.Hosts["ams-1"].Lease
			c.until("all hosts are under the new terms", 30*time.Second, func() bool {
				return !slices.ContainsFunc(shopHosts, func(host string) bool {
					h, _ := c.state().Hosts.Get(host)
					return h.Lease != want
				})
			})
			time.Sleep(15 * time.Second)
		}
		c.happened(memory.Starting, "db", 1)
		c.happened(memory.Stopped, "db", 0)
		c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
	})
}

// TestWantedSilenceIsNoLoss reboots a host within a silence that was wanted: nothing moves, and what ran there starts again there.
func TestWantedSilenceIsNoLoss(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		c.propose(planner.SilenceWanted{Host: "ams-1", Until: c.state().At.Add(2 * time.Minute)}, "a new kernel")
		c.powerOff("ams-1")
		time.Sleep(40 * time.Second)
		if got := c.phase("ams-1"); got != planner.Active {
			c.t.Fatalf("ams-1 is %s, want active: its silence is wanted", got)
		}
		c.startAgent("ams-1")
		c.propose(planner.SilenceEnded{Host: "ams-1"}, "")
		c.until("db runs again", 30*time.Second, func() bool { return slices.Equal(c.world.Running()["db"], []string{"ams-1"}) })
	})
}
