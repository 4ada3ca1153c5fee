package notify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
)

// Options of a Notifier.
type Options struct {
	Self     string // name of this monitor
	Channels []Channel
	Logger   zerolog.Logger
}

// Notifier tells the configured channels of events.
type Notifier struct {
	self     string
	channels []*channel
	follower follower
}

// New makes a notifier over a log. The error says what is wrong with the channels, or with the files that they name.
func New(log Log, o Options) (*Notifier, error) {
	if err := Check(o.Channels); err != nil {
		return nil, err
	}
	n := &Notifier{self: o.Self}
	for _, config := range o.Channels {
		send, err := sender(config)
		if err != nil {
			return nil, fmt.Errorf("notify channel %s: %w", config.Name, err)
		}
		logger := o.Logger.With().Str("component", "notify").Str("channel", config.Name).Logger()
		n.channels = append(n.channels, newChannel(config, send, logger))
	}
	n.follower = follower{log: log, take: n.put, ended: n.leave}
	return n, nil
}

func sender(c Channel) (send, error) {
	if c.Webhook != nil {
		return newWebhook(*c.Webhook)
	}
	return command(c.Command), nil
}

// Run tells the channels until ctx ends. What waits then is left to the next leader.
func (n *Notifier) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, c := range n.channels {
		group.Go(func() { c.run(ctx) })
	}
	n.follower.run(ctx)
	group.Wait()
	return nil
}

// Stats says how the channels stand.
func (n *Notifier) Stats() []Stats {
	list := make([]Stats, 0, len(n.channels))
	for _, c := range n.channels {
		list = append(list, c.stats())
	}
	return list
}

// put hands an event to the channels that want it. It never waits.
func (n *Notifier) put(state *planner.State, logged planner.Logged) bool {
	m := message(n.self, state, logged)
	for _, c := range n.channels {
		if slices.ContainsFunc(c.config.On, func(pattern string) bool { return matches(pattern, m.Item.Name) }) {
			c.put(m)
		}
	}
	return true
}

// leave forgets what waits: another monitor leads, and begins far enough back.
func (n *Notifier) leave() uint64 {
	index := uint64(math.MaxUint64)
	for _, c := range n.channels {
		index = min(index, c.leave())
	}
	return index
}
