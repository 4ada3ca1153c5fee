package planner

import (
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// Heart is what one monitor's view says of a host's heartbeat.
type Heart string

// The hearts. Unknown starts nothing.
const (
	HeartUnseen  Heart = "unseen"
	HeartAlive   Heart = "alive"
	HeartSuspect Heart = "suspect" // late here, or lost here but not for a majority yet
	HeartLost    Heart = "lost"
	HeartUnknown Heart = "unknown" // this monitor cannot judge now
)

// Picture is one monitor's view for people, made at one moment. It is immutable.
type Picture struct {
	At        time.Time                    `json:"at"` // log time
	Hosts     map[string]HostPicture       `json:"hosts"`
	Workloads map[string][]WorkloadPicture `json:"workloads"` // what each host says of a workload, by host name
	Monitors  []MonitorPicture             `json:"monitors"`  // the configured ones, by name
	Strangers []string                     `json:"strangers"` // hosts that beat and are in no inventory
}

// HostPicture is what this monitor hears of one host.
type HostPicture struct {
	Heart     Heart         `json:"heart"`
	Age       time.Duration `json:"age_ns"`        // of the newest sign of life; -1: never
	LostAfter time.Duration `json:"lost_after_ns"` // in effect now
	Healed    time.Duration `json:"healed_ns"`     // the largest silence that healed, as remembered now
	LostBy    []string      `json:"lost_by"`       // monitors that say lost
	// Anew is the incarnation of an agent of this name that beats while the one that joined is silent, and cannot prove to be
	// its successor: it is let in when there is evidence. Empty: none.
	Anew string `json:"anew,omitempty"`
	// Lease is the agent's own word on its lease, with what is left of it now. Twin is the incarnation of a second agent of
	// this name that beats while the one that joined does; empty: none.
	Lease wire.LeaseStatus `json:"lease"`
	Twin  string           `json:"twin,omitempty"`
	// Unfit is why nothing would be started on the host now; empty: it could take a workload.
	Unfit string        `json:"unfit,omitempty"`
	Clock *ClockPicture `json:"clock,omitempty"` // nil: its agent has not said it
}

// ClockPicture is what a host or a monitor says of its wall clock, and of its certificate.
type ClockPicture struct {
	Ahead   time.Duration `json:"ahead_ns"`         // of this monitor's wall clock; negative: behind
	Expires time.Time     `json:"expires,omitzero"` // of its certificate; zero: it has none, or has not said it
}

// WorkloadPicture is what one host's agent says of one workload.
type WorkloadPicture struct {
	Host      string            `json:"host"`
	Condition actions.Condition `json:"condition"`
	Ready     bool              `json:"ready"`
	Token     uint64            `json:"token,omitempty"`
	Found     bool              `json:"found,omitempty"` // runs, and no journal of the agent lists it
	Autostart bool              `json:"autostart,omitempty"`
	Detail    string            `json:"detail,omitempty"`
}

// MonitorPicture is what this monitor hears of another one.
type MonitorPicture struct {
	Name    string        `json:"name"`
	Age     time.Duration `json:"age_ns"` // of its newest view; -1: never
	Able    bool          `json:"able"`
	Why     string        `json:"why,omitempty"`
	Version string        `json:"version,omitempty"`
	Heard   int           `json:"heard"`
	// Log is up to which version it understands the log, 0: it has not said so. Clock is nil of one that is not heard.
	Log   int           `json:"log,omitempty"`
	Clock *ClockPicture `json:"clock,omitempty"`
}
