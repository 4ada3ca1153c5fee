package planner

import (
	"testing"
	"time"

	"github.com/holter-ha/holter/wire"
)

// TestPictureOfALease: an agent's word on its lease is as old as the status that brought it.
func TestPictureOfALease(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nhost h2 site=ams\n"))
	w.run(2*time.Second, nil)
	host, _ := w.state.Hosts.Get("h1")
	now := w.time()
	v := w.views[w.lead]
	v.ObserveStatus(wire.Status{
		Host: "h1", Inc: host.Inc, Epoch: host.Epoch, Seq: 1 << 40,
		Lease: wire.LeaseStatus{Left: 5 * time.Second, Fenced: 1, FencedAgo: time.Minute},
	}, now)
	now.Watch += 2 * time.Second
	got := v.Picture(w.state, now).Hosts["h1"].Lease
	if want := (wire.LeaseStatus{Left: 3 * time.Second, Fenced: 1, FencedAgo: 62 * time.Second}); got != want {
		t.Errorf("2 s after the status the lease is %+v, want %+v", got, want)
	}
}

// TestPictureOfClocks: how far a host's and a monitor's wall clock is ahead of this monitor's, who may say so, and how long.
func TestPictureOfClocks(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nhost h2 site=ams\n"))
	w.run(2*time.Second, nil)
	v, now, wall := w.views[w.lead], w.time(), epoch0
	host, _ := w.state.Hosts.Get("h1")
	expires := wall.Add(24 * time.Hour)
	v.ObserveClock(wire.Clock{Host: "h1", Inc: host.Inc, Wall: wall.Add(7 * time.Second), Expires: expires}, wall)
	v.ObserveClock(wire.Clock{Host: "h2", Inc: 1 << 50, Wall: wall.Add(time.Hour)}, wall) // of an incarnation that has not joined
	v.ObserveClock(wire.Clock{Host: "h9", Inc: 1, Wall: wall}, wall)                      // of no host
	other := w.names[0]
	if other == w.lead {
		other = w.names[1]
	}
	v.ObservePeer(wire.View{Monitor: other, Sent: 1 << 60, Wall: wall.Add(-3 * time.Second)}, now)
	v.ObserveLevel(wire.Level{Monitor: other, Log: 2, Expires: expires}, now)

	p := v.Picture(w.state, now)
	v.ReadClocks(p, wall, now)
	if got, want := p.Hosts["h1"].Clock, (ClockPicture{Ahead: 7 * time.Second, Expires: expires}); got == nil || *got != want {
		t.Errorf("h1: got %+v, want %+v", got, want)
	}
	if got := p.Hosts["h2"].Clock; got != nil {
		t.Errorf("h2: got %+v, which its agent never said", got)
	}
	if len(v.clocks) != 2 {
		t.Errorf("%d clocks are kept, want those of the two hosts of the inventory", len(v.clocks))
	}
	for _, m := range p.Monitors {
		want := (*ClockPicture)(nil)
		switch m.Name {
		case w.lead:
			want = &ClockPicture{}
		case other:
			want = &ClockPicture{Ahead: -3 * time.Second, Expires: expires}
		}
		if want == nil {
			continue // its own view came with a time of its own
		}
		if (m.Clock == nil) != (want == nil) || want != nil && *m.Clock != *want || m.Log != 2 {
			t.Errorf("%s: got %+v of log %d, want %+v of log 2", m.Name, m.Clock, m.Log, want)
		}
	}
	now.Watch += digestFresh + 1
	p = v.Picture(w.state, now)
	v.ReadClocks(p, wall, now)
	for _, m := range p.Monitors {
		if m.Clock != nil && m.Name != w.lead {
			t.Errorf("%s, which is not heard, has a clock: %+v", m.Name, m.Clock)
		}
	}
	if unfit := p.Hosts["h1"].Unfit; unfit != "is not heard" {
		t.Errorf("h1, which was not heard for a while, is unfit because it %q", unfit)
	}
}
