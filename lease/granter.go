package lease

import "time"

// Standing is what a monitor's copy of the log says of a host.
type Standing struct {
	Inc   uint64
	Epoch uint64
	// Revocation is the index of the entry that revoked the epoch, 0 while it is in force.
	Revocation uint64
	Active     bool // joined, and not revoked
	Terms      Terms
}

// Granter is a monitor's side of all leases. It lives in memory only.
type Granter struct {
	boot   time.Duration            // when this monitor was started: as if it had answered everybody then
	last   map[string]time.Duration // by host: when it was answered last, whatever its incarnation and epoch
	needs  uint64                   // the log must be applied up to here before anybody is answered
	caught bool                     // needs is known
}

// NewGranter returns the granter of a monitor that was started at boot time now.
func NewGranter(now time.Duration) *Granter {
	return &Granter{boot: now, last: map[string]time.Duration{}}
}

// CaughtUp tells how far the log must be applied before anybody is answered: what a leader that was verified after this
// monitor's start had committed. Before that this monitor may know less than it did before it was restarted.
func (g *Granter) CaughtUp(index uint64) {
	if !g.caught {
		g.needs, g.caught = index, true
	}
}

// Waits says that CaughtUp has not been called.
func (g *Granter) Waits() bool { return !g.caught }

// Renew says whether a renewal is to be answered, and notes it as answered before the answer can be sent. applied is the
// index of the log that the standing is of; now must have been read after the renewal had arrived, or this monitor would
// count from before the agent's stamp.
func (g *Granter) Renew(host string, inc, epoch uint64, st Standing, applied uint64, now time.Duration) bool {
	if !g.caught || applied < g.needs || !st.Active || st.Inc != inc || st.Epoch != epoch {
		return false
	}
	g.last[host] = now
	return true
}

// Report says whether this monitor can bear witness that nothing of a revoked epoch runs any more, and if not, how long it
// still has to wait.
func (g *Granter) Report(host string, st Standing, now time.Duration) (due bool, wait time.Duration) {
	if st.Active || st.Revocation == 0 || !st.Terms.Fences() {
		return false, 0
	}
	since := max(g.last[host], g.boot)
	wait = st.Terms.Takeover() - (now - since)
	return wait <= 0, max(wait, 0)
}
