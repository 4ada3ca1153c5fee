package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/planner"
)

const shop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams}
  ams-2: {site: ams}
  fra-1: {site: fra}
  fra-2: {site: fra}
workloads:
  db: {kind: memory, unit: db, hosts: [ams-1, fra-1]}
  api: {kind: memory, unit: api, hosts: [ams-2, fra-2], after: {db: {on_loss: restart}}}
  web: {kind: memory, unit: web, hosts: [ams-2, fra-2], after: {api: {on_loss: restart}}}
`

const restartElsewhere = `apiVersion: holter/v1
kind: Plan
name: restart-elsewhere
trigger: [{host_lost: any}]
steps:
  - fence: trigger.hosts
  - start: {workloads: {lost_with: trigger.hosts}}
`

var shopHosts = []string{"ams-1", "ams-2", "fra-1", "fra-2"}

// guardedShop is the shop on hosts that fence themselves.
var guardedShop = strings.NewReplacer("{site: ams}", "{site: ams, self_fence: guard}", "{site: fra}", "{site: fra, self_fence: guard}").Replace(shop)

// openShop applies the shop and its plan, armed, and starts everything.
func openShop(c *cluster) { open(c, shop) }

// openGuardedShop is openShop on hosts that fence themselves.
func openGuardedShop(c *cluster) { open(c, guardedShop) }

func open(c *cluster, inventory string) {
	c.t.Helper()
	c.apply(map[string]string{"shop.yaml": inventory, "plan.yaml": restartElsewhere})
	c.propose(planner.PlanArmed{Plan: "restart-elsewhere"}, "")
	c.start(planner.Request{All: true})
	c.runsOn(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
}

// runsOn checks what really runs where.
func (c *cluster) runsOn(want map[string]string) {
	c.t.Helper()
	got := c.world.Running()
	for unit, host := range want {
		if !slices.Equal(got[unit], []string{host}) {
			c.t.Errorf("%s runs on %v, want %s", unit, got[unit], host)
		}
	}
	if overlaps := c.world.Overlaps(); len(overlaps) > 0 {
		c.t.Errorf("ran twice: %v", overlaps)
	}
}

// order lists what the workloads themselves recorded since a moment, as "what unit".
func (c *cluster) order(since time.Time) []string {
	var out []string
	for _, e := range c.world.Record() {
		if e.At.After(since) && e.What != memory.Starting && e.What != memory.Stopping {
			out = append(out, string(e.What)+" "+e.Unit)
		}
	}
	return out
}

func TestLostHostIsWaitedForUntilConfirmed(t *testing.T) {
	inBubble(t, shopHosts, func(c *cluster) {
		openShop(c)
		lost := time.Now()
		c.powerOff("ams-1")
		c.until("ams-1 is lost", 10*time.Second, func() bool {
			h, _ := c.state().Hosts.Get("ams-1")
			return h.Phase == planner.Revoking
		})
		c.until("the run waits", 5*time.Second, func() bool {
			run := c.state().Run(2)
			if run == nil {
				return false
			}
			state, _, _ := c.state().Standing(run)
			return state == planner.RunWaiting
		})
		time.Sleep(time.Minute)
		if got := c.world.Running()["db"]; len(got) != 0 {
			c.t.Fatalf("db runs on %v without evidence", got)
		}
		h, _ := c.state().Hosts.Get("ams-1")
		c.propose(planner.HostExpired{Host: "ams-1", Epoch: h.Epoch, Revocation: h.Revocation, Evidence: planner.Confirmed}, "saw it dark")
		c.ended(2, planner.RunSucceeded)
		c.runsOn(map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"})
		c.checkRestarted(lost)
	})
}
