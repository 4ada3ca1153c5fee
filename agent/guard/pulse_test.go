package guard_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holter-ha/holter/agent/guard"
)

// TestPulse: a guard answers while it guards, and not after its end.
func TestPulse(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		options := b.options()
		options.Pulse = guard.NewPulse()
		alive := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			return options.Pulse.Alive(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- guard.Run(ctx, options) }()
		for range 3 {
			if err := alive(); err != nil {
				t.Errorf("while it guards: %v", err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("guard: %v", err)
		}
		if err := alive(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its end: %v", err)
		}
	})
}
