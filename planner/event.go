package planner

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// EntryVersion is the version of the log's JSON entries.
const EntryVersion = 1

// Entry is one entry of the log: an event with who, when and why. Its id is its Raft index.
type Entry struct {
	V      int       `json:"v"`
	Name   string    `json:"name"`             // host_lost, …: the name of Event
	At     time.Time `json:"at"`               // log time, never earlier than the entry before
	By     string    `json:"by"`               // a monitor or a user
	From   string    `json:"from,omitempty"`   // where a user's request came from
	Reason string    `json:"reason,omitempty"` // for people
	Cause  uint64    `json:"cause,omitempty"`  // index of the entry this one follows from
	Event  Event     `json:"event"`
}

// Event is a fact that the monitors have agreed on. The types below are all there are.
//
//sumtype:decl
type Event interface{ Name() string }

// ClusterFormed is the first entry of a new cluster's log.
type ClusterFormed struct {
	Cluster  string   `json:"cluster"`  // 32 random hex digits
	Monitors []string `json:"monitors"` // the first lease voters
	// Admin is the first user, who may do everything; empty in a cluster that asks nobody who they are.
	Admin string `json:"admin,omitempty"`
}

// MonitorsChanged sets the monitors that vote on leases from here on. Evidence by lease needs a majority of every set that
// was in force since the host joined, so that no waiting is needed between two changes.
type MonitorsChanged struct {
	Monitors []string `json:"monitors"`
}

// FilesApplied sets inventory and plans. It starts nothing.
type FilesApplied struct {
	// Base is the revision that the files were checked against; when the world moved on since, the entry is refused.
	Base uint64    `json:"base"`
	Set  plans.Set `json:"set"`
}

// PlanArmed lets a plan start by itself.
type PlanArmed struct {
	Plan string `json:"plan"`
}

// PlanDisarmed stops a plan from starting by itself. Open runs go on.
type PlanDisarmed struct {
	Plan string `json:"plan"`
}

// JoinOffered lets an incarnation of a host join, once: its index is the nonce that the HostJoined must name. A newer offer
// voids the former one.
type JoinOffered struct {
	Host string `json:"host"`
	Inc  uint64 `json:"inc"`
	Ask  uint64 `json:"ask"` // of the agent's Join
}

// HostJoined takes an incarnation of a host in; its index is the host epoch. It must answer the newest JoinOffered, and while
// another incarnation may still run something, come from that one's successor on the same running machine: whoever knows
// its Former incarnation and Last epoch. Keep is the agent's own list of what runs, or may: workloads that the host owned
// and that are not on it are free, for the agent has proven them gone. An agent with another journal than the former join's has proven nothing: what the host owned stays with it.
type HostJoined struct {
	Host    string      `json:"host"`
	Journal string      `json:"journal,omitempty"`
	Boot    string      `json:"boot"`
	Inc     uint64      `json:"inc"`
	Nonce   uint64      `json:"nonce"`
	Former  uint64      `json:"former,omitempty"`
	Last    uint64      `json:"last,omitempty"`
	Keep    []wire.Kept `json:"keep"`
	Version string      `json:"version"`
}

// LeaseConfirmed says that a majority of a set of lease voters has renewed a host's lease under its epoch: what older sets have
// renewed counts no more.
type LeaseConfirmed struct {
	Host   string `json:"host"`
	Epoch  uint64 `json:"host_epoch"`
	Voters uint64 `json:"voters"` // index of the set
}

// HostRevoked revokes the epoch of a host because it is to be fenced, whether it beats or not. It needs an open run of kind
// fence for that host.
type HostRevoked struct {
	Host  string `json:"host"`
	Inc   uint64 `json:"inc"`
	Epoch uint64 `json:"host_epoch"`
}

// HostLost says that a majority of the monitors does not hear a host. It revokes the host's epoch.
type HostLost struct {
	Host      string        `json:"host"`
	Inc       uint64        `json:"inc"`
	Epoch     uint64        `json:"host_epoch"`
	Witnesses []Witness     `json:"witnesses"`
	Age       time.Duration `json:"age_ns"` // of the newest sign of life that any witness has
}

// Witness is one monitor's part in a HostLost.
type Witness struct {
	Monitor string        `json:"monitor"`
	Age     time.Duration `json:"age_ns"`
}

// HostReinstated takes a revocation back: the same incarnation is heard, no fencing is under way and nothing was moved yet.
type HostReinstated struct {
	Host       string `json:"host"`
	Epoch      uint64 `json:"host_epoch"`
	Revocation uint64 `json:"revocation"` // index of the HostLost
}

// EvidenceKind is how it is known that something runs no more on a host.
type EvidenceKind string

// The kinds of evidence.
const (
	Stopped      EvidenceKind = "stopped"       // its agent proved it gone
	Fenced       EvidenceKind = "fenced"        // the host was seen off
	LeaseExpired EvidenceKind = "lease-expired" // its lease has ended, and the host fences itself
	Confirmed    EvidenceKind = "confirmed"     // a person said so
)

// HostExpired says that a revoked host runs nothing any more, with the evidence. Its workloads are free, but for those that
// do not accept this kind. A host that has expired may expire again under better evidence, for their sake.
type HostExpired struct {
	Host       string       `json:"host"`
	Epoch      uint64       `json:"host_epoch"`
	Revocation uint64       `json:"revocation"`
	Evidence   EvidenceKind `json:"evidence"`
	Reports    []string     `json:"reports,omitempty"` // lease-expired: the monitors that bear witness
}

// FenceStarted gives the fencing of a revoked host to a monitor. Intent before act: only the monitor that it names acts, and
// only while this attempt is open.
type FenceStarted struct {
	Host       string        `json:"host"`
	Revocation uint64        `json:"revocation"`
	Attempt    int           `json:"attempt"`
	Monitor    string        `json:"monitor"`
	Within     time.Duration `json:"within_ns"` // after it the outcome is unknown
}

// FenceFinished says what came of an attempt: done means that every device of a level was seen off.
type FenceFinished struct {
	Host       string        `json:"host"`
	Revocation uint64        `json:"revocation"`
	Attempt    int           `json:"attempt"`
	Monitor    string        `json:"monitor"`
	Outcome    wire.Outcome  `json:"outcome"`
	Device     string        `json:"device,omitempty"`
	Took       time.Duration `json:"took_ns,omitempty"`
}

// FencesTested says which fence devices answer.
type FencesTested struct {
	Tests []FenceTest `json:"tests"`
}

// FenceTest is the test of one device of a host.
type FenceTest struct {
	Host   string `json:"host"`
	Device string `json:"device"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// SilenceWanted says that the silence of a host, or of a workload, is wanted until a moment of log time: nobody is lost and
// nobody is alarmed for it. It ends by itself.
type SilenceWanted struct {
	Host     string    `json:"host,omitempty"`
	Workload string    `json:"workload,omitempty"`
	Until    time.Time `json:"until"`
}

// SilenceEnded ends a wanted silence before its time.
type SilenceEnded struct {
	Host     string `json:"host,omitempty"`
	Workload string `json:"workload,omitempty"`
}

// HostReleased lets a quarantined host take workloads again. By a person.
type HostReleased struct {
	Host string `json:"host"`
}

// WorkloadSeenTwice says that an exclusive workload was seen running on several hosts. Nothing of it is granted until it is
// seen on one.
type WorkloadSeenTwice struct {
	Workload string   `json:"workload"`
	Hosts    []string `json:"hosts"` // sorted
}

// WorkloadSeenOnce ends a WorkloadSeenTwice.
type WorkloadSeenOnce struct {
	Workload string `json:"workload"`
}

// WorkloadAdopted gives a workload that was found running to the host where it runs.
type WorkloadAdopted struct {
	Workload string `json:"workload"`
	Host     string `json:"host"`
	Epoch    uint64 `json:"host_epoch"`
}

// RunStarted starts a run of a plan, or of one of the built-in ones (RunKind). Its steps are all there from the start.
type RunStarted struct {
	Kind    RunKind  `json:"kind"`
	Plan    string   `json:"plan,omitempty"`
	PlanRev uint64   `json:"plan_rev,omitempty"` // index of the FilesApplied that the plan came with
	Hosts   []string `json:"hosts"`              // the trigger's hosts, sorted
	Losses  []uint64 `json:"losses"`             // the HostLost of each, in the order of Hosts
	Steps   []Step   `json:"steps"`
	Why     []Input  `json:"why"`
}

// Input is one thing that a decision looked at, for people.
type Input struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	OK    bool   `json:"ok"`
}

// StepStarted lets a step begin. Of the start of a workload it is the grant, and its index is the token.
type StepStarted struct {
	Run     uint64        `json:"run"`
	Step    string        `json:"step"`
	Attempt int           `json:"attempt"`
	Host    string        `json:"host,omitempty"`
	Epoch   uint64        `json:"host_epoch,omitempty"`
	Within  time.Duration `json:"within_ns"`
	Why     []Input       `json:"why"`
}

// StepFinished says what came of a step's attempt.
type StepFinished struct {
	Run     uint64        `json:"run"`
	Step    string        `json:"step"`
	Attempt int           `json:"attempt"`
	Token   uint64        `json:"token,omitempty"` // of the grant that a stop ended, or that a start used
	Outcome wire.Outcome  `json:"outcome"`
	Stopped bool          `json:"stopped,omitempty"` // the workload is proven gone from the step's host
	Already bool          `json:"already,omitempty"`
	Took    time.Duration `json:"took_ns,omitempty"`
}

// StepReset puts a step whose host expired back to pending, to be placed anew.
type StepReset struct {
	Run     uint64 `json:"run"`
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
}

// StepRetried lets a step that did not succeed begin again. By a person.
type StepRetried struct {
	Run  uint64 `json:"run"`
	Step string `json:"step"`
}

// StepSkipped lets a run go on without a step. By a person.
type StepSkipped struct {
	Run  uint64 `json:"run"`
	Step string `json:"step"`
}

// RunAborted lets nothing more of a run begin; it ends when what has begun is answered. By a person.
type RunAborted struct {
	Run uint64 `json:"run"`
}

// RunEnded ends a run: by its steps, by a person, or because its time was up.
type RunEnded struct {
	Run     uint64   `json:"run"`
	Outcome RunState `json:"outcome"` // succeeded, failed or aborted
}

// Name implements Event, for each of the types above.
func (ClusterFormed) Name() string     { return "cluster_formed" }
func (FilesApplied) Name() string      { return "files_applied" }
func (MonitorsChanged) Name() string   { return "monitors_changed" }
func (JoinOffered) Name() string       { return "join_offered" }
func (LeaseConfirmed) Name() string    { return "lease_confirmed" }
func (HostRevoked) Name() string       { return "host_revoked" }
func (FenceStarted) Name() string      { return "fence_started" }
func (FenceFinished) Name() string     { return "fence_finished" }
func (FencesTested) Name() string      { return "fences_tested" }
func (SilenceWanted) Name() string     { return "silence_wanted" }
func (SilenceEnded) Name() string      { return "silence_ended" }
func (HostReleased) Name() string      { return "host_released" }
func (WorkloadSeenTwice) Name() string { return "workload_seen_twice" }
func (WorkloadSeenOnce) Name() string  { return "workload_seen_once" }
func (PlanArmed) Name() string         { return "plan_armed" }
func (PlanDisarmed) Name() string      { return "plan_disarmed" }
func (HostJoined) Name() string        { return "host_joined" }
func (HostLost) Name() string          { return "host_lost" }
func (HostReinstated) Name() string    { return "host_reinstated" }
func (HostExpired) Name() string       { return "host_expired" }
func (WorkloadAdopted) Name() string   { return "workload_adopted" }
func (RunStarted) Name() string        { return "run_started" }
func (StepStarted) Name() string       { return "step_started" }
func (StepFinished) Name() string      { return "step_finished" }
func (StepReset) Name() string         { return "step_reset" }
func (StepRetried) Name() string       { return "step_retried" }
func (StepSkipped) Name() string       { return "step_skipped" }
func (RunAborted) Name() string        { return "run_aborted" }
func (RunEnded) Name() string          { return "run_ended" }

// ErrUnknownEvent means that the log holds an event that this program does not know: it is older than the log.
var ErrUnknownEvent = errors.New("unknown event")

// decoders turns an event's JSON into its type, by name.
var decoders = map[string]func([]byte) (Event, error){}

func init() {
	register[ClusterFormed]()
	register[MonitorsChanged]()
	registerSince[ClusterRecovered](2)
	register[FilesApplied]()
	register[PlanArmed]()
	register[PlanDisarmed]()
	register[JoinOffered]()
	register[HostJoined]()
	register[LeaseConfirmed]()
	register[HostRevoked]()
	register[HostLost]()
	register[HostReinstated]()
	register[HostExpired]()
	register[FenceStarted]()
	register[FenceFinished]()
	register[FencesTested]()
	register[SilenceWanted]()
	register[SilenceEnded]()
	register[HostReleased]()
	register[WorkloadSeenTwice]()
	register[WorkloadSeenOnce]()
	register[WorkloadAdopted]()
	register[RunStarted]()
	register[StepStarted]()
	register[StepFinished]()
	register[StepReset]()
	register[StepRetried]()
	register[StepSkipped]()
	register[RunAborted]()
	register[RunEnded]()
}

// register makes a type of event known that was there in the first version of the log.
func register[E Event]() { registerSince[E](1) }

// registerSince makes a type of event known that came with a later version of the log.
func registerSince[E Event](version int) {
	var zero E
	levels[zero.Name()] = version
	decoders[zero.Name()] = func(b []byte) (Event, error) {
		var e E
		err := json.Unmarshal(b, &e)
		return e, err
	}
}

// EncodeEntry makes the bytes of a log entry. It sets V and Name.
func EncodeEntry(e Entry) ([]byte, error) {
	e.V, e.Name = EntryVersion, e.Event.Name()
	return json.Marshal(e)
}

// DecodeEntry reads the bytes of a log entry. The error is ErrUnknownEvent for an event or version it does not know.
func DecodeEntry(b []byte) (Entry, error) {
	var e Entry
	err := json.Unmarshal(b, &e)
	return e, err
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Entry) UnmarshalJSON(b []byte) error {
	type fields Entry // without this method
	var raw struct {
		fields
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("decode log entry: %w", err)
	}
	decode := decoders[raw.Name]
	if raw.V != EntryVersion || decode == nil {
		return fmt.Errorf("%w: %q version %d", ErrUnknownEvent, raw.Name, raw.V)
	}
	event, err := decode(raw.Event)
	if err != nil {
		return fmt.Errorf("decode %s: %w", raw.Name, err)
	}
	*e = Entry(raw.fields)
	e.Event = event
	return nil
}
