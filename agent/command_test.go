package agent

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/wire"
)

func TestCommandIsDoneOnceAndAnsweredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "db", memory.Script{Start: memory.Behaviour{Takes: 5 * time.Second}})
		b.bootJoined()
		c := b.command("1/s/db/1", 110, actions.Start, "db")
		c.NotAfter = b.now() + 8*time.Second
		b.send(c)
		b.pass(time.Second)
		b.send(c) // it is under way
		b.pass(10 * time.Second)
		want := wire.Result{
			V: wire.Version, ID: c.ID, Host: testHost, Inc: b.inc, Epoch: b.epoch, Token: 110,
			Outcome: wire.Done, Took: 5 * time.Second,
		}
		diff(t, "answers", b.answers(c.ID), []wire.Result{want})
		b.send(c) // it has ended, and its time is over
		diff(t, "answers after it was sent again", b.answers(c.ID), []wire.Result{want, want})
		diff(t, "what happened", b.happened(), []string{"starting db", "started db"})
	})
}

func TestStartAndStopOfWhatIsSoAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		if r := b.do(b.command("1/stop/db/1", 110, actions.Stop, "db")); r.Outcome != wire.Done || !r.Already || !r.Stopped {
			t.Errorf("stop of what is stopped: %+v", r)
		}
		b.do(b.command("1/s/db/1", 111, actions.Start, "db"))
		if r := b.do(b.command("2/s/db/1", 112, actions.Start, "db")); r.Outcome != wire.Done || !r.Already || r.Stopped {
			t.Errorf("start of what runs: %+v", r)
		}
		if r := b.do(b.command("3/stop/db/1", 113, actions.Stop, "db")); r.Outcome != wire.Done || r.Already || !r.Stopped {
			t.Errorf("stop of what runs: %+v", r)
		}
	})
}

// TestAnothersCommandIsNotAnswered: what is for another incarnation is another's to do and to answer.
func TestAnothersCommandIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		c := b.command("1/s/db/1", 130, actions.Start, "db")
		c.Inc++
		b.send(c)
		b.pass(5 * time.Second)
		if got := b.answers(c.ID); len(got) > 0 || b.runs("db") {
			t.Errorf("got answers %+v, db runs: %t; want neither", got, b.runs("db"))
		}
	})
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*wire.Command)
		want   string
	}{
		"older epoch":        {func(c *wire.Command) { c.Epoch-- }, "meant for host epoch"},
		"newer epoch":        {func(c *wire.Command) { c.Epoch++ }, "meant for host epoch"},
		"too late":           {func(c *wire.Command) { c.NotAfter = 500 * time.Millisecond }, "too late by 500ms"},
		"older token":        {func(c *wire.Command) { c.Token = 119 }, "token 119 is older than 120"},
		"same token":         {func(c *wire.Command) { c.Token = 120 }, "token 120 is older than 120"},
		"token before epoch": {func(c *wire.Command) { c.Token, c.Action.Target = 50, target("api") }, "was not kept"},
		"known id":           {func(c *wire.Command) { c.ID = "0/stop/db/1" }, "this id is known under token 120"},
		"no kind":            {func(c *wire.Command) { c.Action.Target.Kind = "ocf" }, `no driver for kind "ocf"`},
		"no ladder":          {func(c *wire.Command) { c.Action.Verb = actions.Stop }, "a stop needs a ladder"},
		"no limit":           {func(c *wire.Command) { c.Within = 0 }, "needs a limit"},
		"no token":           {func(c *wire.Command) { c.Token = 0 }, "needs an id, a token and a workload"},
		"rung without limit": {func(c *wire.Command) { c.Ladder = make([]actions.Rung, 1) }, "needs a limit"},
		"unknown verb":       {func(c *wire.Command) { c.Action.Verb = "migrate" }, `unknown verb "migrate"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.bootJoined()
				b.do(b.command("0/stop/db/1", 120, actions.Stop, "db"))
				b.pass(time.Second - b.now())
				c := b.command("1/s/db/1", 130, actions.Start, "db")
				tc.change(&c)
				r := b.do(c)
				if r.Outcome != wire.Failed || r.Stopped != (name == "no kind") || !strings.Contains(r.Reason, tc.want) {
					t.Errorf("result: got %+v, want it to have failed for %q", r, tc.want)
				}
				if r.Inc != c.Inc || r.Epoch != c.Epoch || r.Token != c.Token {
					t.Errorf("the refusal does not say what it was of: %+v", r)
				}
				diff(t, "what happened", b.happened(), []string{})
			})
		})
	}
}

func TestCommandBeforeJoinIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.boot()
		c := b.command("1/s/db/1", 110, actions.Start, "db")
		c.Epoch = 0
		if r := b.do(c); r.Outcome != wire.Failed || !strings.Contains(r.Reason, "not joined") {
			t.Errorf("result: %+v", r)
		}
		diff(t, "what happened", b.happened(), []string{})
	})
}

func TestLateCommandIsRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.pass(time.Minute)
		for _, verb := range []actions.Verb{actions.Start, actions.Run} {
			late := b.command("1/"+string(verb), 110, verb, "db")
			late.NotAfter = b.now() - time.Second
			b.do(late)
			inTime := late
			inTime.NotAfter = b.now() + time.Second
			if r := b.do(inTime); r.Outcome != wire.Failed || !strings.Contains(r.Reason, "too late") {
				t.Errorf("%s: a copy that came in time after a late one: %+v", verb, r)
			}
		}
		diff(t, "what happened", b.happened(), []string{})
	})
}

func TestStopOutdatesEarlierStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("2/stop/db/1", 120, actions.Stop, "db"))
		if r := b.do(b.command("1/s/db/1", 110, actions.Start, "db")); r.Outcome != wire.Failed {
			t.Errorf("a start from before the stop: %+v", r)
		}
		b.bootAgain()
		if r := b.do(b.command("1/s/db/1", 110, actions.Start, "db")); r.Outcome != wire.Failed {
			t.Errorf("the same after a restart: %+v", r)
		}
		diff(t, "what happened", b.happened(), []string{})
	})
}

func TestOneWorkloadOneCommandAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "db", memory.Script{Start: memory.Behaviour{Takes: 5 * time.Second}})
		b.bootJoined()
		b.send(b.command("1/s/db/1", 110, actions.Start, "db"))
		stop := b.command("2/stop/db/1", 120, actions.Stop, "db")
		stop.NotAfter = b.now() + time.Minute
		b.send(stop)
		b.send(b.command("3/s/api/1", 121, actions.Start, "api")) // another workload does not wait
		b.pass(10 * time.Second)
		diff(t, "what happened", b.happened(),
			[]string{"starting db", "starting api", "started api", "started db", "stopping db", "stopped db"})
		diff(t, "answers to the stop", len(b.answers(stop.ID)), 1)
	})
}

func TestCommandThatWaitedIsJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "db", memory.Script{Stop: memory.Behaviour{Takes: 5 * time.Second}})
		b.bootJoined()
		b.do(b.command("0/s/db/1", 110, actions.Start, "db"))
		b.do(b.command("0/s/api/1", 111, actions.Start, "api"))

		b.send(b.command("1/stop/db/1", 120, actions.Stop, "db"))
		late := b.command("1/s/db/1", 121, actions.Start, "db") // its two seconds pass while the stop takes five
		b.send(late)
		b.pass(10 * time.Second)
		if got := b.answers(late.ID); len(got) != 1 || !strings.Contains(got[0].Reason, "too late") {
			t.Errorf("a command whose time passed while it waited: %+v", got)
		}

		b.do(b.command("1/s/db/2", 122, actions.Start, "db"))
		b.send(b.command("2/stop/db/1", 123, actions.Stop, "db"))
		outdated := b.command("2/s/db/1", 124, actions.Start, "db")
		outdated.NotAfter = b.now() + time.Minute
		b.send(outdated)
		last := b.command("3/stop/db/1", 125, actions.Stop, "db") // arrives while the start still waits, and outdates it
		last.NotAfter = outdated.NotAfter
		b.send(last)
		b.pass(10 * time.Second)
		if got := b.answers(outdated.ID); len(got) != 1 || !strings.Contains(got[0].Reason, "token 124 is older than 125") {
			t.Errorf("a command that was outdated while it waited: %+v", got)
		}

		b.do(b.command("4/s/db/1", 130, actions.Start, "db"))
		b.send(b.command("5/stop/db/1", 131, actions.Stop, "db"))
		revoked := b.command("5/s/db/1", 132, actions.Start, "db")
		revoked.NotAfter = b.now() + time.Minute
		b.send(revoked)
		b.rejoin()
		b.pass(10 * time.Second)
		if got := b.answers(revoked.ID); len(got) != 1 || !strings.Contains(got[0].Reason, "not joined") {
			t.Errorf("a command whose epoch was revoked while it waited: %+v", got)
		}
		if b.runs("db") {
			t.Errorf("db runs: %v", b.happened())
		}
	})
}

func TestCommandsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		for i := range 40 {
			name := fmt.Sprintf("w%02d", i)
			b.world.Script(testHost, name, memory.Script{Start: memory.Behaviour{Takes: 10 * time.Second}})
			c := b.command("1/s/"+name+"/1", 110+uint64(i), actions.Start, name)
			c.NotAfter = b.now() + time.Minute
			b.send(c)
		}
		b.pass(time.Second)
		if got := len(b.world.Running()); got != maxAtOnce {
			t.Errorf("starts at once: got %d, want %d", got, maxAtOnce)
		}
		b.pass(20 * time.Second)
		if got := len(b.world.Running()); got != 40 {
			t.Errorf("started in the end: got %d, want 40", got)
		}
	})
}

func TestLadder(t *testing.T) {
	const hang = true
	for name, tc := range map[string]struct {
		script  memory.Script
		within  time.Duration
		want    wire.Outcome
		stopped bool
		took    time.Duration
		reason  string
	}{
		"stops when asked":       {memory.Script{Stop: memory.Behaviour{Takes: 3 * time.Second}}, time.Minute, wire.Done, true, 3 * time.Second, ""},
		"is taken down in time":  {memory.Script{Stop: memory.Behaviour{Hang: hang}}, time.Minute, wire.Done, true, 10 * time.Second, ""},
		"fails, is taken down":   {memory.Script{Stop: memory.Behaviour{Fail: 1, Takes: time.Second}}, time.Minute, wire.Done, true, time.Second, ""},
		"cannot be taken down":   {memory.Script{Stop: memory.Behaviour{Fail: 1}, Force: memory.Behaviour{Fail: 1}}, time.Minute, wire.Failed, false, 0, "still running"},
		"hangs on every rung":    {memory.Script{Stop: memory.Behaviour{Hang: hang}, Force: memory.Behaviour{Hang: hang}}, time.Minute, wire.Unknown, false, 15 * time.Second, "nobody knows"},
		"has less than its rung": {memory.Script{Stop: memory.Behaviour{Hang: hang}}, 4 * time.Second, wire.Unknown, false, 4 * time.Second, "not done within 4s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.bootJoined()
				b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
				b.world.Script(testHost, "db", tc.script)
				c := b.command("2/stop/db/1", 120, actions.Stop, "db")
				c.Within = tc.within
				r := b.do(c)
				if r.Outcome != tc.want || r.Stopped != tc.stopped || r.Took != tc.took || !strings.Contains(r.Reason, tc.reason) {
					t.Errorf("got %+v, want %+v", r, tc)
				}
				if b.runs("db") == tc.stopped {
					t.Errorf("the result says stopped %v, the world %v", r.Stopped, b.world.Running())
				}
			})
		})
	}
}

func TestStartThatDoesNotSucceed(t *testing.T) {
	for name, tc := range map[string]struct {
		script  memory.Behaviour
		want    wire.Outcome
		stopped bool
		reason  string
		kept    bool // its token stays: it may run
	}{
		"fails": {memory.Behaviour{Fail: 1, Takes: time.Second}, wire.Failed, true, "start db on h1", false},
		"hangs": {memory.Behaviour{Hang: true}, wire.Unknown, false, "not done within 20s", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.world.Script(testHost, "db", memory.Script{Start: tc.script})
				b.bootJoined()
				c := b.command("1/s/db/1", 110, actions.Start, "db")
				c.Within = 20 * time.Second
				r := b.do(c)
				if r.Outcome != tc.want || r.Stopped != tc.stopped || !strings.Contains(r.Reason, tc.reason) {
					t.Errorf("got %+v, want %+v", r, tc)
				}
				b.bootAgain()
				if got := len(b.lastKeep()) == 1; got != tc.kept {
					t.Errorf("kept after a restart: got %v, want %v", got, tc.kept)
				}
			})
		})
	}
}

// A start that is cut off by its limit may go on behind the driver's back: that it is stopped now proves nothing.
func TestStoppedAfterALimitIsNotProvenGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.drivers["memory"] = &crashing{Driver: b.drivers["memory"], at: beforeDo}
		b.bootJoined()
		r := b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		if b.runs("db") || r.Outcome != wire.Unknown || r.Stopped {
			t.Errorf("result: got %+v, want unknown", r)
		}
	})
}

func TestReadinessGatesTheResult(t *testing.T) {
	start := func(b *bed) wire.Command {
		c := b.command("1/s/db/1", 110, actions.Start, "db")
		c.Within = 30 * time.Second
		c.Ready = &actions.Ready{When: actions.ReadyCommand, Command: "is-db-up", Timeout: 20 * time.Second}
		return c
	}
	t.Run("ready in the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 30}})
			b.bootJoined()
			if r := b.do(start(b)); r.Outcome != wire.Done || r.Took != 3*time.Second {
				t.Errorf("result: %+v", r)
			}
		})
	})
	t.Run("never ready", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 1000}})
			b.bootJoined()
			r := b.do(start(b))
			if r.Outcome != wire.Failed || r.Stopped || r.Took != 20*time.Second || !strings.HasPrefix(r.Reason, "running but not ready: ") {
				t.Errorf("result: %+v", r)
			}
			b.bootAgain()
			diff(t, "kept, for it runs", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 110}})
		})
	})
	t.Run("crashed before it was ready", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 1000}})
			b.bootJoined()
			c := start(b)
			b.send(c)
			b.pass(2500 * time.Millisecond)
			b.world.PowerOff(testHost)
			b.pass(time.Second)
			got := b.answers(c.ID)
			if len(got) != 1 || got[0].Outcome != wire.Failed || !got[0].Stopped || !strings.Contains(got[0].Reason, "stopped before it was ready") {
				t.Errorf("answers: %+v", got)
			}
		})
	})
}

func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		script memory.Behaviour
		want   wire.Outcome
		reason string
	}{
		"exits well":  {memory.Behaviour{Takes: time.Second}, wire.Done, ""},
		"exits badly": {memory.Behaviour{Fail: 1}, wire.Failed, "run flush on h1"},
		"hangs":       {memory.Behaviour{Hang: true}, wire.Unknown, "not done within 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.world.Script(testHost, "flush", memory.Script{Run: tc.script})
				b.bootJoined()
				c := b.command("1/run/flush/1", 110, actions.Run, "flush")
				if r := b.do(c); r.Outcome != tc.want || r.Already || r.Stopped || !strings.Contains(r.Reason, tc.reason) {
					t.Errorf("got %+v, want %+v", r, tc)
				}
				b.send(c)
				diff(t, "what happened", b.happened(), []string{"ran flush"})
			})
		})
	}
}

func TestRunsOfOneCommandNeedNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		for _, token := range []uint64{111, 110} {
			if r := b.do(b.command(fmt.Sprintf("1/run/flush/%d", token), token, actions.Run, "flush")); r.Outcome != wire.Done {
				t.Errorf("run under token %d: %+v", token, r)
			}
		}
		diff(t, "what happened", b.happened(), []string{"ran flush", "ran flush"})
	})
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"exit status 1":           "exit status 1",
		"first\nlast \n\n":        "last",
		strings.Repeat("ä", 200):  strings.Repeat("ä", 150) + "…",
		strings.Repeat("xä", 101): strings.Repeat("xä", 100) + "…",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q): got %q, want %q", in, got, want)
		}
	}
}
