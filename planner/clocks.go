package planner

import (
	"time"

	"github.com/holter-ha/holter/wire"
)

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

// said is what an incarnation of a host says of its machine.
type said struct {
	inc uint64
	ClockPicture
}

// ObserveClock hears what an agent's wall clock shows while this monitor's shows wall. It is for people: no decision asks.
func (v *View) ObserveClock(c wire.Clock, wall time.Time) {
	if _, known := v.index[c.Host]; !known || v.replaced(c.Host, c.Inc) {
		return
	}
	v.clocks[c.Host] = said{c.Inc, ClockPicture{Ahead: c.Wall.Sub(wall), Expires: c.Expires}}
}

// ReadClocks puts into a picture how far the wall clocks of the monitors that are heard are ahead of wall, which is this
// monitor's.
func (v *View) ReadClocks(p *Picture, wall time.Time, now Now) {
	for i := range p.Monitors {
		m := &p.Monitors[i]
		switch {
		case m.Name == v.self:
			m.Clock = &ClockPicture{Expires: v.levels[m.Name].expires}
		case v.fresh(m.Name, now):
			m.Clock = &ClockPicture{Ahead: v.clockOffset(m.Name, wall, now), Expires: v.levels[m.Name].expires}
		}
	}
}
