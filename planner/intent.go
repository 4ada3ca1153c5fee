package planner

import (
	"time"

	"github.com/holter-ha/holter/wire"
)

// Now is the time as a monitor reads it, three ways that are never mixed.
type Now struct {
	Watch time.Duration // the stall-guarded clock that detection runs on: it never jumps by more than a tick
	Boot  time.Duration // CLOCK_BOOTTIME
	Log   time.Time     // log time: never earlier than State.At; run and step deadlines are judged by it
}

// Intent is one thing that Decide wants to happen. Exactly one of Propose, Send, Offer and Assign is set.
type Intent struct {
	Key     string // what it is about; a proposal with the key of one in flight is not made twice
	Propose *Entry // to the log; At is set by the proposer
	Send    *wire.Command
	Offer   *wire.Offer
	Assign  *wire.Assignment
}

// Rules is what a monitor's own configuration adds to State.
type Rules struct {
	// Settle is how long losses of the same moment are collected before a run starts.
	Settle time.Duration
}
