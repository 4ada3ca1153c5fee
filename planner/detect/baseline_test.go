package detect

import (
	"math"
	"time"

	"github.com/holter-ha/holter/plans"
)

const (
	shortWindow = 32   // NFD-E, as in Chen's simulations
	longWindow  = 1000 // 2W-FD, Bertier, φ: as in their papers
)

// baseline is a detector of the literature.
type baseline struct {
	name  string
	start float64 // a first guess of the parameter; 0: it has none
	build func(heart plans.Heartbeat, parameter float64) detector
}

func baselines() []baseline {
	return []baseline{
		{"fixed", 3, func(_ plans.Heartbeat, p float64) detector { return &fixed{timeout: seconds(p)} }},
		{"NFD-E", 3, func(h plans.Heartbeat, p float64) detector {
			return &expected{windows: []*window{newWindow(h.Interval, shortWindow)}, margin: seconds(p)}
		}},
		{"2W-FD", 3, func(h plans.Heartbeat, p float64) detector {
			return &expected{windows: []*window{newWindow(h.Interval, 1), newWindow(h.Interval, longWindow)}, margin: seconds(p)}
		}},
		{"Bertier", 0, func(h plans.Heartbeat, _ float64) detector {
			return &bertier{window: newWindow(h.Interval, longWindow)}
		}},
		{"φ normal", 30, func(_ plans.Heartbeat, p float64) detector { return &phi{normal: true, factor: p} }},
		{"φ exponential", 10, func(_ plans.Heartbeat, p float64) detector { return &phi{factor: p} }},
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// fixed is the plain timeout since the last arrival.
type fixed struct {
	timeout, last time.Duration
}

func (d *fixed) observe(b beat)          { d.last = b.arrived }
func (d *fixed) deadline() time.Duration { return d.last + d.timeout }

// nfds is Chen's NFD-S: the clocks are synchronous, and the host is suspected from the time at which the beat after the
// newest one should have been there for a margin.
type nfds struct {
	interval, margin, newest time.Duration
}

func (d *nfds) observe(b beat)          { d.newest = max(d.newest, b.sent) }
func (d *nfds) deadline() time.Duration { return d.newest + d.interval + d.margin }

// window estimates when the next beat arrives from the last n: the mean of (arrival - seq × interval), plus the next seq ×
// interval: what Chen et al. call EA.
type window struct {
	interval time.Duration
	shifts   []time.Duration
	sum      time.Duration
	n        int
}

func newWindow(interval time.Duration, size int) *window {
	return &window{interval: interval, shifts: make([]time.Duration, size)}
}

func (w *window) hear(b beat) {
	at := w.n % len(w.shifts)
	shift := b.arrived - time.Duration(b.seq)*w.interval
	w.sum += shift - w.shifts[at]
	w.shifts[at] = shift
	w.n++
}

func (w *window) next(seq uint32) time.Duration {
	return w.sum/time.Duration(min(w.n, len(w.shifts))) + time.Duration(seq+1)*w.interval
}

// expected is Chen's NFD-E with one window (IEEE Transactions on Computers 51(5), 2002), and with two 2W-FD, which takes the
// later of two estimates (Tomsic, Sens, Garcia, Arantes and Sopena, "2W-FD: A Failure Detector Algorithm with QoS", IPDPS
// 2015).
type expected struct {
	windows []*window
	margin  time.Duration
	newest  uint32
	due     time.Duration
}

func (d *expected) observe(b beat) {
	if b.seq <= d.newest {
		return
	}
	d.newest, d.due = b.seq, 0
	for _, w := range d.windows {
		w.hear(b)
		d.due = max(d.due, w.next(b.seq)+d.margin)
	}
}

func (d *expected) deadline() time.Duration { return d.due }

// bertier adds to NFD-E's estimate a margin that follows its error as TCP's timeout follows the round trip (Bertier, Marin
// and Sens, "Implementation and Performance Evaluation of an Adaptable Failure Detector", DSN 2002). Its constants are the
// paper's; there is no parameter to tune.
type bertier struct {
	window          *window
	newest          uint32
	delay, spread   float64 // seconds
	estimated, next time.Duration
}

func (d *bertier) observe(b beat) {
	const beta, phi, gamma = 1, 4, 0.1
	if b.seq <= d.newest {
		return
	}
	if d.newest > 0 {
		d.estimated += time.Duration(b.seq-d.newest-1) * d.window.interval // beats that were lost were not late
		e := (b.arrived - d.estimated).Seconds() - d.delay
		d.delay += gamma * e
		d.spread += gamma * (math.Abs(e) - d.spread)
	}
	d.newest = b.seq
	d.window.hear(b)
	d.estimated = d.window.next(b.seq)
	d.next = d.estimated + seconds(beta*d.delay+phi*d.spread)
}

func (d *bertier) deadline() time.Duration { return d.next }

// phi is the φ accrual detector (Hayashibara, Défago, Yared and Katayama, "The φ Accrual Failure Detector", SRDS 2004). The
// time at which φ exceeds its threshold is known when a beat arrives: with normal intervals it is a number of standard
// deviations after the mean, with exponential ones (Lakshman and Malik, "Cassandra", 2010) a multiple of the mean. That
// number is the parameter here; it grows with the threshold.
type phi struct {
	normal bool
	factor float64

	last         time.Duration
	intervals    [longWindow]float64 // seconds
	sum, squares float64
	n            int
	due          time.Duration
}

func (d *phi) observe(b beat) {
	const leastSpread = 0.1 // seconds; as Akka has it, or one lost beat on a good link would be the end
	if d.last == 0 {
		d.last, d.due = b.arrived, b.arrived+time.Minute
		return
	}
	x, at := (b.arrived - d.last).Seconds(), d.n%longWindow
	old := d.intervals[at]
	d.sum += x - old
	d.squares += x*x - old*old
	d.intervals[at], d.last = x, b.arrived
	d.n++
	n := float64(min(d.n, longWindow))
	mean := d.sum / n
	if d.normal {
		spread := max(math.Sqrt(max(d.squares/n-mean*mean, 0)), leastSpread)
		d.due = b.arrived + seconds(mean+d.factor*spread)
		return
	}
	d.due = b.arrived + seconds(d.factor*mean)
}

func (d *phi) deadline() time.Duration { return d.due }
