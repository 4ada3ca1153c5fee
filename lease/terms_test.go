package lease

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTakeover(t *testing.T) {
	guard, dog := Normal(), Normal()
	guard.Kill, dog.Kill = GuardKill, DefaultWatchdog
	fast := Fast()
	fast.Kill = GuardKill
	for name, step := range map[string]struct {
		terms Terms
		want  time.Duration
		sum   string
	}{
		"normal, guard":    {guard, 8750 * time.Millisecond, "(lease 6s + kill 1s) × 1.25 for clocks that drift = 8.75s"},
		"normal, watchdog": {dog, 13750 * time.Millisecond, "(lease 6s + kill 5s) × 1.25 for clocks that drift = 13.75s"},
		"fast, guard":      {fast, 5 * time.Second, "(lease 3s + kill 1s) × 1.25 for clocks that drift = 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			if step.terms.Takeover() != step.want || step.terms.Sum() != step.sum {
				t.Errorf("take-over after %s: %q\nwant %s: %q", step.terms.Takeover(), step.terms.Sum(), step.want, step.sum)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for _, terms := range []Terms{Normal(), Fast()} {
		if err := terms.Check(); err != nil {
			t.Errorf("%+v: %v", terms, err)
		}
	}
	short := Fast()
	short.Length = 2*time.Second + 699*time.Millisecond
	for name, step := range map[string]struct {
		terms Terms
		want  string
	}{
		"too short for its renewals": {short, "a lease of 2.699s is shorter than 3 renewals of 500ms and the stop of 1.2s, which is 2.7s"},
		"no renewals":                {Terms{Length: time.Second}, "both must be more than 0"},
		"a kill before the end":      {Terms{Length: time.Minute, Renew: time.Second, Kill: -1}, "more than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := step.terms.Check(); err == nil || !strings.Contains(err.Error(), step.want) {
				t.Errorf("the error is %v, want %q", err, step.want)
			}
		})
	}
}

// TestTakeoverCoversDrift: whatever the terms and both clocks within the bound, after the take-over time by a monitor's clock
// the lease has ended by the host's, and the kill time after it has passed.
func TestTakeoverCoversDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, least int64) time.Duration {
			return time.Duration(rapid.Int64Range(least, int64(time.Hour)).Draw(t, name))
		}
		terms := Terms{Length: draw("length", int64(time.Millisecond)), Kill: draw("kill", 0), Self: Guard}
		const slowest, fastest = 0.9, 1.1 // of all clocks
		if onHost := float64(terms.Takeover()) / fastest * slowest; onHost < float64(terms.Length+terms.Kill) {
			t.Errorf("%s: the host's clock may have advanced by %s only", terms.Sum(), time.Duration(onHost))
		}
	})
}
