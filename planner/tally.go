package planner

import (
	"maps"
	"slices"
)

// Tally counts what has happened since the cluster was formed. The tables forget what is old, a tally does not: it is the
// same on every monitor and outlives leaders and restarts.
type Tally struct {
	Losses    uint64 `json:"losses,omitempty"`    // of hosts
	Succeeded uint64 `json:"succeeded,omitempty"` // runs that ended so
	Failed    uint64 `json:"failed,omitempty"`
	Aborted   uint64 `json:"aborted,omitempty"`
}

// ended counts a run that has ended.
func (t *Tally) ended(outcome RunState) {
	switch outcome {
	case RunSucceeded:
		t.Succeeded++
	case RunFailed:
		t.Failed++
	case RunWasAborted:
		t.Aborted++
	case RunRunning, RunWaiting, RunPaused, RunAborting:
	}
}

// EventNames lists the names of all events that this program knows, as the log stores them, in order.
func EventNames() []string { return slices.Sorted(maps.Keys(decoders)) }
