package notify

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Limits of a channel.
const (
	queueLimit = 256              // events that wait; the oldest goes out
	tryLimit   = 10 * time.Second // for one try
	giveUp     = overlap          // how long an event is tried, counted from when it was seen
	firstPause = time.Second      // after the first try that failed; each further one doubles it
	maxPause   = time.Minute
)

// send tells one event, within ctx. The error holds no secret.
type send func(ctx context.Context, m Message) error

// errForGood marks a refusal that another try would not change.
var errForGood = errors.New("not tried again")

// Stats is how a channel stands.
type Stats struct {
	Name    string
	Waiting int
	Sent    uint64
	Failed  uint64 // tries that did not succeed
	Dropped uint64 // events that were given up
}

// letter is an event that waits to be told.
type letter struct {
	message Message
	until   time.Time
	lead    <-chan struct{} // closed when this monitor leads no more
}

// channel tells one receiver, one event after the other.
type channel struct {
	config Channel
	send   send
	log    zerolog.Logger
	wake   chan struct{} // holds a value when something was put

	mu      sync.Mutex // guards what follows, between the follower, the channel's goroutine and who asks for stats
	waiting []letter
	current *letter // that is being tried
	taken   uint64  // index of the newest event that was put and not left since
	lead    chan struct{}
	counts  Stats

	limit, pause time.Duration // tryLimit and firstPause, but for tests against real programs
}

func newChannel(config Channel, send send, log zerolog.Logger) *channel {
	return &channel{
		config: config, send: send, log: log, wake: make(chan struct{}, 1), lead: make(chan struct{}),
		counts: Stats{Name: config.Name}, limit: tryLimit, pause: firstPause,
	}
}

func (c *channel) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.counts
	s.Waiting = len(c.waiting)
	return s
}

// put lets an event wait, unless it had it. When too many wait, the oldest is given up.
func (c *channel) put(m Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Item.Index <= c.taken {
		return
	}
	c.taken = m.Item.Index
	if len(c.waiting) >= queueLimit {
		c.log.Warn().Uint64("index", c.waiting[0].message.Item.Index).Msg("notification was given up: too many wait")
		c.waiting = c.waiting[1:]
		c.counts.Dropped++
	}
	c.waiting = append(c.waiting, letter{message: m, until: time.Now().Add(giveUp), lead: c.lead})
	select {
	case c.wake <- struct{}{}:
	default: // it holds a value already
	}
}

// leave forgets what was not told yet, and returns the index after which this monitor begins should it lead again.
func (c *channel) leave() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.waiting
	if c.current != nil {
		left = append([]letter{*c.current}, left...)
	}
	c.waiting = nil
	close(c.lead)
	c.lead = make(chan struct{})
	if len(left) == 0 {
		return math.MaxUint64
	}
	c.log.Info().Int("count", len(left)).Msg("notifications were left to the next leader")
	c.taken = left[0].message.Item.Index - 1
	return c.taken
}

// next takes the oldest event that waits; what was taken before is told, or given up.
func (c *channel) next() (letter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	if len(c.waiting) == 0 {
		return letter{}, false
	}
	l := c.waiting[0]
	c.waiting, c.current = c.waiting[1:], &l
	return l, true
}

func (c *channel) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.counts)
}

// run tells what waits until ctx ends.
func (c *channel) run(ctx context.Context) {
	for ctx.Err() == nil {
		l, ok := c.next()
		if !ok {
			select {
			case <-c.wake:
			case <-ctx.Done():
			}
			continue
		}
		c.deliver(ctx, l)
	}
}

// deliver tries until the receiver has the event, or it is given up, or another monitor leads.
func (c *channel) deliver(ctx context.Context, l letter) {
	line := c.log.With().Str("event", l.message.Item.Name).Uint64("index", l.message.Item.Index).Logger()
	for pause := c.pause; ; pause = min(2*pause, maxPause) {
		select {
		case <-l.lead: // left while it waited
			return
		default:
		}
		err := c.try(ctx, l)
		if err == nil {
			c.count(func(s *Stats) { s.Sent++ })
			line.Debug().Msg("notification was sent")
			return
		}
		if ctx.Err() != nil {
			return
		}
		c.count(func(s *Stats) { s.Failed++ })
		wait := jittered(pause)
		if errors.Is(err, errForGood) || time.Now().Add(wait).After(l.until) {
			c.count(func(s *Stats) { s.Dropped++ })
			line.Error().Err(err).Msg("notification was given up")
			return
		}
		line.Warn().Err(err).Msg("notification was not sent and is tried again")
		select {
		case <-time.After(wait):
		case <-l.lead:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *channel) try(ctx context.Context, l letter) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	return c.send(ctx, l.message)
}

// jittered is a pause of half to all of its length, so that many monitors do not come back at once.
func jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause/2) //nolint:gosec // no secret
}
