package notify

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// Publisher sends a message now or refuses it. *bus.Conn is one.
type Publisher interface {
	Publish(subject string, data []byte) error
}

// Stream publishes every event on NATS, each on the subject of its name.
type Stream struct {
	self      string
	bus       Publisher
	log       zerolog.Logger
	follower  follower
	refused   bool // the last try, so that the log says it once
	published atomic.Uint64
}

// NewStream makes the stream of the monitor of that name.
func NewStream(self string, log Log, bus Publisher, logger zerolog.Logger) *Stream {
	s := &Stream{self: self, bus: bus, log: logger.With().Str("component", "stream").Logger()}
	s.follower = follower{log: log, take: s.publish, ended: func() uint64 { return math.MaxUint64 }}
	return s
}

// Run publishes until ctx ends.
func (s *Stream) Run(ctx context.Context) error {
	s.follower.run(ctx)
	return nil
}

// Published is the index of the newest event that was published here; 0: none yet.
func (s *Stream) Published() uint64 { return s.published.Load() }

// publish sends one event. One that NATS does not take now is tried again before the next one: the order stays.
func (s *Stream) publish(state *planner.State, logged planner.Logged) bool {
	m := message(s.self, state, logged)
	data, err := encode(m, wire.MaxMessage)
	if err == nil {
		err = s.bus.Publish(wire.EventSubject(m.Item.Name), data)
	}
	if err != nil {
		if !s.refused {
			s.log.Warn().Err(err).Uint64("index", logged.Index).Msg("event was not published and is tried again")
		}
		s.refused = true
		return false
	}
	s.refused = false
	s.published.Store(logged.Index)
	return true
}
