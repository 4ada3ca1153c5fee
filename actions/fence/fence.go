package fence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// defaultPause between two attempts, and between two questions for the status.
	defaultPause = time.Second
	// defaultSettle is how long a device may still say on after its command has ended.
	defaultSettle = 5 * time.Second
)

// Device is one way to take a host's power away.
type Device struct {
	Name     string            // unique on its host, for people: bmc
	Agent    string            // the program: fence_ipmilan; looked up in Options.Dirs, PATH and /usr/sbin
	Options  map[string]string // as the agent's metadata names them; NAME_file: the file that holds the option NAME, unless the agent knows NAME_file
	Timeout  time.Duration     // of one attempt; the last third of it, at most 10 s, is kept for the confirmation
	Attempts int               // at least 1
}

// Level is devices that must all confirm, as the two power supplies of one host. A host's levels are tried in order until one
// has.
type Level struct {
	Devices  []Device
	OneByOne bool // default: all at the same time
}

// Outcome is what is known of a device after an attempt.
type Outcome string

// The outcomes.
const (
	OutcomeOff     Outcome = "off"     // its status says off
	OutcomeOn      Outcome = "on"      // its status says on, in spite of the command
	OutcomeUnknown Outcome = "unknown" // the command may have been carried out or not
	OutcomeUnsent  Outcome = "unsent"  // no command was given: nothing was changed
)

// Attempt is one try of one device.
type Attempt struct {
	Level   int           `json:"level"` // from 1, in the order given
	Device  string        `json:"device"`
	Agent   string        `json:"agent"`
	Number  int           `json:"attempt"` // from 1; 0: the last look at a device that was off before
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	Outcome Outcome       `json:"outcome"`
	Why     string        `json:"why,omitempty"` // what went wrong, for people; empty if nothing did
}

// Report is what was tried, in the order of the levels and their devices. It holds no secret.
type Report struct {
	Host     string        `json:"host"`
	Off      bool          `json:"off"`             // the whole of a level was seen off
	Level    int           `json:"level,omitempty"` // which one, from 1
	Took     time.Duration `json:"took_ns"`
	Attempts []Attempt     `json:"attempts"`
}

// Options are a Runner's settings; the zero value is good for use.
type Options struct {
	Dirs   []string      // where agents are looked for first
	Pause  time.Duration // between two attempts, and between two questions for the status; default 1 s
	Settle time.Duration // how long a device may still say on after its command has ended; default 5 s
}

// Runner runs agents.
type Runner struct {
	dirs   []string
	pause  time.Duration
	settle time.Duration

	// Runs of several hosts share what was learned of an agent.
	mu    sync.Mutex
	known map[string]known // by path
}

// New returns a Runner.
func New(o Options) *Runner {
	r := &Runner{dirs: slices.Clone(o.Dirs), pause: o.Pause, settle: o.Settle, known: map[string]known{}}
	if r.pause <= 0 {
		r.pause = defaultPause
	}
	if r.settle <= 0 {
		r.settle = defaultSettle
	}
	return r
}

// Off takes the host's power away: level after level, until all devices of one were seen off. Only then the error is nil.
//
// may is asked right before each command that changes power, never twice at a time; an error from it ends the fencing: what is
// running is still watched to its end, and no other command is given. When ctx ends, running agents are killed.
func (r *Runner) Off(ctx context.Context, host string, levels []Level, may func() error) (Report, error) {
	began := time.Now()
	rep := Report{Host: host, Attempts: []Attempt{}}
	g := &gate{may: may}
	for i, l := range levels {
		attempts, off := r.level(ctx, l, g)
		for j := range attempts {
			attempts[j].Level = i + 1
		}
		rep.Attempts = append(rep.Attempts, attempts...)
		if off {
			rep.Off, rep.Level = true, i+1
			break
		}
		if g.refusal() != nil || ctx.Err() != nil {
			break
		}
	}
	rep.Took = time.Since(began)
	if rep.Off {
		return rep, nil
	}
	stopped := g.refusal()
	if stopped == nil {
		stopped = ctx.Err()
	}
	return rep, rep.failure(stopped)
}

// failure says why the host does not count as off, and whether anything was changed.
func (rep Report) failure(stopped error) error {
	last := map[string]string{}
	var order []string
	sent := false
	for _, a := range rep.Attempts {
		sent = sent || a.Outcome != OutcomeUnsent
		key := fmt.Sprintf("level %d, %s", a.Level, a.Device)
		if _, seen := last[key]; !seen {
			order = append(order, key)
		}
		last[key] = string(a.Outcome)
		if a.Why != "" {
			last[key] += ": " + a.Why
		}
	}
	parts := make([]string, 0, len(order))
	for _, key := range order {
		parts = append(parts, key+": "+last[key])
	}
	tried := "it has no fence devices"
	if len(parts) > 0 {
		tried = strings.Join(parts, "; ")
	}
	rest := "no command was given, its power is as it was"
	if sent {
		rest = "it may have power or not: look at it, make sure that it is off, then confirm that by hand"
	}
	if stopped != nil {
		return fmt.Errorf("fence %s: ended early: %w (%s); %s", rep.Host, stopped, tried, rest)
	}
	return fmt.Errorf("fence %s: not seen off (%s); %s", rep.Host, tried, rest)
}

// level switches off all devices of a level, and says whether all were seen off.
func (r *Runner) level(ctx context.Context, l Level, g *gate) ([]Attempt, bool) {
	tries := make([][]Attempt, len(l.Devices))
	if l.OneByOne {
		for i, d := range l.Devices {
			tries[i] = r.device(ctx, d, g)
			if !seenOff(tries[i]) {
				break // without this one the others are of no use
			}
		}
	} else {
		var all sync.WaitGroup
		for i, d := range l.Devices {
			all.Go(func() { tries[i] = r.device(ctx, d, g) })
		}
		all.Wait()
	}
	attempts := slices.Concat(tries...)
	if len(l.Devices) == 0 || !allOff(tries) {
		return attempts, false
	}
	on := r.lookAgain(ctx, l)
	return append(attempts, on...), len(on) == 0
}

func allOff(tries [][]Attempt) bool {
	return !slices.ContainsFunc(tries, func(t []Attempt) bool { return !seenOff(t) })
}

func seenOff(attempts []Attempt) bool {
	return len(attempts) > 0 && attempts[len(attempts)-1].Outcome == OutcomeOff
}

// lookAgain returns those of a level's devices that are not off any more. A host has power while one supply has: each was seen
// off at a time of its own, and the first may have come back while the last was worked at.
func (r *Runner) lookAgain(ctx context.Context, l Level) []Attempt {
	if len(l.Devices) < 2 {
		return nil
	}
	looks := make([]Attempt, len(l.Devices))
	var all sync.WaitGroup
	for i, d := range l.Devices {
		all.Go(func() { looks[i] = r.look(ctx, d) })
	}
	all.Wait()
	return slices.DeleteFunc(looks, func(a Attempt) bool { return a.Outcome == OutcomeOff })
}

// device tries one device until it was seen off.
func (r *Runner) device(ctx context.Context, d Device, g *gate) []Attempt {
	var all []Attempt
	attempts := max(1, d.Attempts)
	for n := 1; n <= attempts; n++ {
		unknown := n > 1 && all[n-2].Outcome == OutcomeUnknown
		a := r.attempt(ctx, d, unknown, g)
		a.Number = n
		all = append(all, a)
		// What kept a command from being sent would keep the next one too.
		if a.Outcome == OutcomeOff || a.Outcome == OutcomeUnsent || ctx.Err() != nil || n == attempts {
			break
		}
		wait(ctx, r.pause)
	}
	return all
}

// wait waits, at most until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// gate asks the caller whether a command is still wanted, and remembers a refusal.
type gate struct {
	may func() error

	mu      sync.Mutex // the devices of a level ask at the same time
	refused error
}

// errNotAsked stands for a caller who gave no function to ask.
var errNotAsked = errors.New("there is nobody to ask whether it is wanted")

func (g *gate) ask() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.refused != nil:
	case g.may == nil:
		g.refused = errNotAsked
	default:
		g.refused = g.may()
	}
	return g.refused
}

func (g *gate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}
