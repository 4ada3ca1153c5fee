// Package actions names what can be done to a workload, and what a driver must be able to do and to prove.
//
// A driver is one package below this one: it carries out the verbs for one kind of workload. This package holds the words
// that everybody shares (Verb, Target, Action, Status, Handle) and the Driver interface; it does nothing itself.
//
// Invariants: every verb is idempotent (doing a done thing succeeds and changes nothing); what a driver cannot tell is
// Unknown and never Stopped; a driver keeps nothing in memory that it could not find again after a restart of the agent.
//
// Concurrency: a Driver's methods may be called from several goroutines at once, but never two Do calls for one Target.
package actions

import (
	"context"
	"fmt"
	"time"
)

// Verb is what an Action does.
type Verb string

// The verbs. Start and Stop act on a workload, Run runs a named, allow-listed command of the host.
const (
	Start Verb = "start"
	Stop  Verb = "stop"
	Run   Verb = "run"
)

// Target names one workload in the words of its driver.
type Target struct {
	Workload string `json:"workload"` // the inventory's name; for Run the command's name
	Kind     string `json:"kind"`     // which driver: "systemd", "command", "memory"
	Unit     string `json:"unit"`     // the driver's own name for it: a unit, a named command, …
}

// Action is one thing to do, once.
type Action struct {
	Verb   Verb              `json:"verb"`
	Target Target            `json:"target"`
	Args   []string          `json:"args,omitempty"`  // Run only: appended to the allow-listed command
	Env    map[string]string `json:"env,omitempty"`   // HOLTER_TOKEN, HOLTER_HOST_EPOCH, HOLTER_RUN: for the thing that is started
	Force  bool              `json:"force,omitempty"` // Stop only: take it down at once, do not ask it
}

// Condition is what a driver can tell of a workload on its host.
type Condition string

// The conditions. Unknown is what a driver answers when it could not find out; it is never read as Stopped.
const (
	Running Condition = "running"
	Stopped Condition = "stopped"
	Unknown Condition = "unknown"
)

// Status is a driver's word on one workload.
type Status struct {
	Condition Condition `json:"condition"`
	Detail    string    `json:"detail,omitempty"`    // one line for people: "exit status 1", "activating"
	Autostart bool      `json:"autostart,omitempty"` // would start by itself when the host boots
}

// HandleKind says what a Handle points at.
type HandleKind string

// The kinds of handle.
const (
	HandleCgroup  HandleKind = "cgroup"  // Path is a cgroup v2 directory: write 1 to its cgroup.kill
	HandleSession HandleKind = "session" // PID leads a process group of its own; StartTicks guards against a reused pid
	HandleProcess HandleKind = "process" // PID is one process; StartTicks guards against a reused pid
)

// Handle is what to kill, without asking anyone, so that a workload is gone for certain.
type Handle struct {
	Kind       HandleKind `json:"kind"`
	Path       string     `json:"path,omitempty"`
	PID        int        `json:"pid,omitempty"`
	StartTicks uint64     `json:"start_ticks,omitempty"` // field 22 of /proc/PID/stat, in clock ticks since boot
}

// Driver carries out actions on one kind of workload.
type Driver interface {
	// Do carries the action out and returns when it is done or cannot be done. It must be idempotent. A cancelled ctx
	// ends the waiting, not necessarily the work: ask Done afterwards.
	Do(ctx context.Context, a Action) error
	// Done reports whether the world already is as the action would make it. For Run it is always false: nobody can tell.
	Done(ctx context.Context, a Action) (bool, error)
	// Status tells what the workload is doing on this host now. An error means Unknown.
	Status(ctx context.Context, t Target) (Status, error)
	// Handles lists what to kill so that the workload is gone; empty when it is not running.
	Handles(ctx context.Context, t Target) ([]Handle, error)
}

// Reached answers Done for a driver whose Status can tell: a start is done when the workload runs, a stop when it is
// stopped, and of a run nobody can tell.
func Reached(ctx context.Context, d Driver, a Action) (bool, error) {
	var goal Condition
	switch a.Verb {
	case Start:
		goal = Running
	case Stop:
		goal = Stopped
	case Run:
		return false, nil
	default:
		return false, fmt.Errorf("done of %s %s: no such verb", a.Verb, a.Target.Unit)
	}
	st, err := d.Status(ctx, a.Target)
	return err == nil && st.Condition == goal, err
}

// Rung is one step of a stop ladder: a way to stop and how long it may take before the next rung is tried.
type Rung struct {
	Force bool          `json:"force,omitempty"` // false: ask it to stop ("shutdown"); true: take it down ("power_off")
	Limit time.Duration `json:"limit_ns"`
}

// ReadyWhen is the condition under which a started workload counts as ready.
type ReadyWhen string

// The readiness conditions.
const (
	ReadyActive  ReadyWhen = "active"  // the driver says Running
	ReadyHTTP    ReadyWhen = "http"    // a GET of URL answers 2xx
	ReadyTCP     ReadyWhen = "tcp"     // a connection to Addr opens
	ReadyCommand ReadyWhen = "command" // the allow-listed command exits 0
)

// Ready says when a started workload counts as ready: the condition has held for Settle without a break.
type Ready struct {
	When    ReadyWhen     `json:"when"`
	URL     string        `json:"url,omitempty"`
	Addr    string        `json:"addr,omitempty"` // host:port
	Command string        `json:"command,omitempty"`
	Settle  time.Duration `json:"settle_ns,omitempty"`
	Timeout time.Duration `json:"timeout_ns"`
}

// Kind describes one kind of workload for the people and the lint: its name, what its unit means, what it can do.
type Kind struct {
	Name  string
	Unit  string // what the field unit names
	Verbs []Verb
}

// Kinds lists the kinds that have a driver, in alphabetical order.
func Kinds() []Kind {
	return []Kind{
		{Name: "command", Unit: "a command that the agent's own file allows", Verbs: []Verb{Start, Stop}},
		{Name: "memory", Unit: "an entry of a map, for rehearsals in virtual time", Verbs: []Verb{Start, Stop}},
		{Name: "systemd", Unit: "a systemd unit", Verbs: []Verb{Start, Stop}},
	}
}
