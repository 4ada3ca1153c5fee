package planner

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// State is what the log adds up to. It is immutable: Apply returns the next one.
type State struct {
	// Log is the highest version of the log that any entry applied has needed; 0 means 1.
	Log     int       `json:"log,omitempty"`
	Index   uint64    `json:"index"`   // of the last entry applied
	At      time.Time `json:"at"`      // log time of that entry
	Cluster string    `json:"cluster"` // id, from ClusterFormed
	// Chain is the link of that entry: what vouches for the whole log before it (chain.go). ChainFrom is the index after which
	// the chain begins: 0, unless the cluster is older than chains.
	Chain     string `json:"chain,omitempty"`
	ChainFrom uint64 `json:"chain_from,omitempty"`
	// Voters are the sets of lease voters, oldest first: the one in force, and the former ones that a host has joined under.
	Voters    []lease.Voters   `json:"voters"`
	Inventory *plans.Inventory `json:"inventory,omitempty"`
	Revision  uint64           `json:"revision"` // index of the last FilesApplied
	Plans     Table[Plan]      `json:"plans"`
	Hosts     Table[Host]      `json:"hosts"`     // every host of the inventory
	Workloads Table[Workload]  `json:"workloads"` // every workload of the inventory
	Runs      Table[*Run]      `json:"runs"`      // by indexKey; the open ones and the last maxEndedRuns
	LastRun   uint64           `json:"last_run"`
	Events    Table[Logged]    `json:"events"` // by indexKey; the last maxEvents
	Refused   uint64           `json:"refused"`
	Tally     Tally            `json:"tally,omitzero"`

	Users      Table[User]      `json:"users"`
	Groups     Table[Group]     `json:"groups"`
	Enrolments Table[Enrolment] `json:"enrolments"` // by host

	// Generation is the index at which the cluster was recovered last, 0: never. Recovery says what is still missing of it.
	Generation uint64    `json:"generation,omitempty"`
	Recovery   *Recovery `json:"recovery,omitempty"`

	behind map[string][]dependent // by provider; of Inventory
}

// Plan is a plan as the cluster holds it.
type Plan struct {
	Plan  *plans.Plan `json:"plan"`
	Rev   uint64      `json:"rev"` // index of the FilesApplied that brought this text
	Armed bool        `json:"armed"`
}

// Phase says where a host stands with its epoch.
type Phase string

// The phases of a host.
const (
	Unseen   Phase = "unseen"   // never joined
	Active   Phase = "active"   // joined under Epoch
	Revoking Phase = "revoking" // lost: Epoch is revoked, but what it runs may still run
	Expired  Phase = "expired"  // lost, with evidence that it runs nothing any more
)

// Host is a host as the cluster holds it.
type Host struct {
	Phase      Phase     `json:"phase"`
	Epoch      uint64    `json:"host_epoch"` // index of its HostJoined
	Boot       string    `json:"boot,omitempty"`
	Inc        uint64    `json:"inc,omitempty"`
	Past       []uint64  `json:"past,omitempty"` // the last maxPast incarnations before Inc, newest first: none of them joins again
	Version    string    `json:"version,omitempty"`
	Journal    string    `json:"journal,omitempty"` // of the agent that joined last
	Nonce      uint64    `json:"nonce,omitempty"`   // of the offer that the last join answered ...
	Ask        uint64    `json:"ask,omitempty"`     // ... and which of the incarnation's asks it was
	Since      time.Time `json:"since"`
	Revocation uint64    `json:"revocation,omitempty"` // index of its last HostLost or HostRevoked
	Evidence   *Evidence `json:"evidence,omitempty"`   // in phase expired
	// Lease holds the terms under which it joined; the inventory's count from its next join on.
	Lease lease.Terms `json:"lease"`
	// LeaseSince is an index of the log: every set of lease voters that was in force since then may have renewed what is left
	// of its lease. It reaches back before Epoch when a lease went over from an incarnation to its successor.
	LeaseSince uint64     `json:"lease_since,omitempty"`
	Offer      *JoinOffer `json:"offer,omitempty"` // the newest, until it is used
	Fence      *Fencing   `json:"fence,omitempty"` // the newest attempt under this revocation
	// Handled names, for the last revocation, the run that each plan started for it.
	Handled map[string]uint64 `json:"handled,omitempty"`
	// Silence is when its silence is wanted, nil: not.
	Silence *Silence `json:"silence,omitempty"`
	// Losses are the times of its losses within the last flapWindow; Quarantine is until when it takes no workload because
	// there were too many.
	Losses     []time.Time `json:"losses,omitempty"`
	Quarantine time.Time   `json:"quarantine,omitzero"`
	// Acted is when a run was started by itself for it last; Damping is how long the next one waits from then.
	Acted   time.Time     `json:"acted,omitzero"`
	Damping time.Duration `json:"damping_ns,omitempty"`
	// Unproven says that nobody knows what it runs: entries about it may have been lost with the quorum. See Recovery.
	Unproven bool `json:"unproven,omitempty"`
	// Tests are the last tests of its fence devices, by device.
	Tests map[string]Tested `json:"tests,omitempty"`
}

// JoinOffer is what an agent may join by, once.
type JoinOffer struct {
	Nonce uint64      `json:"nonce"` // index of the JoinOffered
	Inc   uint64      `json:"inc"`
	Ask   uint64      `json:"ask"`
	Terms lease.Terms `json:"terms"`
}

// Fencing is an attempt to fence a host.
type Fencing struct {
	Attempt int           `json:"attempt"`
	Monitor string        `json:"monitor"`
	Begun   time.Time     `json:"begun"`
	Within  time.Duration `json:"within_ns"`
	Ended   time.Time     `json:"ended,omitzero"`
	Outcome wire.Outcome  `json:"outcome,omitempty"` // empty while it is open
	Device  string        `json:"device,omitempty"`
	Reason  string        `json:"reason,omitempty"`
}

// Tested is what came of a fence device's last test.
type Tested struct {
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
	Reason string    `json:"reason,omitempty"`
}

// Silence is a silence that is wanted.
type Silence struct {
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Evidence is how it is known that a host, or a workload there, runs no more.
type Evidence struct {
	Kind   EvidenceKind `json:"kind"`
	Host   string       `json:"host"`
	Index  uint64       `json:"index"` // of the entry
	At     time.Time    `json:"at"`
	By     string       `json:"by"`
	Reason string       `json:"reason,omitempty"` // how
}

// String says it to people.
func (e *Evidence) String() string {
	text := fmt.Sprintf("%s (#%d) by %s", e.Kind, e.Index, e.By)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Wanted is what a workload should be doing.
type Wanted string

// The wanted states; empty until the first start, stop or adoption.
const (
	WantedRunning Wanted = "running"
	WantedStopped Wanted = "stopped"
)

// Workload is a workload as the cluster holds it.
//
// Invariant: an exclusive workload has at most one Owner, and the owner changes only through no owner.
type Workload struct {
	Wanted   Wanted `json:"wanted,omitempty"`
	Owner    string `json:"owner,omitempty"`      // the host that may run it
	Epoch    uint64 `json:"host_epoch,omitempty"` // the owner's, when it was granted
	Token    uint64 `json:"token,omitempty"`      // index of the grant
	Ready    bool   `json:"ready,omitempty"`      // its start was answered: it became ready once under this token
	Stopping bool   `json:"stopping,omitempty"`   // its stop has been started
	Last     string `json:"last,omitempty"`       // its last owner
	Run      uint64 `json:"run,omitempty"`        // the open run that claims it
	// Freed is the evidence by which its last owner lost it.
	Freed *Evidence `json:"freed,omitempty"`
	// Twice names the hosts that it was last seen running on at once; while it does nothing of it is granted.
	Twice   []string `json:"twice,omitempty"`
	Silence *Silence `json:"silence,omitempty"`
	// Tried is the epoch of the last host under which it ran last, or was started again by itself: once per epoch is enough.
	Tried uint64 `json:"tried,omitempty"`
}

// RunKind says what a run is a run of.
type RunKind string

// The kinds of run.
const (
	RunPlan     RunKind = "plan"     // a plan of the operators
	RunStart    RunKind = "start"    // holter start
	RunStop     RunKind = "stop"     // holter stop
	RunFence    RunKind = "fence"    // holter fence
	RunHomeless RunKind = "homeless" // workloads that should run, on the host they were last on
)

// RunState is where a run stands.
type RunState string

// The states of a run. Every run reaches one of the last three, or says what it waits for and until when.
const (
	RunRunning    RunState = "running"
	RunWaiting    RunState = "waiting"  // running, but for evidence that a person or a host's return must bring; see Standing
	RunPaused     RunState = "paused"   // a step did not succeed; a person may retry, skip or abort
	RunAborting   RunState = "aborting" // nothing more begins; what has begun is waited for
	RunSucceeded  RunState = "succeeded"
	RunFailed     RunState = "failed"
	RunWasAborted RunState = "aborted"
)

// Run is one execution of a plan.
type Run struct {
	ID      uint64    `json:"id"`
	Kind    RunKind   `json:"kind"`
	Plan    string    `json:"plan,omitempty"`
	PlanRev uint64    `json:"plan_rev,omitempty"`
	State   RunState  `json:"state"`
	Cause   uint64    `json:"cause,omitempty"` // index of the entry that triggered it
	By      string    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
	Hosts   []string  `json:"hosts"`
	Losses  []uint64  `json:"losses"`
	Steps   []Step    `json:"steps"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Until   time.Time `json:"until,omitzero"` // paused: when it fails by itself
	Why     []Input   `json:"why"`
}

// Open says that the run has not ended.
func (r *Run) Open() bool {
	return r.State != RunSucceeded && r.State != RunFailed && r.State != RunWasAborted
}

// StepState is where a step of a run stands.
type StepState string

// The states of a step.
const (
	StatePending StepState = "pending"
	StateStarted StepState = "started"
	StateDone    StepState = "done"
	StateFailed  StepState = "failed"
	StateUnknown StepState = "unknown" // nobody knows whether it happened
	StateSkipped StepState = "skipped"
)

// Step is one step of a run: one workload, one host, one wait. Its id is unique in the run.
type Step struct {
	ID       string         `json:"id"`   // step of the plan, "/", workload or host
	Plan     string         `json:"plan"` // id of the step of the plan that it belongs to
	Kind     plans.StepKind `json:"kind"`
	Workload string         `json:"workload,omitempty"`
	// Host is where: given for fence, run and stop; chosen when a start begins.
	Host    string          `json:"host,omitempty"`
	To      *plans.Selector `json:"to,omitempty"`
	Command string          `json:"command,omitempty"`
	Args    []string        `json:"args,omitempty"`
	After   []string        `json:"after"` // ids of steps that must have ended well
	// Restart of a stop: the workload starts again in this run because its provider was lost. Dependents that keep on
	// without it (on_loss: keep) do not stand in the way.
	Restart   bool            `json:"restart,omitempty"`
	Within    time.Duration   `json:"within_ns"`
	Idem      bool            `json:"idempotent,omitempty"`
	OnFailure plans.OnFailure `json:"on_failure"`

	State   StepState    `json:"state"`
	Attempt int          `json:"attempt"`         // 0 before the first
	Token   uint64       `json:"token,omitempty"` // index of the StepStarted of this attempt
	Spent   int          `json:"spent,omitempty"` // attempts that count against OnFailure.Attempts
	Begun   time.Time    `json:"begun,omitzero"`  // of this attempt
	Ended   time.Time    `json:"ended,omitzero"`
	NotYet  time.Time    `json:"not_yet,omitzero"` // a retry begins no earlier
	Outcome wire.Outcome `json:"outcome,omitempty"`
	Avoid   []string     `json:"avoid,omitempty"` // start: hosts where it failed
	Reason  string       `json:"reason,omitempty"`
	Already bool         `json:"already,omitempty"`
}

// Logged is an entry as the event list keeps it.
type Logged struct {
	Index uint64 `json:"index"`
	Run   uint64 `json:"run,omitempty"` // run_started: the number that the run got
	Entry Entry  `json:"entry"`
}

// NewState returns the state before the first entry.
func NewState() *State { return &State{} }

// RunID is the name of a run for people: R-0001.
func RunID(id uint64) string { return fmt.Sprintf("R-%04d", id) }

// Run returns the run of a number, nil if there is none (any more).
func (s *State) Run(id uint64) *Run {
	run, _ := s.Runs.Get(indexKey(id))
	return run
}

// Logged returns the event at an index of the log; false if it was refused, or is forgotten.
func (s *State) Logged(index uint64) (Logged, bool) { return s.Events.Get(indexKey(index)) }

// indexKey makes a number a table's key, so that the table is in the order of the numbers.
func indexKey(n uint64) string { return fmt.Sprintf("%020d", n) }

// Encode writes the state as it goes into a snapshot. Equal states give equal bytes. What no older program may read without
// noticing what it does not know begins with its version.
func (s *State) Encode(w io.Writer) error {
	if s.Log > 1 {
		if _, err := fmt.Fprintf(w, header, s.Log); err != nil {
			return err
		}
	}
	return json.NewEncoder(w).Encode(s)
}

// DecodeState reads what Encode wrote. The error is ErrUnknownEvent for what a newer program wrote, as far as it holds what
// this one does not know.
func DecodeState(r io.Reader) (*State, error) {
	buffered := bufio.NewReader(r)
	version, err := readHeader(buffered)
	if err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if version > LogVersion {
		return nil, fmt.Errorf("%w: a state of version %d of the log, this program knows %d", ErrUnknownEvent, version, LogVersion)
	}
	var s State
	decoder := json.NewDecoder(buffered)
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode state: something comes after it")
	}
	if max(s.Log, 1) != version {
		return nil, fmt.Errorf("decode state: it is of version %d of the log, and says %d", version, s.Log)
	}
	s.behind = behind(s.Inventory)
	return &s, nil
}
