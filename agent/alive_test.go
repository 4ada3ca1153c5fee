package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
)

// TestAlive: an agent lives while a driver hangs, and does not when its loop has ended.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		stuck := &stuckDriver{Driver: b.drivers["memory"], unit: "db", free: make(chan struct{})}
		b.drivers["memory"] = stuck
		b.bootJoined()
		b.send(b.command("1/s/db/1", 110, actions.Start, "db"))
		alive := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			return b.agent.Alive(ctx)
		}
		if err := alive(); err != nil {
			t.Errorf("while a driver hangs: %v", err)
		}
		close(stuck.free)
		if err := b.stop(); err != nil {
			t.Errorf("end of the agent: %v", err)
		}
		if err := alive(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its end: %v", err)
		}
	})
}
