package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
)

// A host that is lost again and again has less and less done about it by itself.
const (
	dampFirst = time.Minute
	dampMost  = 30 * time.Minute
	dampFor   = time.Hour // after so long without a run the damping begins anew
)

// massWindow is how close together losses count as one mass loss.
const massWindow = 10 * time.Second

// damped is the host after a run was started by itself for it.
func (h Host) damped(at time.Time) Host {
	next := dampFirst
	if h.Damping > 0 && at.Sub(h.Acted) < dampFor {
		next = min(2*h.Damping, dampMost)
	}
	h.Acted, h.Damping = at, next
	return h
}

func (h Host) dampedUntil() time.Time { return h.Acted.Add(h.Damping) }

// damps says that nothing may be started by itself for the host yet.
func (h Host) damps(at time.Time) bool { return at.Before(h.dampedUntil()) }

// MassLoss says whether so many hosts of a plan's fleet were lost together that the plan does not start by itself: it holds
// until a person starts it. It names the hosts, and how many are allowed.
func (s *State) MassLoss(plan *plans.Plan) (lost []string, limit int, held bool) {
	fleet := 0
	var newest time.Time
	for name, host := range s.Hosts.All() {
		if !s.triggers(plan, name) {
			continue
		}
		fleet++
		if at, silent := host.lostAt(); silent && host.Handled[plan.Name] == 0 && at.After(newest) {
			newest = at
		}
	}
	limit = max(plan.Guard.MaxLost, fleet*plan.Guard.MaxLostShare/100)
	if newest.IsZero() {
		return nil, limit, false
	}
	for name, host := range s.Hosts.All() {
		at, silent := host.lostAt()
		if silent && s.triggers(plan, name) && newest.Sub(at) <= massWindow {
			lost = append(lost, name)
		}
	}
	return lost, limit, len(lost) > limit
}

// lostAt is when a host that is silent was lost; false for one that is not, or was revoked by a person.
func (h Host) lostAt() (time.Time, bool) {
	if h.Phase != Revoking && h.Phase != Expired || len(h.Losses) == 0 {
		return time.Time{}, false
	}
	return h.Losses[len(h.Losses)-1], true
}

// triggers says that the loss of a host starts a plan.
func (s *State) triggers(plan *plans.Plan, host string) bool {
	return slices.ContainsFunc(plan.Trigger, func(t plans.Trigger) bool {
		return t.HostLost != nil && s.selectsHost(t.HostLost, host)
	})
}
