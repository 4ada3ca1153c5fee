package raftstore

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

// machine is raft's state machine: it folds entries into planner.State, one after the other, on one goroutine of raft.
type machine struct {
	state    atomic.Pointer[planner.State]
	die      func(error)
	wake     func()
	observer Observer // nil: nobody
	// opened is set once raft runs: an error before is Open's to return, one after ends the process.
	opened atomic.Bool
	// failed is what made this machine stop. It applies nothing more and makes no snapshots, whatever die does.
	failed error
	// kept is when the newest snapshot here was made, as Unix nanoseconds; 0: there is none.
	kept atomic.Int64
}

var _ raft.FSM = (*machine)(nil)

// Observer is told what this monitor applies, in the order of the log: what was there before a restart is applied, and told,
// again from the last snapshot on.
type Observer interface {
	// Applied is called after each entry, on the goroutine that applies them: it must not wait. Raw is the entry as it stands
	// in the log, and not to be changed; refusal is nil when it had its effect; chain is its link.
	Applied(index uint64, raw []byte, refusal *planner.Refusal, chain string)
	// Restored is called when a snapshot has taken the place of all entries up to an index: at the start, or because this
	// monitor was so far behind that the leader no longer had them. It must not wait. Chain is the link at that index.
	Restored(index uint64, chain string)
	// Compacting is called before a snapshot is written, after which entries that were told are never told again. It may wait
	// for a while, for what was told to be safe.
	Compacting()
}

// applied is the answer to one entry.
type applied struct {
	refusal *planner.Refusal
	unknown error // the machine has stopped
}

func newMachine(die func(error), wake func(), observer Observer) *machine {
	m := &machine{die: die, wake: wake, observer: observer}
	m.state.Store(planner.NewState())
	return m
}

// Apply implements raft.FSM.
func (m *machine) Apply(entry *raft.Log) any {
	if m.failed != nil {
		m.die(m.failed)
		return applied{unknown: m.failed}
	}
	next, err := fold(m.state.Load(), entry)
	refusal, refused := errors.AsType[*planner.Refusal](err)
	if err != nil && !refused {
		m.failed = err
		m.die(err)
		return applied{unknown: err}
	}
	m.state.Store(next)
	m.wake()
	if m.observer != nil {
		m.observer.Applied(entry.Index, entry.Data, refusal, next.Chain)
	}
	return applied{refusal: refusal}
}

// fold applies one entry. An error that is no refusal says that it cannot be applied here.
func fold(state *planner.State, entry *raft.Log) (next *planner.State, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			const shown = 1024
			event := entry.Data[:min(len(entry.Data), shown)]
			err = fmt.Errorf("apply entry %d: panic: %v, event %s\n%s", entry.Index, reason, event, debug.Stack())
		}
	}()
	decoded, err := planner.DecodeEntry(entry.Data)
	if err != nil {
		return nil, explain(fmt.Errorf("read entry %d: %w", entry.Index, err))
	}
	next, err = state.Apply(entry.Index, decoded)
	return next.Chained(state, entry.Data, err != nil), err
}

// explain adds what to do about an event that this program does not know.
func explain(err error) error {
	if errors.Is(err, planner.ErrUnknownEvent) {
		return fmt.Errorf("this monitor is older than the log; upgrade it: %w", err)
	}
	return err
}

// Snapshot implements raft.FSM.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.failed != nil {
		return nil, m.failed
	}
	return snapshot{m.state.Load(), &m.kept, m.observer}, nil
}

// Restore implements raft.FSM. A snapshot from the leader that cannot be read ends the process: raft would ask for it for
// ever.
func (m *machine) Restore(r io.ReadCloser) error {
	state, err := planner.DecodeState(r)
	if err != nil {
		m.failed = explain(fmt.Errorf("read snapshot: %w", err))
		if m.opened.Load() {
			m.die(m.failed)
		}
		return m.failed
	}
	m.failed = nil
	m.state.Store(state)
	if m.opened.Load() { // the leader sent it; it is kept here now
		m.kept.Store(time.Now().UnixNano())
	}
	m.wake()
	if m.observer != nil {
		m.observer.Restored(state.Index, state.Chain)
	}
	return nil
}

// snapshot writes a state, which is immutable, while the machine goes on.
type snapshot struct {
	state    *planner.State
	kept     *atomic.Int64 // of the machine: when it was written
	observer Observer
}

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if s.observer != nil {
		s.observer.Compacting()
	}
	if err := s.state.Encode(sink); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	s.kept.Store(time.Now().UnixNano())
	return nil
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
