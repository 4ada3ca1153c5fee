package detect

import (
	"math"
	"time"

	"github.com/holter-ha/holter/plans"
)

const (
	offsetWindow = 2048      // beats in each of the two buckets of the offset minimum
	peakHalfLife = time.Hour // how fast a healed silence is forgotten
)

// usual is the heartbeat that Holter has by default.
func usual() plans.Heartbeat {
	return plans.Heartbeat{Interval: 250 * ms, LateAfter: 750 * ms, LostAfter: 3 * time.Second, LostAfterMax: 6 * time.Second}
}

// without names the rules of the published algorithm that a mutant of it lacks.
type without struct {
	stamps bool // counts from the arrival
	memory bool // forgets a silence as soon as it heals
	decay  bool // remembers a silence for ever
	limit  bool // knows no lost_after_max
	window bool // takes the smallest offset of all times
}

// reference is Holter's detector as published: the age of evidence by send stamp, corrected by the smallest offset between
// the clocks of the last one to two windows, and a memory of the largest silence that healed. It knows one incarnation.
type reference struct {
	heart   plans.Heartbeat
	without without

	heard        bool
	off, offNext time.Duration
	n            int
	stamp        time.Duration
	peak, peakAt time.Duration
	lost         time.Duration
}

func (d *reference) observe(b beat) {
	stamp := b.stamp
	if d.without.stamps {
		stamp = b.arrived
	}
	if !d.heard {
		d.heard, d.off, d.offNext = true, math.MaxInt64, math.MaxInt64
	} else if gap := b.arrived - d.evidence(); gap > d.healed(b.arrived) {
		d.peak, d.peakAt = gap, b.arrived
	}
	if d.n++; d.n > offsetWindow && !d.without.window {
		d.off, d.offNext, d.n = d.offNext, math.MaxInt64, 1
	}
	offset := b.arrived - stamp
	d.off, d.offNext = min(d.off, offset), min(d.offNext, offset)
	d.stamp = max(d.stamp, stamp)
	d.lost = d.evidence() + d.lostAfter(b.arrived)
}

func (d *reference) deadline() time.Duration { return d.lost }

func (d *reference) evidence() time.Duration { return d.stamp + d.off }

func (d *reference) healed(at time.Duration) time.Duration {
	switch {
	case d.without.memory:
		return 0
	case d.without.decay:
		return d.peak
	}
	return time.Duration(float64(d.peak) * math.Exp2(-float64(at-d.peakAt)/float64(peakHalfLife)))
}

func (d *reference) lostAfter(at time.Duration) time.Duration {
	healed := d.healed(at)
	after := max(healed+healed/2, d.heart.LostAfter)
	if d.without.limit {
		return after
	}
	return min(after, d.heart.LostAfterMax)
}
