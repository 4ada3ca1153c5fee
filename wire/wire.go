// Package wire is what travels between Holter's processes: the messages, the subjects they travel on, and their versions.
//
// A beat has a small fixed binary layout, because thousands of them arrive each second; everything else is JSON with a
// version. Each message and version has a golden file in testdata; old goldens stay and must still decode.
//
// A cluster is upgraded one process at a time, so two versions of the program speak with each other. Within version 1 of a JSON
// message only one thing may change: a field is added that the older side may ignore, and whose zero, left out, means "as
// before". What else changes, be it that a field gets another meaning or a word another value, needs version 2, and a program
// that writes it only to those who read it. So a decoder ignores fields that it does not know, and is strict about all else.
// The first program refused unknown fields too: to it a newer one must leave an added field out, hence Level is a message.
//
// Invariants: a decoder refuses what it does not understand, but for added fields, and never guesses; durations are nanoseconds; stamps are
// CLOCK_BOOTTIME of the machine that sent them and are compared only with stamps of that same machine.
//
// Concurrency: values, no shared state.
package wire

import (
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

// Version of the JSON messages. A message of another version is refused.
const Version = 1

// Kept names a workload that an agent runs under a token.
type Kept struct {
	Workload string `json:"workload"`
	Token    uint64 `json:"token"`
}

// Join asks the monitors to take this incarnation of a host in, in two turns: without a Nonce it asks for an Offer; with the
// Nonce of that Offer it says what runs here. Each turn is repeated each second until it is answered. An agent that asks to
// join acts under no epoch. Agent → monitors, on JoinSubject.
type Join struct {
	V     int           `json:"v"`
	Host  string        `json:"host"`
	Boot  string        `json:"boot"` // the machine's boot id, 32 hex digits
	Inc   uint64        `json:"inc"`  // this process's incarnation: random, never zero
	Stamp time.Duration `json:"stamp_ns"`
	// Ask counts the times that this incarnation began to join anew: an Offer to an earlier one is void.
	Ask uint64 `json:"ask"`
	// Nonce of the Offer that this answers, 0 while there is none.
	Nonce uint64 `json:"nonce,omitempty"`
	// Epoch is the host epoch that was held last in this boot, 0 for none, and Former the incarnation that held it: whoever
	// knows both is its successor on the same running machine.
	Epoch  uint64 `json:"host_epoch,omitempty"`
	Former uint64 `json:"former,omitempty"`
	// Tried are later incarnations of this boot whose joins were never answered.
	Tried []lease.Try `json:"tried,omitempty"`
	// Journal names the agent's journal: 32 hex digits, drawn when it was made. Only who still has the journal of the
	// former join can prove by Keep what is gone.
	Journal string `json:"journal,omitempty"`
	// Keep lists what runs here under a token from this agent's journal; everything else that the journal knows is
	// proven gone. What runs here and is in no journal shows in Status: running without a token.
	Keep    []Kept `json:"keep"`
	Version string `json:"version"` // of the agent's program
}

// Offer lets an agent join: once, and under these terms. Monitors → agent, on OfferSubject.
type Offer struct {
	V     int         `json:"v"`
	Host  string      `json:"host"`
	Inc   uint64      `json:"inc"`
	Ask   uint64      `json:"ask"`
	Nonce uint64      `json:"nonce"` // index of the log
	Terms lease.Terms `json:"terms"`
}

// Assignment tells a joined agent its epoch, what it may keep and what to watch. Monitors → agent, on AssignSubject, after
// a join and again whenever the agent's Status shows that it has not got this one.
type Assignment struct {
	V     int    `json:"v"`
	Host  string `json:"host"`
	Inc   uint64 `json:"inc"`
	Epoch uint64 `json:"host_epoch"`
	Nonce uint64 `json:"nonce"` // of the Join that the epoch answers
	// Index of the log that this assignment stands on; an older one is ignored.
	Index uint64 `json:"index"`
	// Terms and Voters of the lease.
	Terms  lease.Terms  `json:"terms"`
	Voters lease.Voters `json:"voters"`
	// Rejoin asks the agent to join again under the same incarnation, because its terms have changed.
	Rejoin bool `json:"rejoin,omitempty"`
	// Keep is what of the join's Keep the log bears out. The rest has no authority here and is stopped.
	Keep     []Kept        `json:"keep"`
	Watch    []Watched     `json:"watch"`
	Interval time.Duration `json:"interval_ns"` // between two beats
}

// Watched is a workload that may run on this host, to be reported in Status.
type Watched struct {
	Target actions.Target `json:"target"`
	Ready  actions.Ready  `json:"ready"`
	// Exclusive says that it must never run on two hosts: the lease is about these.
	Exclusive bool `json:"exclusive"`
}

// Status is what an agent knows of its workloads: sent on change and as a slow refresh. Agent → monitors, on StatusSubject.
type Status struct {
	V         int              `json:"v"`
	Host      string           `json:"host"`
	Inc       uint64           `json:"inc"`
	Epoch     uint64           `json:"host_epoch"` // 0: not joined
	Index     uint64           `json:"index"`      // of the newest Assignment
	Seq       uint64           `json:"seq"`
	Stamp     time.Duration    `json:"stamp_ns"`
	Version   string           `json:"version"`
	Lease     LeaseStatus      `json:"lease"`
	Workloads []WorkloadStatus `json:"workloads"`
}

// LeaseStatus is an agent's word on its lease.
type LeaseStatus struct {
	// Held says that a majority has confirmed the lease under this epoch, that it has not ended, and that whatever is to
	// enforce its end answers: only then may something be started here.
	Held bool `json:"held"`
	// Voters is the index of the lease voters a majority of which has renewed it under this epoch, 0: none yet.
	Voters uint64        `json:"voters,omitempty"`
	Left   time.Duration `json:"left_ns"` // until its end, when this was sent; negative: since
	// Fenced counts the times that this incarnation stopped what is exclusive because the lease ended; FencedAgo is how long
	// ago the last time was.
	Fenced    int           `json:"fenced,omitempty"`
	FencedAgo time.Duration `json:"fenced_ago_ns,omitempty"`
	// Why is what stands in the way while Held is false: "the guard does not answer".
	Why string `json:"why,omitempty"`
}

// WorkloadStatus is an agent's word on one workload of its Watch list.
type WorkloadStatus struct {
	Workload  string            `json:"workload"`
	Condition actions.Condition `json:"condition"`
	Ready     bool              `json:"ready"`
	Token     uint64            `json:"token,omitempty"` // under which it runs; 0 with Running means found
	Autostart bool              `json:"autostart,omitempty"`
	Detail    string            `json:"detail,omitempty"`
}

// Clock says what an agent's wall clock shows, and until when its certificate is good: nothing is decided by either, people are
// told. It is sent every ten seconds, beside Status and not in it: older monitors refuse a Status with another field.
// Agent → monitors, on ClockSubject.
type Clock struct {
	V       int       `json:"v"`
	Host    string    `json:"host"`
	Inc     uint64    `json:"inc"`
	Wall    time.Time `json:"wall"`
	Expires time.Time `json:"expires,omitzero"` // zero: it has no certificate
}

// Command tells an agent to do one thing once. Monitors → agent, on CommandSubject; repeated each second until answered.
type Command struct {
	V      int            `json:"v"`
	ID     string         `json:"id"` // run/step/workload/attempt
	Host   string         `json:"host"`
	Inc    uint64         `json:"inc"`
	Epoch  uint64         `json:"host_epoch"`
	Token  uint64         `json:"token"` // index of the StepStarted that authorises it
	Action actions.Action `json:"action"`
	// Ladder of a stop, first rung first; never empty for a stop.
	Ladder []actions.Rung `json:"ladder,omitempty"`
	// Ready of a start: the result is done only when it holds.
	Ready *actions.Ready `json:"ready,omitempty"`
	// Within bounds the whole work, from the moment the agent begins.
	Within time.Duration `json:"within_ns"`
	// NotAfter is a stamp of the agent's own clock after which the command must not be begun.
	NotAfter time.Duration `json:"not_after_ns"`
	// Exclusive says that the workload must never run on two hosts.
	Exclusive bool `json:"exclusive,omitempty"`
	// Idempotent allows a Run to be repeated when nobody knows whether it happened.
	Idempotent bool `json:"idempotent,omitempty"`
}

// Outcome is what came of a command or a step.
type Outcome string

// The outcomes. Unknown is not Failed: the thing may have happened.
const (
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Result answers a Command. Agent → monitors, on ResultSubject.
type Result struct {
	V       int     `json:"v"`
	ID      string  `json:"id"`
	Host    string  `json:"host"`
	Inc     uint64  `json:"inc"`
	Epoch   uint64  `json:"host_epoch"`
	Token   uint64  `json:"token"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // one line for people
	// Already says that the world was as wanted before anything was done.
	Already bool `json:"already,omitempty"`
	// Stopped says that the workload was proven gone from this host when the result was made.
	Stopped bool          `json:"stopped,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// Verdict is one monitor's opinion of one host.
type Verdict string

// The verdicts. Whoever cannot judge says so in View.Able; what it says then counts for nothing.
const (
	Alive Verdict = "alive"
	Late  Verdict = "late"
	Lost  Verdict = "lost"
)

// Opinion is one monitor's word on one host that it does not hold alive.
type Opinion struct {
	Host    string        `json:"host"`
	Inc     uint64        `json:"inc"`
	Verdict Verdict       `json:"verdict"`
	Age     time.Duration `json:"age_ns"` // of the newest evidence of life
	Seq     uint32        `json:"seq"`
}

// View is what a monitor publishes of its view every 200 ms: only hosts that are not alive. It is the monitors' own heart
// as well. Monitors → monitors, on ViewSubject.
type View struct {
	V        int           `json:"v"`
	Monitor  string        `json:"monitor"`
	Seq      uint64        `json:"seq"`
	Sent     time.Duration `json:"sent_ns"` // sender's boot time
	Wall     time.Time     `json:"wall"`
	Version  string        `json:"version"`
	Able     bool          `json:"able"` // false: this monitor cannot judge anybody now
	Why      string        `json:"why,omitempty"`
	Heard    int           `json:"heard"` // hosts it holds alive
	Opinions []Opinion     `json:"opinions"`
}

// Level says up to which version a monitor understands the entries of the log: what is newer is not proposed while one of them
// would not. It is sent each second, beside View and not in it: older monitors refuse a View with another field.
// Monitors → monitors, on LevelSubject.
type Level struct {
	V       int    `json:"v"`
	Monitor string `json:"monitor"`
	Log     int    `json:"log"`
	// Expires is until when its certificate is good; zero: it has none, or does not say it.
	Expires time.Time `json:"expires,omitzero"`
}

// Renew asks every monitor to renew the host's lease. Agent → monitors, on RenewSubject.
type Renew struct {
	V     int           `json:"v"`
	Host  string        `json:"host"`
	Inc   uint64        `json:"inc"`
	Epoch uint64        `json:"host_epoch"`
	Stamp time.Duration `json:"stamp_ns"` // the agent's boot time
}

// Ack answers a Renew, with its stamp. Monitor → agent, on AckSubject.
type Ack struct {
	V       int           `json:"v"`
	Monitor string        `json:"monitor"` // as a lease voter: its server id
	Host    string        `json:"host"`
	Inc     uint64        `json:"inc"`
	Epoch   uint64        `json:"host_epoch"`
	Stamp   time.Duration `json:"stamp_ns"`
	Voters  uint64        `json:"voters"` // index of the newest lease voters that this monitor knows
}

// Report says that a monitor has not renewed a revoked host's lease for so long that nothing of that epoch runs any more. It
// is repeated each second while the host is in that state. Monitors → monitors, on ReportSubject.
type Report struct {
	V          int    `json:"v"`
	Monitor    string `json:"monitor"` // as a lease voter: its server id
	Host       string `json:"host"`
	Epoch      uint64 `json:"host_epoch"`
	Revocation uint64 `json:"revocation"` // index of the entry that revoked the epoch
}

// ReadIndex asks (Index 0) how far a log must be applied to hold all that was committed before the question, and is the
// verified leader's answer. Monitors → monitors, on ReadIndexSubject of the one who asks.
type ReadIndex struct {
	V       int    `json:"v"`
	Monitor string `json:"monitor"` // who asks
	Ask     uint64 `json:"ask"`     // random: which question this is, or answers
	Index   uint64 `json:"index"`
}

// Fenced says what came of a fence attempt that the log gave to this monitor. It is repeated each second until the log
// holds it. Monitors → monitors, on FencedSubject.
type Fenced struct {
	V          int           `json:"v"`
	Monitor    string        `json:"monitor"`
	Host       string        `json:"host"`
	Revocation uint64        `json:"revocation"`
	Attempt    int           `json:"attempt"`
	Outcome    Outcome       `json:"outcome"`          // done: every device of a level was seen off
	Device     string        `json:"device,omitempty"` // which ones
	Reason     string        `json:"reason,omitempty"`
	Took       time.Duration `json:"took_ns"`
}

// Hello is how monitors find each other before there is a log. Monitors → monitors, on HelloSubject.
type Hello struct {
	V       int    `json:"v"`
	Monitor string `json:"monitor"` // configured name
	ID      string `json:"id"`      // server id: name and 64 random bits, made with the data directory
	Raft    string `json:"raft"`    // address of its Raft listener
	Cluster string `json:"cluster,omitempty"`
	// Members are the server ids of its Raft configuration; empty in a fresh directory.
	Members []string `json:"members"`
	// Of one that is in a cluster: the index of its state, the configured Raft addresses by name, and the index at which the
	// cluster was recovered last.
	Applied    uint64            `json:"applied,omitempty"`
	Peers      map[string]string `json:"peers,omitempty"`
	Generation uint64            `json:"generation,omitempty"`
}
