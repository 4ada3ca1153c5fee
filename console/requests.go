package console

import "github.com/holter-ha/holter/plans"

// File is one file to apply.
type File struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// ApplyRequest asks to set inventory and plans from files, all or nothing.
type ApplyRequest struct {
	Files  []File `json:"files"`
	Reason string `json:"reason,omitempty"`
	// IfMatch is the revision that the caller has seen; when another is in force nothing is changed. Absent: any.
	IfMatch *uint64 `json:"if_match,omitempty"`
}

// Applied says what an apply changed.
type Applied struct {
	Revision  uint64          `json:"revision"`
	Changes   []Change        `json:"changes"`   // empty: everything was as in the files already
	Unchanged int             `json:"unchanged"` // hosts, workloads and plans
	Disarmed  []string        `json:"disarmed"`  // plans of the files with a trigger that do not start by themselves
	Armed     []string        `json:"armed"`     // plans of the files that do
	Warnings  []plans.Mistake `json:"warnings"`
}

// Change is one difference between what was in force and the files.
type Change struct {
	Sign string `json:"sign"` // + added, ~ changed, - removed
	Kind string `json:"kind"` // cluster, host, workload, plan
	Name string `json:"name"`
}

// The kinds of run that a person can start.
const (
	StartWorkloads = "start"
	StopWorkloads  = "stop"
	StartPlan      = "plan"
	FenceHost      = "fence"
)

// RunRequest asks for a run.
type RunRequest struct {
	Kind      string   `json:"kind"`                // start, stop, plan or fence
	Workloads []string `json:"workloads,omitempty"` // start, stop
	All       bool     `json:"all,omitempty"`       // start, stop: every workload
	With      bool     `json:"with,omitempty"`      // start: their providers as well; stop: their dependents
	Plan      string   `json:"plan,omitempty"`      // plan
	Hosts     []string `json:"hosts,omitempty"`     // plan: in place of the trigger's; fence: the one host
	Reason    string   `json:"reason,omitempty"`
}

// Started says which run a request started.
type Started struct {
	// Run is nil when there was nothing to do, as Message says.
	Run     *RunItem `json:"run,omitempty"`
	Message string   `json:"message"`
}

// The verbs of a person for a run and its steps.
const (
	VerbRetry = "retry"
	VerbSkip  = "skip"
	VerbAbort = "abort"
)

// StepRequest asks for something to be done with a run; Step is empty for abort.
type StepRequest struct {
	Step   string `json:"step,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ReasonRequest is a request that holds nothing but the reason.
type ReasonRequest struct {
	Reason string `json:"reason,omitempty"`
}

// ConfirmRequest is a person's word that a lost host runs nothing any more.
type ConfirmRequest struct {
	Reason string `json:"reason"`
	// Epoch is the host epoch that the person has seen; when the host has another one nothing is confirmed. 0: any.
	Epoch uint64 `json:"host_epoch,omitempty"`
}

// SilenceRequest asks that the silence of a host or workload be no loss and no alarm until it ends by itself.
type SilenceRequest struct {
	Reason string `json:"reason"`
	ForMs  int64  `json:"forMs"` // from now on
}

// Done says that something was done.
type Done struct {
	Message string `json:"message"`
}
