// Package setup makes what a cluster begins with: the folder that "holter init" writes, and the files of an agent that
// "holter join" enrols.
//
// Invariants: what is there already is never written over; a folder is there whole or not at all; private keys are readable
// by their owner only, and an agent's never leaves its host; no error text holds a secret.
//
// Concurrency: nothing is shared; each call is one after another.
package setup

import "github.com/holter-ha/holter/console"

// Error says what was refused or failed, what was not changed, and what to do.
type Error struct {
	Exit    console.Exit
	Message string
	Hint    string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }
