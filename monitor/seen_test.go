package monitor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/planner"
)

// TestAlive: a loop that answers is alive, one that hangs is not, and it costs who asks no longer than was allowed.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(nil, nil, func() time.Duration { return 0 }, Options{Name: "m1"})
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			return m.Alive(ctx)
		}
		go func() { (<-m.asks)(planner.Now{}) }() // the loop takes one question, then it hangs
		if err := ask(); err != nil {
			t.Errorf("a loop that answers: %v", err)
		}
		began := time.Now()
		if err := ask(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("a loop that hangs: %v after %v", err, time.Since(began))
		}
	})
}
