package monitor

import (
	"context"

	"github.com/holter-ha/holter/planner"
)

// Alive returns when the loop has answered, or with an error when ctx ends before.
func (m *Monitor) Alive(ctx context.Context) error {
	_, err := m.ask(ctx, func(planner.Now) {})
	return err
}

// Dropped counts the messages that the loop did not take in time, or could not read.
func (m *Monitor) Dropped() uint64 { return m.dropped.Load() }
