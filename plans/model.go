package plans

import (
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

// APIVersion is the one value of the field apiVersion.
const APIVersion = "holter/v1"

// Set is what a group of files compiles to. Applying it is one event, all or nothing.
type Set struct {
	Inventory *Inventory `json:"inventory,omitempty"` // nil: the files hold plans only
	Plans     []*Plan    `json:"plans,omitempty"`     // sorted by name
}

// Inventory is what there is: sites, hosts, workloads and what they need of each other.
type Inventory struct {
	Cluster   Cluster             `json:"cluster"`
	Sites     []string            `json:"sites"` // sorted
	Hosts     map[string]Host     `json:"hosts"`
	Workloads map[string]Workload `json:"workloads"`
	Source    string              `json:"source"` // the file's text as it was applied
}

// Cluster holds what is set for all hosts.
type Cluster struct {
	Name      string    `json:"name"`
	Heartbeat Heartbeat `json:"heartbeat"`
}

// FenceDevice is one way to take a host's power away: a program of the fence-agents.
type FenceDevice struct {
	Name     string            `json:"name"`              // unique on its host; default: the agent's, without fence_ and with - for _
	Agent    string            `json:"agent"`             // fence_ipmilan
	Options  map[string]string `json:"options,omitempty"` // as the agent names them; NAME_file: a file on the monitors that holds NAME
	Timeout  time.Duration     `json:"timeout_ns"`        // of one attempt, its confirmation included; default 30 s
	Attempts int               `json:"attempts"`          // default 2
}

// FenceLevel is devices that must all confirm; the levels of a host are tried in order until one has.
type FenceLevel struct {
	Devices  []FenceDevice `json:"devices"`
	OneByOne bool          `json:"one_by_one,omitempty"` // default: all at once
}

// Evidence is what a workload accepts as proof that its former host runs it no more.
type Evidence string

// The choices for Evidence. A person's word and the agent's own proof that it stopped are always accepted.
const (
	EvidenceAny    Evidence = "any"
	EvidenceFenced Evidence = "fenced" // not the end of a lease: the host may be paused as a whole and go on later
)

// Guard is what must hold when a plan would start by itself.
type Guard struct {
	// MaxLost is how many hosts of the plan's fleet may be lost within ten seconds; MaxLostShare the same as a share of the
	// fleet in percent. The larger of the two counts. More is a mass loss: the plan holds until a person starts it.
	MaxLost      int `json:"max_lost"`       // default 3
	MaxLostShare int `json:"max_lost_share"` // default 30
}

// Heartbeat says how often agents beat and how long silence lasts before a host is lost.
type Heartbeat struct {
	Interval     time.Duration `json:"interval_ns"`       // default 250 ms
	LateAfter    time.Duration `json:"late_after_ns"`     // default 3 × interval: a free hint, never an action
	LostAfter    time.Duration `json:"lost_after_ns"`     // default 3 s; at least 6 × interval and 1 s
	LostAfterMax time.Duration `json:"lost_after_max_ns"` // default 2 × lost_after
}

// Host is a machine with an agent.
type Host struct {
	Site    string            `json:"site"`
	Address string            `json:"address,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Lease holds the numbers of this host's lease: the cluster's, with this host's self_fence and watchdog.
	Lease lease.Terms  `json:"lease"`
	Fence []FenceLevel `json:"fence,omitempty"` // in the order in which they are tried
}

// Workload is something that runs on a host.
type Workload struct {
	Kind      string            `json:"kind"`
	Unit      string            `json:"unit"`
	Labels    map[string]string `json:"labels,omitempty"`
	Exclusive bool              `json:"exclusive"`      // default true: never on two hosts
	Evidence  Evidence          `json:"evidence"`       // default any
	Hosts     []string          `json:"hosts"`          // allowed hosts, most preferred first, selectors resolved
	After     []Dependency      `json:"after"`          // its providers, sorted by name
	Ready     actions.Ready     `json:"ready"`          // default: active, timeout 60 s
	Stop      []actions.Rung    `json:"stop"`           // default: shutdown 60s, then power_off 10s
	Start     time.Duration     `json:"start_limit_ns"` // how long the start itself may take, default 60 s
}

// Dependency says that a workload is started after a provider is ready and stopped before it.
type Dependency struct {
	On     string `json:"on"`
	OnLoss OnLoss `json:"on_loss"`
}

// OnLoss is what happens to a dependent whose provider is lost and started again.
type OnLoss string

// The choices for OnLoss.
const (
	LossKeep    OnLoss = "keep"
	LossRestart OnLoss = "restart"
)

// Selector picks hosts or workloads; all that is given must hold. The zero Selector picks nothing, Any everything.
type Selector struct {
	Any    bool              `json:"any,omitempty"`
	Names  []string          `json:"names,omitempty"` // sorted
	Labels map[string]string `json:"labels,omitempty"`
	Site   string            `json:"site,omitempty"` // of the host, or of the host the workload is on
	Kind   string            `json:"kind,omitempty"` // workloads only
	// LostWith picks the workloads whose owner, when the run started, was one of the trigger's hosts.
	LostWith bool `json:"lost_with,omitempty"`
}

// Plan is what to do when something happens.
type Plan struct {
	Name    string    `json:"name"`
	Owner   string    `json:"owner,omitempty"`
	Trigger []Trigger `json:"trigger,omitempty"` // any of; none: by hand only
	Guard   Guard     `json:"guard"`
	Steps   []Step    `json:"steps"`  // in the order of the file, which is a topological order of After
	Source  string    `json:"source"` // the file's text as it was applied
	Hash    string    `json:"hash"`   // sha256 of Source, hex
}

// Trigger starts a plan.
type Trigger struct {
	HostLost *Selector `json:"host_lost,omitempty"`
}

// StepKind is what a step does.
type StepKind string

// The kinds of step.
const (
	StepFence StepKind = "fence" // wait until there is evidence that the hosts run nothing any more
	StepStop  StepKind = "stop"  // stop workloads, dependents first
	StepStart StepKind = "start" // start workloads, providers first, each when its providers are ready
	StepWait  StepKind = "wait"  // let time pass
	StepRun   StepKind = "run"   // run an allow-listed command on a host
)

// Step is one step of a plan. One step over many workloads becomes many steps of a run.
type Step struct {
	ID        string        `json:"id"`
	Kind      StepKind      `json:"kind"`
	After     []string      `json:"after"`               // ids of steps that end before this one begins
	Workloads *Selector     `json:"workloads,omitempty"` // stop, start
	To        *Selector     `json:"to,omitempty"`        // start: which hosts; nil: as the inventory allows
	Host      string        `json:"host,omitempty"`      // run
	Command   string        `json:"command,omitempty"`   // run
	Args      []string      `json:"args,omitempty"`      // run
	For       time.Duration `json:"for_ns,omitempty"`    // wait
	// Timeout of the whole step as the operator gave it; 0: what the workloads' own limits add up to (fence: 1 h).
	Timeout    time.Duration `json:"timeout_ns,omitempty"`
	Idempotent bool          `json:"idempotent,omitempty"` // run: may be repeated when nobody knows whether it happened
	OnFailure  OnFailure     `json:"on_failure"`
}

// OnFailure says what happens when a step did not succeed.
type OnFailure struct {
	Attempts int           `json:"attempts"` // in all, at least 1
	Delay    time.Duration `json:"delay_ns,omitempty"`
	Factor   int           `json:"factor,omitempty"` // the delay is multiplied by it after each attempt, at least 1
	Then     Then          `json:"then"`
	Within   time.Duration `json:"within_ns"` // halt: how long a run stays paused before it fails, default 1 h
}

// Then is what follows the last failed attempt.
type Then string

// The choices for Then.
const (
	ThenHalt     Then = "halt"     // pause the run until a person retries, skips or aborts
	ThenContinue Then = "continue" // go on as if it had succeeded
	ThenAbort    Then = "abort"    // end the run as failed
)
