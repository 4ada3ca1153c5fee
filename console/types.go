package console

import (
	"encoding/json"
	"time"

	"github.com/holter-ha/holter/plans"
)

// APIVersion is the version of every answer. Within it fields may be added, and none removed.
const APIVersion = "holter/v1"

// Meta says what an answer is and what it stands on.
type Meta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Index      uint64 `json:"index"` // of the log
	AgeMs      int64  `json:"ageMs"` // how old the answer may be: time since the last word of a leader; -1: no leader ever
}

// List is an answer of many things. Items is never null.
type List[T any] struct {
	Meta
	Items []T `json:"items"`
}

// Doc is an answer of one thing.
type Doc[T any] struct {
	Meta
	Item T `json:"item"`
}

// Time is a moment as the API writes it: RFC 3339, UTC, milliseconds.
type Time struct{ time.Time }

const timeFormat = "2006-01-02T15:04:05.000Z"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// String is the moment as the API writes it.
func (t Time) String() string { return t.UTC().Format(timeFormat) }

// Status is the state of the cluster on one screen.
type Status struct {
	Cluster         string        `json:"cluster"`   // its name in the inventory; empty before the first one
	ClusterID       string        `json:"clusterId"` // made when it was formed
	Self            string        `json:"self"`      // the monitor that answers
	Leader          string        `json:"leader"`
	Term            uint64        `json:"term"`
	LeaderContactMs int64         `json:"leaderContactMs"` // -1: never
	Monitors        []MonitorItem `json:"monitors"`
	Revision        uint64        `json:"revision"` // of the inventory and plans
	Armed           []string      `json:"armed"`    // plans
	Disarmed        []string      `json:"disarmed"`
	Sites           []SiteItem    `json:"sites"`
	Needs           []Need        `json:"needs"`    // what needs a person, worst first
	Silences        []WantedItem  `json:"silences"` // the silences that are wanted now, hosts first
	Runs            []RunItem     `json:"runs"`     // the open ones, oldest first
	Version         string        `json:"version"`
}

// MonitorItem is one configured monitor as the answering one sees it.
type MonitorItem struct {
	Name     string `json:"name"`
	API      string `json:"api,omitempty"`
	Suffrage string `json:"suffrage,omitempty"` // voter, nonvoter; empty: not in the cluster yet
	Answers  bool   `json:"answers"`
	Leader   bool   `json:"leader"`
	AgeMs    int64  `json:"ageMs"` // of its newest word; -1: never
	Able     bool   `json:"able"`  // it can judge hosts now
	Why      string `json:"why,omitempty"`
	Version  string `json:"version,omitempty"`
}

// SiteItem counts the hosts and workloads of a site.
type SiteItem struct {
	Name    string `json:"name"`
	Hosts   int    `json:"hosts"`
	Alive   int    `json:"alive"`
	Suspect int    `json:"suspect"`
	Lost    int    `json:"lost"`    // lost, and those of them with evidence
	Unknown int    `json:"unknown"` // unseen, unknown, returning, silent as wanted
	// Wanted counts the workloads that should run here: owned by a host of this site, or, homeless, last on one; but for
	// those whose silence is wanted.
	Wanted  int `json:"wanted"`
	Running int `json:"running"` // how many of them do
}

// Level says how bad something is.
type Level string

// The levels, worst first.
const (
	LevelCritical Level = "critical"
	LevelPaused   Level = "paused"
	LevelWarning  Level = "warning"
)

// Need is something that needs a person.
type Need struct {
	Level   Level  `json:"level"`
	About   string `json:"about"` // the host, workload, run or monitor
	Text    string `json:"text"`
	Command string `json:"command,omitempty"` // what to type
}

// HostItem is one host on its three axes, and the one word for them.
type HostItem struct {
	Name        string            `json:"name"`
	Site        string            `json:"site"`
	Address     string            `json:"address,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Word        HostWord          `json:"word"`
	Heart       string            `json:"heart"`
	Duty        string            `json:"duty"`
	Proof       string            `json:"proof"`
	AgeMs       int64             `json:"ageMs"` // of its newest sign of life here; -1: never
	LostAfterMs int64             `json:"lostAfterMs"`
	LostBy      []string          `json:"lostBy"` // monitors that do not hear it
	Epoch       uint64            `json:"hostEpoch"`
	Version     string            `json:"version,omitempty"`
	Since       Time              `json:"since,omitzero"` // of its phase in the log
	Evidence    *EvidenceItem     `json:"evidence,omitempty"`
	Lease       LeaseItem         `json:"lease"`
	Fence       []DeviceItem      `json:"fence"`             // its fence devices, in the order in which they are tried
	Fencing     *FencingItem      `json:"fencing,omitempty"` // the newest attempt
	Twin        string            `json:"twin,omitempty"`    // incarnation of a second agent of this name that beats
	Anew        string            `json:"anew,omitempty"`    // incarnation of an agent that beats while the one that joined is silent
	Silence     *SilenceItem      `json:"silence,omitempty"` // its silence is wanted
	HeldBack    bool              `json:"heldBack"`          // it would be lost if its silence were not wanted
	Quarantine  Time              `json:"quarantineUntil,omitzero"`
	Losses      int               `json:"losses,omitempty"`     // within the last hour
	Damped      Time              `json:"dampedUntil,omitzero"` // lost again: no plan starts by itself for it before
	Workloads   []PlacedItem      `json:"workloads"`
}

// LeaseItem is the lease of a host: its terms, and how it stands.
type LeaseItem struct {
	SelfFence   string `json:"selfFence"`  // none, guard, watchdog
	TakeoverMs  int64  `json:"takeoverMs"` // after the last renewal, a silent host runs nothing any more; 0: that proves nothing
	Sum         string `json:"sum,omitempty"`
	Held        bool   `json:"held"`
	LeftMs      int64  `json:"leftMs"` // until its end; negative: since
	Why         string `json:"why,omitempty"`
	Fenced      int    `json:"fencedItself,omitempty"` // how often this agent stopped what is exclusive because the lease ended
	FencedAgoMs int64  `json:"fencedAgoMs,omitempty"`  // how long ago the last time was
	OverBy      Time   `json:"overBy,omitzero"`        // of a lost host: by then its lease is over
	Pending     bool   `json:"pending,omitempty"`      // the inventory has other terms: they count from the next join on
}

// DeviceItem is a fence device of a host with its last test.
type DeviceItem struct {
	Name   string `json:"name"`
	Agent  string `json:"agent"`
	Level  int    `json:"level"` // from 1; all devices of one must confirm
	Tested Time   `json:"tested,omitzero"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// FencingItem is an attempt to fence a host.
type FencingItem struct {
	Attempt int    `json:"attempt"`
	Monitor string `json:"monitor"`
	Begun   Time   `json:"begun"`
	Ended   Time   `json:"ended,omitzero"`
	Outcome string `json:"outcome,omitempty"` // done, failed, unknown; empty while it is under way
	Device  string `json:"device,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// SilenceItem is a silence that is wanted.
type SilenceItem struct {
	Until  Time   `json:"until"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// WantedItem is a wanted silence with what it is about.
type WantedItem struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`               // host, workload
	HeldBack string `json:"heldBack,omitempty"` // what would be an alarm if the silence were not wanted
	SilenceItem
}

// EvidenceItem is how it is known that something runs no more on a host.
type EvidenceItem struct {
	Kind   string `json:"kind"` // stopped, fenced, lease-expired, confirmed
	Host   string `json:"host"`
	Index  uint64 `json:"index"`
	At     Time   `json:"at"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// PlacedItem is a workload on a host.
type PlacedItem struct {
	Name      string       `json:"name"`
	Word      WorkloadWord `json:"word"`
	Exclusive bool         `json:"exclusive"`
}

// WorkloadItem is one workload.
type WorkloadItem struct {
	Name      string       `json:"name"`
	Kind      string       `json:"kind"`
	Unit      string       `json:"unit"`
	Exclusive bool         `json:"exclusive"`
	Word      WorkloadWord `json:"word"`
	Wanted    string       `json:"wanted"` // running, stopped, or empty: Holter never had it
	Owner     string       `json:"owner,omitempty"`
	Last      string       `json:"last,omitempty"`
	Token     uint64       `json:"token,omitempty"`
	// Freed is the evidence by which its last owner lost it.
	Freed   *EvidenceItem `json:"freed,omitempty"`
	Twice   []string      `json:"twice,omitempty"`   // hosts that it was seen running on at once
	Silence *SilenceItem  `json:"silence,omitempty"` // its silence is wanted
	Run     string        `json:"runId,omitempty"`   // the open run that claims it
	Hosts   []string      `json:"hosts"`             // where it may run, most preferred first
	After   []string      `json:"after"`             // its providers
	Reports []ReportItem  `json:"reports"`           // what agents say of it
}

// ReportItem is what one host's agent says of a workload.
type ReportItem struct {
	Host      string `json:"host"`
	Condition string `json:"condition"`
	Ready     bool   `json:"ready"`
	Token     uint64 `json:"token,omitempty"`
	Found     bool   `json:"found"`
	Autostart bool   `json:"autostart"`
	Detail    string `json:"detail,omitempty"`
}

// PlanItem is one plan. Source is set only when it was asked for by name.
type PlanItem struct {
	Name     string          `json:"name"`
	Revision uint64          `json:"revision"`
	Armed    bool            `json:"armed"`
	Owner    string          `json:"owner,omitempty"`
	Hash     string          `json:"hash"`
	Triggers []plans.Trigger `json:"triggers"`
	Steps    int             `json:"steps"`
	Source   string          `json:"source,omitempty"`
}

// RunItem is one run with all its steps.
type RunItem struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Plan     string     `json:"plan,omitempty"`
	PlanRev  uint64     `json:"planRevision,omitempty"`
	State    string     `json:"state"`
	Cause    uint64     `json:"cause,omitempty"`
	By       string     `json:"by"`
	Reason   string     `json:"reason,omitempty"`
	Hosts    []string   `json:"hosts"`
	Started  Time       `json:"started"`
	Ended    Time       `json:"ended,omitzero"`
	Until    Time       `json:"until,omitzero"` // paused, waiting: when that ends by itself
	Waits    []string   `json:"waits"`          // what it waits for now, and what a person can do about it
	Finished int        `json:"finished"`       // steps that are done, skipped or failed for good
	Steps    []StepItem `json:"steps"`
	Exit     Exit       `json:"exit"` // of an ended run: what a follower exits with
}

// Open says that the run has not ended.
func (r RunItem) Open() bool { return r.Ended.IsZero() }

// StepItem is one step of a run.
type StepItem struct {
	ID       string   `json:"id"`
	Step     string   `json:"step"` // of the plan
	Kind     string   `json:"kind"`
	Workload string   `json:"workload,omitempty"`
	Host     string   `json:"host,omitempty"`
	State    string   `json:"state"`
	Attempt  int      `json:"attempt"`
	After    []string `json:"after"`
	Begun    Time     `json:"begun,omitzero"`
	Ended    Time     `json:"ended,omitzero"`
	TookMs   int64    `json:"tookMs"`
	Deadline Time     `json:"deadline,omitzero"` // of a step that has begun
	Outcome  string   `json:"outcome,omitempty"`
	Already  bool     `json:"already"`
	Reason   string   `json:"reason,omitempty"`
	NotYet   Time     `json:"notYet,omitzero"` // of a pending step: its next attempt begins no earlier
	WaitsFor []string `json:"waitsFor"`        // of a pending step: the steps before it
	// Evidence is that by which the workload had left another host before it was started on this one.
	Evidence string `json:"evidence,omitempty"`
}

// EventItem is one event of the log: its line for people, and the event itself as the log holds it.
type EventItem struct {
	EventLine
	Detail json.RawMessage `json:"detail"`
}
