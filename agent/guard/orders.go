package guard

import (
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

// Orders is what the agent leaves the guard: until when what is exclusive may run, and how to kill it then. Agent → guard, and
// to the agent's own next incarnation.
type Orders struct {
	V    int    `json:"v"`
	Host string `json:"host"`
	Boot string `json:"boot"` // boot id: orders of another boot are void
	Seq  uint64 `json:"seq"`  // grows with each change, also across incarnations of the agent
	// Inc and Epoch are the agent's incarnation and the host epoch it held last in this boot.
	Inc   uint64 `json:"inc"`
	Epoch uint64 `json:"host_epoch"`
	// Tried are the joins since then that may have been taken in without having been answered; it is written before a nonce is
	// used.
	Tried []lease.Try `json:"tried,omitempty"`
	// Lease is what the agent holds; nil: nothing. Until is when it ends, in boot time.
	Lease *lease.Kept     `json:"lease,omitempty"`
	Until time.Duration   `json:"until_ns"`
	Self  lease.SelfFence `json:"self_fence"`
	// Watchdog is the timeout to arm the machine's watchdog with; only under lease.Watchdog.
	Watchdog time.Duration `json:"watchdog_ns,omitempty"`
	// Charges are the exclusive workloads that run, or may be about to.
	Charges []Charge `json:"charges"`
}

// Charge is one exclusive workload and what to kill so that it is gone. It is ordered before the workload is started, with
// what is known then, and again when more is.
type Charge struct {
	Workload string           `json:"workload"`
	Token    uint64           `json:"token"`
	Target   actions.Target   `json:"target"`
	Handles  []actions.Handle `json:"handles"`
}

// Word is what the guard says of itself. Guard → agent.
type Word struct {
	V     int           `json:"v"`
	Boot  string        `json:"boot"`
	PID   int           `json:"pid"`
	Stamp time.Duration `json:"stamp_ns"` // boot time when it was written
	Seq   uint64        `json:"seq"`      // of the newest Orders it goes by
	// Armed says that the watchdog is open and petted; Trouble what keeps the guard from its duty.
	Armed   bool   `json:"armed"`
	Trouble string `json:"trouble,omitempty"`
	// Killed names the workloads that it has killed under the newest Orders, because the lease had ended.
	Killed []string `json:"killed,omitempty"`
}
