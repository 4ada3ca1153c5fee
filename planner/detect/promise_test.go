package detect

import (
	"fmt"
	"testing"
	"time"

	"github.com/holter-ha/holter/plans"
)

// The promises of detection.
const (
	fewMistakes = "never more mistakes than a fixed timeout of the same time"
	bounded     = "a crash is detected within lost_after_max, an interval and the smallest delay"
	promptOnLAN = "on a LAN a crash is detected as fast as by the fixed timeout, within 2 %"
)

// broken says which promises a detector breaks on a link.
func broken(l link, beats []beat, heart plans.Heartbeat, got quality) map[string]string {
	fixed := measure(beats, &fixed{timeout: heart.LostAfter})
	out := map[string]string{}
	if got.mistakes > fixed.mistakes {
		out[fewMistakes] = fmt.Sprintf("%d mistakes, the fixed timeout makes %d", got.mistakes, fixed.mistakes)
	}
	if most := heart.LostAfterMax + heart.Interval + leastDelay(beats); got.tdMax > most {
		out[bounded] = fmt.Sprintf("detected after up to %s, want at most %s", got.tdMax, most)
	}
	if off := got.tdMean() - fixed.tdMean(); l.name == "LAN" && off.Abs() > fixed.tdMean()/50 {
		out[promptOnLAN] = fmt.Sprintf("detected after %s on the mean, by the fixed timeout after %s", got.tdMean(), fixed.tdMean())
	}
	return out
}

func leastDelay(beats []beat) time.Duration {
	least := time.Hour
	for _, b := range beats {
		least = min(least, b.arrived-b.sent)
	}
	return least
}

// TestPromises: planner's View keeps the promises, and the reference, which is the same and faster, on longer and more
// traces. They hold with the usual times; the first one is no law, see docs/performance.md.
func TestPromises(t *testing.T) {
	for _, c := range []struct {
		name          string
		beats, traces int
		build         func() detector
	}{
		{"view", 100_000, 1, func() detector { return newViewed(usual()) }},
		{"reference", million, 2, func() detector { return &reference{heart: usual()} }},
	} {
		for i, l := range links() {
			t.Run(c.name+"/"+l.name, func(t *testing.T) {
				for number := range c.traces {
					beats := l.trace(c.beats, usual().Interval, uint64(1000*number+i))
					for promise, why := range broken(l, beats, usual(), measure(beats, c.build())) {
						t.Errorf("trace %d breaks: %s: %s", number, promise, why)
					}
				}
			})
		}
	}
}

// TestEachRuleIsNeeded: the algorithm without one of its rules breaks the promise that the rule is for. That all that has
// arrived is heard before anybody is judged is held by TestStall.
func TestEachRuleIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name    string
		without without
		link    string
		promise string
	}{
		{"send stamps", without{stamps: true}, "WAN", bounded},
		{"decay", without{decay: true}, "LAN", promptOnLAN},
		{"lost_after_max", without{limit: true}, "pauses", bounded},
		{"memory of silences", without{memory: true}, "bufferbloat", fewMistakes},
		{"window of offsets", without{window: true}, "LAN", promptOnLAN},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, l := range links() {
				if l.name != c.link {
					continue
				}
				beats := l.trace(million, usual().Interval, uint64(i))
				mutant := measure(beats, &reference{heart: usual(), without: c.without})
				if why := broken(l, beats, usual(), mutant)[c.promise]; why == "" {
					t.Errorf("without it no promise is broken on %s", l.name)
				} else {
					t.Logf("without it on %s: %s", l.name, why)
				}
			}
		})
	}
}
