package planner

import "errors"

// What can come of a proposal beside success. Whoever implements the log answers with these.
var (
	// ErrNotLeader: this monitor does not lead; nothing was proposed.
	ErrNotLeader = errors.New("this monitor does not lead")
	// ErrOutcomeUnknown: the entry was handed over but nobody knows whether it was committed.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// Code says which rule refused an entry, for programs.
type Code string

// The codes of refusals.
const (
	CodeNoSuch   Code = "no_such"  // a name that nothing has
	CodeStale    Code = "stale"    // the world moved on since the entry was made
	CodeOwned    Code = "owned"    // an exclusive workload has an owner
	CodeHost     Code = "host"     // the host is not active under the named epoch
	CodeOrder    Code = "order"    // providers or dependents are in the way
	CodeClaimed  Code = "claimed"  // another open run claims a workload
	CodeState    Code = "state"    // a run or step is not in a state for this
	CodeEvidence Code = "evidence" // this evidence is not accepted here
	CodeInvalid  Code = "invalid"  // the entry makes no sense
	CodeOpenRun  Code = "open_run" // an open run holds it
	CodeNoPlace  Code = "no_place" // no host can take the workload
	CodeNothing  Code = "nothing"  // there is nothing to do
)

// Refusal is Apply's answer to an entry that it did not let in: the state is as it was.
type Refusal struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`        // what was refused and why
	Hint    string `json:"hint,omitempty"` // what to do
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }
