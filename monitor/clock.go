package monitor

import (
	"time"

	"github.com/holter-ha/holter/planner"
)

// Limits of the watch clock.
const (
	tick     = 50 * time.Millisecond
	maxStep  = 150 * time.Millisecond // the watch clock never goes further at once: a stall of ours is no silence of theirs
	wallSlop = time.Second            // how far log time may lag behind the wall clock before it is set anew
)

// clock makes planner.Now from the machine's clocks.
//
// Log time is the At of the newest entry plus the time since it was applied here, so that it goes on evenly when another
// monitor with another wall clock takes over. It is set forward to the wall clock only while a majority of the monitors'
// wall clocks agree with this one's.
type clock struct {
	boottime func() time.Duration
	last     time.Duration // boot time of the last reading
	watch    time.Duration

	anchor   time.Time     // log time ...
	anchored time.Duration // ... at this boot time
}

// read advances the watch clock and reads all clocks. The step is how much real time went by since the last reading.
func (c *clock) read(stateAt time.Time, agree bool) (now planner.Now, step time.Duration) {
	boot := c.boottime()
	step = boot - c.last
	c.last = boot
	c.watch += min(step, maxStep)

	if c.anchor.IsZero() {
		c.anchor, c.anchored = stateAt, boot
	}
	log := c.anchor.Add(boot - c.anchored)
	if stateAt.After(log) {
		c.anchor, c.anchored, log = stateAt, boot, stateAt
	}
	if wall := time.Now().UTC(); agree && wall.Sub(log) > wallSlop {
		c.anchor, c.anchored, log = wall, boot, wall
	}
	return planner.Now{Watch: c.watch, Boot: boot, Log: log}, step
}
