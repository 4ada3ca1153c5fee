package planner

import "time"

// clockSlop is how far two monitors' wall clocks may be apart and still agree.
const clockSlop = 5 * time.Second

// ClocksAgree says that the wall clocks of a majority of the configured monitors, this one's among them, agree with wall,
// which is this monitor's.
func (v *View) ClocksAgree(wall time.Time, now Now) bool {
	agree := 1
	for _, name := range v.monitors {
		if name == v.self || !v.fresh(name, now) {
			continue
		}
		if v.clockOffset(name, wall, now).Abs() <= clockSlop {
			agree++
		}
	}
	return agree >= v.majority()
}

// clockOffset is how far another monitor's wall clock is ahead of wall.
func (v *View) clockOffset(monitor string, wall time.Time, now Now) time.Duration {
	p := v.peers[monitor]
	return p.view.Wall.Add(now.Watch - p.at).Sub(wall)
}
