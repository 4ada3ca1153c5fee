package planner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/holter-ha/holter/wire"
)

// LogVersion is the newest version of the log's entries that this program understands. It is raised, once for each release,
// with each new type of event, and each new field of an event or of State that must not be lost: a monitor that does not know
// it would ignore it, and its state would not be the others' any more.
//
//	1  everything until leases, fencing and silences
//	2  who may do what: event_access.go, ClusterFormed.Admin
//
// What is newer than 1 enters a log only when every monitor understands it (View.Understood). From then on the log is of that
// version: an older monitor that comes back to it stops, and says so, and does not read its snapshots.
const LogVersion = 2

// levelFresh is how long a monitor's Level counts: it says it each second.
const levelFresh = 5 * time.Second

// levelled is implemented by events for which not the type alone says which version of the log they need.
type levelled interface{ level() int }

// levels are the versions of the log that types of events need.
var levels = map[string]int{}

// levelOf is the version of the log that an event needs.
func levelOf(e Event) int {
	level := levels[e.Name()]
	if l, ok := e.(levelled); ok {
		level = max(level, l.level())
	}
	return level
}

// level of a ClusterFormed: a monitor that knows no users would form a cluster without any.
func (e ClusterFormed) level() int {
	if e.Admin != "" {
		return 2
	}
	return 1
}

type level struct {
	log     int
	expires time.Time     // of the monitor's certificate
	at      time.Duration // arrival, watch clock
}

// ObserveLevel hears up to which version another monitor understands the log.
func (v *View) ObserveLevel(l wire.Level, now Now) {
	if !slices.Contains(v.monitors, l.Monitor) {
		return
	}
	v.levels[l.Monitor] = level{log: l.Log, expires: l.Expires, at: now.Watch}
}

// Understood refuses an event that a monitor might not understand: the log was never of the version that it needs, and not
// every configured monitor says now that it knows that version. One that says nothing knows version 1.
func (v *View) Understood(s *State, e Event, now Now) error {
	need := levelOf(e)
	if need <= max(s.Log, 1) {
		return nil
	}
	for _, name := range v.monitors {
		l, ok := v.levels[name]
		if name == v.self || ok && now.Watch-l.at <= levelFresh && l.log >= need {
			continue
		}
		return refuse(CodeState, "%s needs version %d of the log, and monitor %s is not known to understand it; nothing was changed", e.Name(), need, name).
			with("wait until all monitors run a version that knows it, see holter status")
	}
	return nil
}

// header comes before a state of a newer version of the log than 1. It is JSON, but not the beginning of a state: a program
// that knows no versions, and would drop what it does not know, cannot read it.
const header = "\"holter state %d\"\n"

// errHeader means that a snapshot is none.
var errHeader = errors.New("it begins with neither a state nor the version of one")

// readHeader reads the version of a state, 1 if there is no header.
func readHeader(r *bufio.Reader) (int, error) {
	const enough = len(header) + 20
	if begin, _ := r.Peek(1); len(begin) == 0 || begin[0] != '"' {
		return 1, nil // if nothing can be read, the decoder of the state says why
	}
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) || len(line) > enough {
		return 0, errHeader
	}
	if err != nil {
		return 0, err
	}
	var version int
	if _, err := fmt.Sscanf(string(line), header, &version); err != nil || fmt.Sprintf(header, version) != string(line) {
		return 0, errHeader
	}
	return version, nil
}
