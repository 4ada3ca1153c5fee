// Package guardtest lets the real guard run in virtual time, over workloads in memory.
//
// Invariant: there is no guard in it, only what the guard kills with. Concurrency: as actions/memory.
package guardtest

import (
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent/guard"
)

var _ guard.Killer = Killer{}

// Killer kills what a memory driver's host runs. Charges of other kinds are errors of the driver.
type Killer struct{ Host *memory.Driver }

// Kill kills the charge's unit.
func (k Killer) Kill(c guard.Charge) error { return k.Host.Kill(c.Target) }

// Gone says whether the charge's unit is stopped.
func (k Killer) Gone(c guard.Charge) (bool, error) { return k.Host.Gone(c.Target) }
