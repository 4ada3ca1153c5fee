package lease

import (
	"fmt"
	"time"
)

// SelfFence is what a host does to its exclusive workloads when its lease ends.
type SelfFence string

// The ways to fence oneself. Under None nothing is stopped, so that the end of the lease proves nothing.
const (
	None     SelfFence = "none"
	Guard    SelfFence = "guard"    // the guard process kills them
	Watchdog SelfFence = "watchdog" // the machine's watchdog resets it, if the guard could not
)

// Terms are the numbers that a host's lease lives by, fixed for a host epoch.
type Terms struct {
	Length time.Duration `json:"length_ns"` // from the stamp of the renewal to the end
	Renew  time.Duration `json:"renew_ns"`  // between two renewals
	Stop   time.Duration `json:"stop_ns"`   // how long before the end the clean stop begins
	// Kill is how long after the end something exclusive may still run on the host, by the host's clock.
	Kill time.Duration `json:"kill_ns"`
	Self SelfFence     `json:"self_fence"`
}

// The kill times: the guard looks every tenth of a second; a watchdog takes the timeout that it was armed with.
const (
	GuardKill       = time.Second
	DefaultWatchdog = 5 * time.Second
	// WatchdogSlack is what a watchdog may take beyond its timeout: its hardware counts coarsely, and the machine has to reset.
	WatchdogSlack = time.Second
)

// leastRenewals is how many renewals in a row may be lost without the lease coming to its end.
const leastRenewals = 3

// drift is the factor by which two clocks may differ: each runs between 0.9 and 1.1 of real time, 1.1/0.9 = 1.222, rounded up
// to 5/4.
const (
	driftOver  = 5
	driftUnder = 4
)

// Normal are the terms of the profile normal, for agents that may reach a single broker: a reconnect takes up to 1.8 s.
func Normal() Terms {
	return Terms{Length: 6 * time.Second, Renew: time.Second, Stop: 1200 * time.Millisecond, Self: None}
}

// Fast are the terms of the profile fast, for agents that reach two brokers or more.
func Fast() Terms {
	return Terms{Length: 3 * time.Second, Renew: 500 * time.Millisecond, Stop: 1200 * time.Millisecond, Self: None}
}

// Takeover is how long after a monitor's last answer nothing of the host's epoch runs any more, whatever both clocks do.
func (t Terms) Takeover() time.Duration {
	return (t.Length + t.Kill) * driftOver / driftUnder
}

// tightened are terms that keep what both promise. A host that does not fence itself promises nothing.
func (t Terms) tightened(by Terms) Terms {
	switch {
	case t.Fences() && by.Fences():
		by.Length, by.Kill = min(t.Length, by.Length), min(t.Kill, by.Kill)
		return by
	case t.Fences():
		return t
	}
	return by
}

// Fences says that the end of a lease of these terms is enforced, and so proves something.
func (t Terms) Fences() bool { return t.Self == Guard || t.Self == Watchdog }

// Longer makes Kill longer until Takeover is at least so much.
func (t *Terms) Longer(takeover time.Duration) {
	if missing := takeover - t.Takeover(); missing > 0 {
		t.Kill += (missing*driftUnder + driftOver - 1) / driftOver
	}
}

// Sum shows how Takeover comes about.
func (t Terms) Sum() string {
	return fmt.Sprintf("(lease %s + kill %s) × 1.25 for clocks that drift = %s", t.Length, t.Kill, t.Takeover())
}

// Check says what is wrong with the numbers, nil if nothing is.
func (t Terms) Check() error {
	switch {
	case t.Renew <= 0 || t.Length <= 0 || t.Stop < 0 || t.Kill < 0:
		return fmt.Errorf("lease of length %s, renewed every %s: both must be more than 0", t.Length, t.Renew)
	case t.Length < leastRenewals*t.Renew+t.Stop:
		return fmt.Errorf("a lease of %s is shorter than %d renewals of %s and the stop of %s, which is %s",
			t.Length, leastRenewals, t.Renew, t.Stop, leastRenewals*t.Renew+t.Stop)
	}
	return nil
}
