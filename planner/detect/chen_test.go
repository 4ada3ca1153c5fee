package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// closedForm is Chen's analysis of NFD-S: beats each second, lost with a chance, delays exponential. It returns the mean
// times between mistakes and of a mistake in seconds.
func closedForm(margin, loss, delay float64) (between, lasts float64) {
	const interval = 1.0
	late := func(d float64) float64 { // a beat is not there d after it was sent
		return loss + (1-loss)*math.Exp(-max(d, 0)/delay)
	}
	none := func(x float64) float64 { // nothing that would do is there x after a freshness point
		p := 1.0
		for j := range int(math.Ceil(margin/interval)) + 1 {
			p *= late(margin + x - float64(j)*interval)
		}
		return p
	}
	starts := (1 - late(margin+interval)) * none(0)
	const steps = 100_000
	integral := 0.0
	for i := range steps {
		integral += none((float64(i) + 0.5) * interval / steps)
	}
	return interval / starts, integral * interval / steps / starts
}

// TestHarnessAgreesWithChen: what the harness measures of NFD-S is what the closed form says, within four standard errors:
// mistakes are rare and nearly independent, so that the relative error of n of them is 1/√n, and of their mean length at
// most that.
func TestHarnessAgreesWithChen(t *testing.T) {
	const loss, delay, interval, traces = 0.01, 20 * ms, time.Second, 4
	l := link{open: func(r *rand.Rand, _ time.Duration) way { return lossy(r, loss, delay) }}
	cases := []struct {
		margin time.Duration
		want   float64 // seconds between mistakes
		quality
	}{{margin: 100 * ms, want: 60.6}, {margin: 500 * ms, want: 101.0}, {margin: 1050 * ms, want: 1106.8}, {margin: 1500 * ms, want: 10101}}
	for number := range uint64(traces) {
		beats := l.trace(million, interval, 100+number)
		for i := range cases {
			cases[i].add(measure(beats, &nfds{interval: interval, margin: cases[i].margin}))
		}
	}
	for _, c := range cases {
		t.Run(c.margin.String(), func(t *testing.T) {
			between, lasts := closedForm(c.margin.Seconds(), loss, delay.Seconds())
			if math.Abs(between-c.want) > c.want*0.001 {
				t.Errorf("the closed form gives %.1f s between mistakes, want %.1f", between, c.want)
			}
			within := 4 / math.Sqrt(c.span.Seconds()/between)
			if got := c.between().Seconds(); math.Abs(got-between) > between*within {
				t.Errorf("%d mistakes, one in %.1f s, want one in %.1f ± %.1f %%", c.mistakes, got, between, within*100)
			}
			if got := c.lasts().Seconds(); math.Abs(got-lasts) > lasts*within {
				t.Errorf("a mistake lasts %.4f s, want %.4f ± %.1f %%", got, lasts, within*100)
			}
			if c.tdMax > interval+c.margin {
				t.Errorf("a crash was detected after %s, want at most %s", c.tdMax, interval+c.margin)
			}
			margin := c.margin.Seconds() // after a beat that was lost only what is left of it is waited, if anything
			afterLost := margin - 0.5
			if margin < 1 {
				afterLost = margin * margin / 2
			}
			if got, want := c.tdMean().Seconds(), (1-loss)*(margin+0.5)+loss*afterLost; math.Abs(got-want) > 0.001 {
				t.Errorf("a crash was detected after %.4f s on the mean, want %.4f", got, want)
			}
			t.Logf("%d mistakes: one in %.1f s (%.1f ± %.1f %%), for %.4f s (%.4f)", c.mistakes, c.between().Seconds(), between, within*100, c.lasts().Seconds(), lasts)
		})
	}
}
