package monitor

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchClockNeverJumps: a stall of this process is no silence of the hosts.
func TestWatchClockNeverJumps(t *testing.T) {
	boot := time.Hour
	c := clock{boottime: func() time.Duration { return boot }, last: boot}
	for _, step := range []struct{ real, watch time.Duration }{
		{50 * time.Millisecond, 50 * time.Millisecond},
		{150 * time.Millisecond, 200 * time.Millisecond},
		{20 * time.Second, 350 * time.Millisecond}, // stopped, or starved
		{0, 350 * time.Millisecond},
	} {
		boot += step.real
		now, took := c.read(time.Time{}, false)
		if now.Watch != step.watch || took != step.real || now.Boot != boot {
			t.Errorf("after %s: got watch %s, step %s, want %s, %s", step.real, now.Watch, took, step.watch, step.real)
		}
	}
}

// TestLogTime goes on evenly from the newest entry, never back, and is set to the wall clock only when a majority of the
// monitors agrees with it.
func TestLogTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := clock{boottime: func() time.Duration { return time.Since(began) }}
		entry := time.Now().Add(-time.Hour).UTC() // written while another monitor led, whose clock was slow

		if now, _ := c.read(entry, false); !now.Log.Equal(entry) {
			t.Errorf("at first: got %s, want the newest entry's %s", now.Log, entry)
		}
		time.Sleep(10 * time.Second)
		if now, _ := c.read(entry, false); !now.Log.Equal(entry.Add(10 * time.Second)) {
			t.Errorf("10 s later, clocks differ: got %s, want %s", now.Log, entry.Add(10*time.Second))
		}
		if now, _ := c.read(entry, true); !now.Log.Equal(time.Now()) {
			t.Errorf("clocks agree: got %s, want the wall clock's %s", now.Log, time.Now())
		}
		ahead := time.Now().Add(time.Minute).UTC()
		if now, _ := c.read(ahead, true); !now.Log.Equal(ahead) {
			t.Errorf("an entry is ahead of the wall clock: got %s, want %s", now.Log, ahead)
		}
		time.Sleep(time.Second)
		if now, _ := c.read(ahead, true); !now.Log.Equal(ahead.Add(time.Second)) {
			t.Errorf("a second later: got %s, want %s", now.Log, ahead.Add(time.Second))
		}
	})
}
