package guard

import (
	"fmt"

	"github.com/holter-ha/holter/lease"
)

// check says what keeps orders from being gone by.
func check(o *Orders) error {
	if o.V != version {
		return fmt.Errorf("orders are of version %d, this program knows %d: run the agent and the guard from the same program", o.V, version)
	}
	switch o.Self {
	case lease.None, lease.Guard, lease.Watchdog:
	default:
		return fmt.Errorf("orders for a host that fences itself by %q, want none, guard or watchdog", o.Self)
	}
	if o.Boot == "" || o.Seq == 0 {
		return fmt.Errorf("orders %d of boot %q: both must be set", o.Seq, o.Boot)
	}
	for _, c := range o.Charges {
		if c.Workload == "" {
			return fmt.Errorf("orders with a charge that names no workload: %+v", c)
		}
	}
	return nil
}
