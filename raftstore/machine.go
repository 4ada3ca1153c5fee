package raftstore

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

// machine is raft's state machine: it folds entries into planner.State, one after the other, on one goroutine of raft.
type machine struct {
	state atomic.Pointer[planner.State]
	die   func(error)
	wake  func()
	// opened is set once raft runs: an error before is Open's to return, one after ends the process.
	opened atomic.Bool
	// failed is what made this machine stop. It applies nothing more and makes no snapshots, whatever die does.
	failed error
}

var _ raft.FSM = (*machine)(nil)

// applied is the answer to one entry.
type applied struct {
	refusal *planner.Refusal
	unknown error // the machine has stopped
}

func newMachine(die func(error), wake func()) *machine {
	m := &machine{die: die, wake: wake}
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
	return state.Apply(entry.Index, decoded)
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
	return snapshot{m.state.Load()}, nil
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
	m.wake()
	return nil
}

// snapshot writes a state, which is immutable, while the machine goes on.
type snapshot struct{ state *planner.State }

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.state.Encode(sink); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
