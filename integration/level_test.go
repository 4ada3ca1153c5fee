package integration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
)

// TestNewerEventWaitsForAllMonitors: what the first version of the log did not know is let in only while every monitor says that
// it understands it, and from the first time on without asking. Nothing is changed by what is refused.
func TestNewerEventWaitsForAllMonitors(t *testing.T) {
	inBubble(t, nil, func(c *cluster) {
		monitorsKnow := func() bool {
			_, err := c.tryPropose(planner.UserSet{User: "ann"})
			return err == nil
		}
		c.killMonitor("m3")
		c.until("a monitor leads", 10*time.Second, func() bool { return c.leader() != "" })
		time.Sleep(10 * time.Second) // whatever m3 said before counts no more
		before := c.state()
		_, err := c.tryPropose(planner.UserSet{User: "ann"})
		refusal, refused := errors.AsType[*planner.Refusal](err)
		if !refused || refusal.Code != planner.CodeState || !strings.Contains(refusal.Message, "monitor m3 ") {
			t.Fatalf("with a monitor that says nothing: got %v, want a refusal that names it", err)
		}
		if after := c.state(); after.Index != before.Index || after.Refused != before.Refused {
			t.Errorf("the refused entry is in the log: #%d, was #%d", after.Index, before.Index)
		}
		c.propose(planner.MonitorsChanged{Monitors: monitorNames}, "") // the first version knows that

		c.restartMonitor("m3")
		c.until("all monitors understand it", 30*time.Second, monitorsKnow)
		c.killMonitor("m3")
		c.until("a monitor leads", 10*time.Second, func() bool { return c.leader() != "" })
		time.Sleep(10 * time.Second)
		c.propose(planner.GroupSet{Group: "ops"}, "")
		if log := c.state().Log; log != 2 {
			t.Errorf("the log is of version %d, want 2", log)
		}
		c.restartMonitor("m3")
		c.until("the restarted monitor has caught up", time.Minute, func() bool {
			return c.monitors["m3"].store.State().Index == c.state().Index
		})
	})
}

// tryPropose asks the leader once.
func (c *cluster) tryPropose(event planner.Event) (uint64, error) {
	leader := c.monitors[c.leader()]
	if leader == nil {
		return 0, planner.ErrNotLeader
	}
	return leader.monitor.Propose(c.t.Context(), planner.Entry{By: "operator", Event: event})
}
