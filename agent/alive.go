package agent

import "context"

// Alive returns when the agent's loop has answered, or with an error when ctx ends before.
func (a *Agent) Alive(ctx context.Context) error { return a.pulse.Alive(ctx) }
