// Package memory is a driver whose workloads are entries of a map, so that whole clusters can be rehearsed in virtual time.
//
// A World is what is real: which units run on which hosts, and a record of everything that happened to them, kept by the
// world and not by whoever commanded it. Drivers of one world are the agents' hands on its hosts; a Driver holds no state,
// so a new one for the same host finds everything as it is. Scripts say how long things take, and what fails or hangs.
//
// Invariants: the record is append-only and ordered by time; work that was begun ends at its time whether anybody waits
// for it or not; a unit counts as running on a host from the moment its start is begun until it is proven stopped.
//
// Concurrency: everything may be called from several goroutines. There are no goroutines and no timers of the world's own:
// what is due is brought up to date by the next look at it, and time is package time's, hence a bubble's.
package memory

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holter-ha/holter/actions"
)

// What is something that happened to a unit.
type What string

// What can happen. Starting and Stopping are begun; Started, Failed (to start) and Stopped have ended; Killed is the end
// by force, by its handle or by loss of power; Ran is a command whose run was begun.
const (
	Starting What = "starting"
	Started  What = "started"
	Failed   What = "failed"
	Stopping What = "stopping"
	Stopped  What = "stopped"
	Killed   What = "killed"
	Ran      What = "ran"
)

// Entry is one line of the record: what happened to a unit on a host, as the unit itself knows it.
type Entry struct {
	At    time.Time
	Host  string
	Unit  string
	What  What
	Token string   // HOLTER_TOKEN of the start; empty if it was given none
	Args  []string // Ran only
}

// Behaviour is how one verb goes.
type Behaviour struct {
	Takes time.Duration // from its beginning to its end
	Fail  int           // so many times, counted down, it ends in an error and changes nothing
	Hang  bool          // it never ends
}

// Script is how a unit behaves on a host. The zero Script does everything at once and without fail.
type Script struct {
	Start, Stop, Force, Run Behaviour
	Autostart               bool // reported by Status
}

// World is a set of hosts and the units that run on them.
type World struct {
	units []string // nil: every name is a unit

	// The agents of all hosts share a world, as they share a real one. Nobody could own it but a goroutine, which would
	// outlive the bubble that the world is made for.
	mu      sync.Mutex
	entries map[place]*entry
	scripts map[place]*Script
	record  []Entry
}

// place is a unit on a host.
type place struct{ host, unit string }

// phase is what a unit is doing.
type phase int

const (
	stopped phase = iota
	starting
	running
	stopping
)

// entry is the state of a unit on a host.
type entry struct {
	phase   phase
	due     time.Time // when starting or stopping ends; zero: never
	ends    What      // what that will be; empty: it goes on running
	broken  error     // why the last start or stop did not reach its end
	token   string
	changed chan struct{} // closed and replaced whenever anything above changes
}

// NewWorld returns a world that has these units, each able to run on any host; without names, every name is a unit.
func NewWorld(units ...string) *World {
	return &World{units: units, entries: map[place]*entry{}, scripts: map[place]*Script{}}
}

// Driver returns a driver for one host, as the agent there makes one each time it starts.
func (w *World) Driver(host string) *Driver { return &Driver{world: w, host: host} }

// Script sets how a unit behaves on a host from now on; what is under way goes on as it began.
func (w *World) Script(host, unit string, s Script) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scripts[place{host, unit}] = &s
}

// PowerOff kills everything on a host at once. Whoever waits there for a start gets an error.
func (w *World) PowerOff(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	for _, p := range w.places() {
		if p.host == host {
			w.kill(p)
		}
	}
}

// Kill kills the unit that a handle of this world points at.
func (w *World) Kill(h actions.Handle) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	for p := range w.entries {
		if h == handle(p) {
			w.kill(p)
			return nil
		}
	}
	return fmt.Errorf("kill %s: not a handle of this world", h.Path)
}

// Running tells what runs where: for each unit that runs anywhere its hosts, sorted. What is starting or stopping runs.
func (w *World) Running() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	m := map[string][]string{}
	for _, p := range w.places() {
		if w.entries[p].phase != stopped {
			m[p.unit] = append(m[p.unit], p.host)
		}
	}
	return m
}

// Record returns a copy of the record so far.
func (w *World) Record() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return slices.Clone(w.record)
}

// Overlap is a unit that ran on two hosts at once from a moment on.
type Overlap struct {
	Unit  string
	Hosts []string // sorted
	At    time.Time
}

// Overlaps lists, from the record, every beginning of a start of a unit that was running on another host at that moment.
func (w *World) Overlaps() []Overlap {
	var found []Overlap
	on := map[string]map[string]bool{}
	for _, e := range w.Record() {
		switch e.What {
		case Starting:
			if on[e.Unit] == nil {
				on[e.Unit] = map[string]bool{}
			}
			on[e.Unit][e.Host] = true
			if len(on[e.Unit]) > 1 {
				found = append(found, Overlap{Unit: e.Unit, Hosts: sortedKeys(on[e.Unit]), At: e.At})
			}
		case Stopped, Killed, Failed:
			delete(on[e.Unit], e.Host)
		case Started, Stopping, Ran:
		}
	}
	return found
}

// settle ends whatever was due before now, in the order in which it was due.
func (w *World) settle() {
	now := time.Now()
	var due []place
	for _, p := range w.places() {
		if e := w.entries[p]; !e.due.IsZero() && !e.due.After(now) {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b place) int { return w.entries[a].due.Compare(w.entries[b].due) })
	for _, p := range due {
		w.end(p)
	}
}

// end ends the start or stop that is under way at p.
func (w *World) end(p place) {
	e := w.entries[p]
	if e.ends != "" {
		w.note(e.due, p, e.ends)
	}
	switch e.ends {
	case Started:
		w.set(e, running, nil)
	case Failed:
		w.set(e, stopped, errScripted)
	case Stopped, Killed:
		w.set(e, stopped, nil)
	default:
		w.set(e, running, errScripted)
	}
}

func (w *World) kill(p place) {
	if e := w.entries[p]; e.phase != stopped {
		w.note(time.Now(), p, Killed)
		w.set(e, stopped, errKilled)
	}
}

// begin puts a unit into starting or stopping, to end as its behaviour says: well, or badly.
func (w *World) begin(e *entry, to phase, b *Behaviour, well, badly What) {
	w.set(e, to, nil)
	e.ends = well
	if b.Fail > 0 {
		b.Fail--
		e.ends = badly
	}
	if !b.Hang {
		e.due = time.Now().Add(b.Takes)
	}
}

func (w *World) set(e *entry, to phase, broken error) {
	e.phase, e.broken, e.due, e.ends = to, broken, time.Time{}, ""
	close(e.changed)
	e.changed = make(chan struct{})
}

func (w *World) note(at time.Time, p place, what What) {
	w.record = append(w.record, Entry{At: at, Host: p.host, Unit: p.unit, What: what, Token: w.entries[p].token})
}

// entry returns the state of p, or nil if the world has no such unit.
func (w *World) entry(p place) *entry {
	if p.unit == "" || (w.units != nil && !slices.Contains(w.units, p.unit)) {
		return nil
	}
	if w.entries[p] == nil {
		w.entries[p] = &entry{changed: make(chan struct{})}
	}
	return w.entries[p]
}

func (w *World) script(p place) *Script {
	if w.scripts[p] == nil {
		w.scripts[p] = &Script{}
	}
	return w.scripts[p]
}

// places lists all places with a state, sorted, so that what happens at one moment is recorded in one order.
func (w *World) places() []place {
	all := make([]place, 0, len(w.entries))
	for p := range w.entries {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b place) int {
		return strings.Compare(a.unit+"\x00"+a.host, b.unit+"\x00"+b.host)
	})
	return all
}

// handle names a unit on a host in the form of a relative path, at which no real cgroup can be.
func handle(p place) actions.Handle {
	return actions.Handle{Kind: actions.HandleCgroup, Path: "memory/" + p.host + "/" + p.unit}
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
