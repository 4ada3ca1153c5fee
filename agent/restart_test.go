package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/wire"
)

// crashing is a driver whose agent dies at one point: nothing comes back from there until the agent has ended. What the
// agent would have journaled afterwards never gets there.
type crashing struct {
	actions.Driver

	at point
}

type point string

const (
	beforeDo point = "before Do"
	afterDo  point = "after Do"
	nowhere  point = ""
)

func (d *crashing) Do(ctx context.Context, a actions.Action) error {
	if d.at == beforeDo {
		<-ctx.Done()
		return ctx.Err()
	}
	err := d.Driver.Do(ctx, a)
	if d.at == afterDo {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// crash ends the agent and puts the journal back as it was at this moment, as a crash would leave it.
func (b *bed) crash() {
	b.t.Helper()
	path := filepath.Join(b.dir, journalFile)
	image, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.stop(); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, image, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// The agent dies between begun and ended. Its successor does nothing until the monitors send the command again; then it
// finds out what happened, and does it once.
func TestRestartBetweenBegunAndEnded(t *testing.T) {
	for _, tc := range []struct {
		name       string
		verb       actions.Verb
		at         point
		idempotent bool
		kept       bool         // db is in the successor's join
		before     []string     // what had happened when the successor came up
		after      []string     // what happened in the end
		want       wire.Outcome // of the repeated command
		stopped    bool         // its result says
	}{
		{"start", actions.Start, beforeDo, false, false, []string{}, []string{"starting db", "started db"}, wire.Failed, false},
		{"start", actions.Start, afterDo, false, true, []string{"starting db", "started db"}, []string{"starting db", "started db"}, wire.Done, false},
		{"stop", actions.Stop, beforeDo, false, true, []string{}, []string{"stopping db", "stopped db"}, wire.Done, true},
		{"stop", actions.Stop, afterDo, false, false, []string{"stopping db", "stopped db"}, []string{"stopping db", "stopped db"}, wire.Done, true},
		{"run", actions.Run, beforeDo, false, false, []string{}, []string{}, wire.Unknown, false},
		{"run", actions.Run, afterDo, false, false, []string{"ran db"}, []string{"ran db"}, wire.Unknown, false},
		{"idempotent run", actions.Run, beforeDo, true, false, []string{}, []string{"ran db"}, wire.Done, false},
		{"idempotent run", actions.Run, afterDo, true, false, []string{"ran db"}, []string{"ran db", "ran db"}, wire.Done, false},
	} {
		t.Run(tc.name+" "+string(tc.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				driver := &crashing{Driver: b.drivers["memory"]}
				b.drivers["memory"], b.drivers["command"] = driver, driver
				b.bootJoined()
				if tc.verb == actions.Stop {
					b.do(b.command("0/s/db/1", 105, actions.Start, "db"))
				}
				past := len(b.world.Record())
				driver.at = tc.at
				c := b.command("1/x/db/1", 110, tc.verb, "db")
				c.Idempotent = tc.idempotent
				b.send(c)
				b.pass(time.Second)
				b.crash()
				driver.at = nowhere

				b.index += 100
				b.bootJoined()
				b.pass(10 * time.Second)
				diff(t, "before it was sent again", b.happened()[past:], tc.before)
				if got := len(b.lastKeep()) == 1; got != tc.kept {
					t.Errorf("kept: got %v, want %v", got, tc.kept)
				}
				again := b.command(c.ID, c.Token, tc.verb, "db")
				again.Idempotent = tc.idempotent
				r := b.do(again)
				if tc.verb == actions.Start && !tc.kept {
					// The join gave the grant back, so it must not be used; the monitors let the step begin anew.
					if r.Outcome != wire.Failed || b.runs("db") {
						t.Errorf("a start whose grant was not kept: %+v", r)
					}
					r = b.do(b.command("1/x/db/2", 310, tc.verb, "db"))
					tc.want = wire.Done
				}
				if r.Outcome != tc.want || r.Stopped != tc.stopped || r.Already || r.Inc != b.inc || r.Epoch != b.epoch {
					t.Errorf("result: got %+v, want %s", r, tc.want)
				}
				diff(t, "in the end", b.happened()[past:], tc.after)
			})
		})
	}
}

func TestStartThatWasKeptGoesOnAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "db", memory.Script{Start: memory.Behaviour{Takes: 20 * time.Second}})
		b.bootJoined()
		c := b.command("1/s/db/1", 110, actions.Start, "db")
		b.send(c)
		b.pass(time.Second)
		b.crash()
		b.index += 100
		b.bootJoined() // while it is starting: nobody can say that it is gone
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 110}})
		r := b.do(b.command(c.ID, c.Token, actions.Start, "db"))
		if r.Outcome != wire.Done || r.Took != 19*time.Second {
			t.Errorf("result: %+v", r)
		}
		diff(t, "what happened", b.happened(), []string{"starting db", "started db"})
		b.pass(time.Second)
		diff(t, "status", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true, Token: 110})
	})
}

func TestEndedCommandIsAnsweredAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		c := b.command("1/s/db/1", 110, actions.Start, "db")
		first := b.do(c)
		b.crash()
		b.world.PowerOff(testHost)
		before := len(b.world.Record())
		b.index += 100
		b.bootJoined()
		first.Inc, first.Epoch = b.inc, b.epoch
		diff(t, "answer under the new epoch", b.do(b.command(c.ID, c.Token, actions.Start, "db")), first)
		diff(t, "what happened since", b.happened()[before:], []string{})
	})
}

// A late copy of a command that an agent had begun before it died says nothing about what came of it.
func TestLateCopyOfABegunCommandIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		driver := &crashing{Driver: b.drivers["memory"]}
		b.drivers["memory"] = driver
		b.bootJoined()
		b.do(b.command("0/s/db/1", 105, actions.Start, "db"))
		driver.at = beforeDo
		c := b.command("1/stop/db/1", 110, actions.Stop, "db")
		b.send(c)
		b.crash()
		driver.at = nowhere
		b.index += 100
		b.bootJoined()
		b.pass(time.Minute)
		late := b.command(c.ID, c.Token, actions.Stop, "db")
		late.NotAfter = b.now() - time.Second
		b.send(late)
		b.pass(time.Second)
		diff(t, "answers", len(b.answers(c.ID)), 0)
		if r := b.do(b.command(c.ID, c.Token, actions.Stop, "db")); r.Outcome != wire.Done || !r.Stopped {
			t.Errorf("a copy in time: %+v", r)
		}
	})
}
