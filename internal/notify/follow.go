package notify

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

const (
	overlap   = 10 * time.Minute       // how far back a new leader begins: as long as the former one may have tried
	retryTake = 500 * time.Millisecond // after a take that did not succeed
	maxBehind = 10_000                 // entries: as many as the state remembers
)

// Log is what is followed. *raftstore.Store is one.
type Log interface {
	// State is the newest applied state, immutable.
	State() *planner.State
	// Leading says that this monitor leads and has applied all that was committed before its term.
	Leading() bool
	// Watch wakes the channel, at least once after each change of State or Leading, until stop is called.
	Watch() (changed <-chan struct{}, stop func())
}

// Message is what is told: an event, and of which cluster. Index and ClusterID together name it for ever.
type Message struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"` // Event
	Cluster    string            `json:"cluster,omitempty"`
	ClusterID  string            `json:"clusterId"`
	Monitor    string            `json:"monitor"` // that tells
	Item       console.EventItem `json:"item"`
}

func message(self string, state *planner.State, logged planner.Logged) Message {
	m := Message{APIVersion: console.APIVersion, Kind: "Event", ClusterID: state.Cluster, Monitor: self, Item: console.EventOf(logged)}
	if state.Inventory != nil {
		m.Cluster = state.Inventory.Cluster.Name
	}
	return m
}

// encode writes a message. Without its detail it is never large.
func encode(m Message, limit int) ([]byte, error) {
	text, err := json.Marshal(m)
	if err == nil && limit > 0 && len(text) > limit {
		m.Item.Detail = json.RawMessage(`{}`)
		text, err = json.Marshal(m)
	}
	return text, err
}

// follower hands out the events of the log while this monitor leads.
type follower struct {
	log  Log
	take func(*planner.State, planner.Logged) bool // false: not now, try again
	// ended is called when this monitor leads no more. It returns the index after which to begin should it lead again, if that
	// is before done.
	ended func() uint64

	led  bool
	done uint64 // index up to which events were handed out, or are not this monitor's to tell
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	changed, stop := f.log.Watch()
	defer stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again.C:
		}
		if !f.round() {
			again.Reset(retryTake)
		}
	}
}

// round hands out what is new. False: something was not taken.
func (f *follower) round() bool {
	leading, state := f.log.Leading(), f.log.State()
	if !leading {
		if f.led {
			f.led = false
			f.done = min(f.done, f.ended())
		}
		return true
	}
	if !f.led {
		f.led = true
		f.done = max(f.done, before(state, time.Now().Add(-overlap)))
	}
	if state.Index > maxBehind {
		f.done = max(f.done, state.Index-maxBehind)
	}
	for index := f.done + 1; index <= state.Index; index++ {
		if logged, ok := state.Logged(index); ok && !f.take(state, logged) {
			return false
		}
		f.done = index
	}
	return true
}

// before is the index of the newest entry that is older than a moment.
func before(state *planner.State, at time.Time) uint64 {
	index := state.Index
	for ; index > 0 && state.Index-index < maxBehind; index-- {
		if logged, ok := state.Logged(index); ok && logged.Entry.At.Before(at) {
			break
		}
	}
	return index
}
