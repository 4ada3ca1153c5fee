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
