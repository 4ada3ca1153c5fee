package guard

import (
	"context"
	"fmt"
)

// Pulse is how a loop is asked whether it lives: it takes a channel and closes it.
type Pulse chan chan struct{}

// NewPulse makes the pulse of one loop.
func NewPulse() Pulse { return make(Pulse) }

// Alive returns when the loop has answered, or with an error when ctx ends before.
func (p Pulse) Alive(ctx context.Context) error {
	answered := make(chan struct{})
	select {
	case p <- answered:
		<-answered // the loop closes it at once
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the loop does not answer: %w", ctx.Err())
	}
}
