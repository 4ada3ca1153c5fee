package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// The lease may have ended a moment before the loop has noticed.
func TestAuthorityGoesByTheLease(t *testing.T) {
	held := tenure{at: time.Minute, until: 61 * time.Second, phase: lease.Held, confirmed: true}
	ending, over, unconfirmed := held, held, held
	ending.phase, over.phase, unconfirmed.confirmed = lease.Ending, lease.Over, false
	over.until = 59 * time.Second
	exclusive := wire.Command{Inc: 1, Epoch: 2, Exclusive: true, Action: actions.Action{Verb: actions.Start}}
	shared, stop, run := exclusive, exclusive, exclusive
	shared.Exclusive, stop.Action.Verb, run.Action.Verb, run.Exclusive = false, actions.Stop, actions.Run, false
	for _, tc := range []struct {
		name    string
		tenure  tenure
		command wire.Command
		want    string // "" means that it may
	}{
		{"held", held, exclusive, ""},
		{"ending", ending, exclusive, "ends in 1s"},
		{"ending, not exclusive", ending, shared, ""},
		{"over", over, exclusive, "ended 1s ago"},
		{"over, not exclusive", over, shared, "ended 1s ago"},
		{"over, a run", over, run, "ended 1s ago"},
		{"over, a stop", over, stop, ""},
		{"unconfirmed", unconfirmed, shared, "confirmed"},
		{"unconfirmed, a run", unconfirmed, run, "confirmed"},
		{"unconfirmed, a stop", unconfirmed, stop, ""},
	} {
		au := authority{inc: 1, tenure: func() tenure { return tc.tenure }}
		au.epoch.Store(2)
		got := ""
		if err := au.may(tc.command); err != nil {
			got = err.Error()
		}
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
