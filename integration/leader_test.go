package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/planner"
)

// slow lets every start and stop of the shop take a second, so that there is a "during".
func (c *cluster) slow() {
	for _, host := range shopHosts {
		for _, unit := range []string{"db", "api", "web"} {
			takes := memory.Behaviour{Takes: time.Second}
			c.world.Script(host, unit, memory.Script{Start: takes, Stop: takes})
		}
	}
}

// TestLeaderDiesAroundEachStep kills the leading monitor before, during and after each step of a run. The next leader goes
// on by the same Decide: the run ends, in order, and nothing is done twice.
func TestLeaderDiesAroundEachStep(t *testing.T) {
	moments := map[string]func(st planner.Step) bool{
		"before": func(st planner.Step) bool { return st.State == planner.StatePending },
		"during": func(st planner.Step) bool { return st.State == planner.StateStarted },
		"after":  func(st planner.Step) bool { return st.State == planner.StateDone },
	}
	steps := []string{"fence/ams-1", "start.stop/web", "start.stop/api", "start/db", "start/api", "start/web"}
	for name, reached := range moments {
		for _, id := range steps {
			t.Run(fmt.Sprintf("%s %s", name, id), func(t *testing.T) {
				inBubble(t, shopHosts, func(c *cluster) {
					openGuardedShop(c)
					c.slow()
					lost := time.Now()
					c.powerOff("ams-1")
					c.until(name+" "+id, time.Minute, func() bool {
						run := c.state().Run(2)
						return run != nil && (reached(*run.Step(id)) || run.Step(id).State == planner.StateDone)
					})
					leader := c.leader()
					c.killMonitor(leader)
					c.ended(2, planner.RunSucceeded)
					c.checkRestarted(lost)
					c.restartMonitor(leader)
					c.until("the restarted monitor has caught up", time.Minute, func() bool {
						return c.monitors[leader].store.State().Index == c.state().Index
					})
				})
			})
		}
	}
}

// checkRestarted checks that the shop moved off ams-1 in order, each thing once.
func (c *cluster) checkRestarted(since time.Time) {
	c.t.Helper()
	c.runsOn(map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"})
	want := []string{"killed db", "stopped web", "stopped api", "started db", "started api", "started web"}
	if got := c.order(since.Add(-time.Millisecond)); !slices.Equal(got, want) {
		c.t.Errorf("order: got %q, want %q\n%s", got, want, c.story())
	}
}
