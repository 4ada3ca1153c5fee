package console

import (
	"context"
	"time"

	"github.com/holter-ha/holter/planner"
)

// Monitor is what the server needs of the monitor that it belongs to.
type Monitor interface {
	// Look returns what this monitor knows now.
	Look() Look
	// Propose puts an entry in the log and returns its index when it is committed and folded into the State of the next
	// Look. The error is a *planner.Refusal, planner.ErrNotLeader, planner.ErrOutcomeUnknown or wraps one of these.
	Propose(ctx context.Context, e planner.Entry) (uint64, error)
	// Watch returns a channel that holds a value whenever State has changed since the last receive. The caller must stop.
	Watch() (changed <-chan struct{}, stop func())
}

// Look is what one monitor knows at one moment. It is immutable.
type Look struct {
	Self    string
	State   *planner.State
	Now     time.Time // log time
	Picture *planner.Picture
	// Leader is the name of the leading monitor, empty when none is known; LeaderAPI is the base URL of its API.
	Leader    string
	LeaderAPI string
	// Leading says that this monitor leads and that its State holds everything that was committed before it did.
	Leading bool
	Term    uint64
	// LeaderContact is how long ago this monitor last heard of a leader; -1: never. It is 0 on the leader.
	LeaderContact time.Duration
	Members       []Member
	Version       string
}

// Member is one monitor of the cluster.
type Member struct {
	Name     string
	API      string // base URL of its API
	Suffrage string // voter, nonvoter
}
