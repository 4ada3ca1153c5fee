package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// startAll starts db and api, which are exclusive where the host fences itself, and web, which is not.
func (b *bed) startAll() {
	b.t.Helper()
	for i, name := range []string{"db", "api", "web"} {
		if r := b.do(b.command("1/s/"+name+"/1", b.epoch+uint64(i)+1, actions.Start, name)); r.Outcome != wire.Done {
			b.t.Fatalf("start of %s: %+v", name, r)
		}
	}
	b.index = b.epoch + 10 // the log goes on meanwhile
}

// since lists what happened since an entry of the record, with the time after a moment.
func (b *bed) since(entry int, moment time.Duration) []string {
	lines := []string{}
	for _, e := range b.world.Record()[entry:] {
		lines = append(lines, fmt.Sprintf("%s %s %s", e.At.Sub(b.began)-moment, e.What, e.Unit))
	}
	slices.Sort(lines)
	return lines
}

func (b *bed) lastLease() wire.LeaseStatus {
	b.t.Helper()
	statuses := b.allStatuses()
	if len(statuses) == 0 {
		b.t.Fatal("no status was published")
	}
	return statuses[len(statuses)-1].Lease
}

// The host is cut off: what is exclusive is asked to stop as long before the lease's end as it may take, and killed at the
// end. What is not goes on.
func TestSilenceStopsAndThenKillsWhatIsExclusive(t *testing.T) {
	for name, guarded := range map[string]bool{"with its guard": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.fences()
				b.bootJoined()
				b.startAll()
				b.world.Script(testHost, "db", memory.Script{Stop: memory.Behaviour{Hang: true}})
				b.world.Script(testHost, "api", memory.Script{Stop: memory.Behaviour{Takes: 500 * time.Millisecond}})
				b.pass(10*time.Second + 130*time.Millisecond)
				before, end := len(b.world.Record()), b.newest()+b.terms.Length
				b.cut()
				if !guarded {
					b.stopGuard()
				}
				b.pass(end - b.now() - b.terms.Stop - time.Millisecond)
				diff(t, "before the end", b.since(before, end), []string{})
				b.pass(time.Millisecond)
				if r := b.do(b.command("2/s/other/1", b.epoch+9, actions.Start, "other")); !strings.Contains(r.Reason, "not joined") {
					t.Errorf("start while the lease is ending: %+v", r)
				}
				b.pass(10 * time.Second)
				diff(t, "at the end", b.since(before, end), []string{"-1.2s stopping api", "-1.2s stopping db", "-700ms stopped api", "0s killed db"})
				if !b.runs("web") {
					t.Error("what is not exclusive was stopped")
				}
				word := b.lastLease()
				if word.Held || word.Fenced != 1 || word.FencedAgo < 7*time.Second || word.Why == "" {
					t.Errorf("lease in the status: %+v", word)
				}
				b.heal()
				b.takeIn()
				diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "web", Token: b.lastStatus("web").Token}})
			})
		})
	}
}

// Acks of a minority prolong nothing.
func TestMinorityDoesNotProlongTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.pass(3 * time.Second)
		before, end := len(b.world.Record()), b.newest()+b.terms.Length
		b.answerRenewals("m2")
		b.pass(end - b.now())
		diff(t, "what happened", b.since(before, end), []string{"-1.2s stopped api", "-1.2s stopped db", "-1.2s stopping api", "-1.2s stopping db"})
		b.pass(time.Second)
		if !b.runs("web") || b.runs("db") || b.runs("api") {
			t.Errorf("runs: %v, want web", b.world.Running())
		}
	})
}

// Once the stop has begun there is no way back, however the acks come.
func TestEndOfTheLeaseIsIrrevocable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.world.Script(testHost, "db", memory.Script{Stop: memory.Behaviour{Hang: true}})
		before, end := len(b.world.Record()), b.newest()+b.terms.Length
		b.cut()
		b.pass(end - b.terms.Stop - b.now())
		b.heal()
		for _, name := range b.acks {
			b.ack(wire.Ack{Monitor: name, Host: testHost, Inc: b.inc, Epoch: b.epoch, Stamp: b.newest(), Voters: 1})
		}
		b.pass(5 * time.Second)
		diff(t, "what happened", b.since(before, end), []string{"-1.2s stopped api", "-1.2s stopping api", "-1.2s stopping db", "0s killed db"})
	})
}

// A host that does not fence itself stops nothing, whatever becomes of its lease. It asks for a new epoch.
func TestHostWithoutSelfFencingStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.exclusive = []string{"db", "api"}
		b.bootJoined()
		b.startAll()
		before, kept := len(b.world.Record()), b.epoch
		b.cut()
		b.pass(time.Minute)
		if r := b.do(b.command("2/s/other/1", b.epoch+9, actions.Start, "other")); r.Outcome != wire.Failed {
			t.Errorf("start without a lease: %+v", r)
		}
		b.heal()
		b.takeIn()
		diff(t, "what happened", b.since(before, 0), []string{})
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "api", Token: kept + 2}, {Workload: "db", Token: kept + 1}, {Workload: "web", Token: kept + 3}})
		b.pass(time.Second)
		if word := b.lastLease(); !word.Held || word.Fenced != 0 || word.Left <= 0 {
			t.Errorf("lease in the status: %+v", word)
		}
	})
}

// A start is cut off when the lease ends. It is not done, and what it left behind is gone.
func TestStartIsCutOffByTheEndOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.world.Script(testHost, "db", memory.Script{Start: memory.Behaviour{Takes: 5 * time.Second}})
		b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 1000}})
		b.bootJoined()
		b.pass(time.Second)
		b.cut()
		end := b.newest() + b.terms.Length
		c := b.command("1/s/db/1", b.epoch+1, actions.Start, "db")
		c.Ready = &actions.Ready{When: actions.ReadyCommand, Command: "is-db-up", Timeout: 20 * time.Second}
		b.send(c)
		b.pass(end - b.now())
		if b.runs("db") {
			t.Errorf("db runs at the end of the lease: %v", b.happened())
		}
		b.pass(time.Minute)
		for _, r := range b.answers(c.ID) {
			if r.Outcome != wire.Unknown || r.Stopped {
				t.Errorf("result of the start that was cut off: %+v", r)
			}
		}
		if len(b.answers(c.ID)) == 0 {
			t.Error("the start that was cut off was not answered")
		}
	})
}

// paused is a driver whose agent is stopped between the last check and the start, and goes on as if nothing had happened.
type paused struct {
	actions.Driver

	pause time.Duration
}

func (d *paused) Do(ctx context.Context, a actions.Action) error {
	if a.Verb == actions.Start {
		time.Sleep(d.pause)
		ctx = context.WithoutCancel(ctx)
	}
	return d.Driver.Do(ctx, a)
}

func TestWhatWasStartedAfterTheLeaseIsKilledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.drivers["memory"] = &paused{Driver: b.drivers["memory"], pause: 20 * time.Second}
		b.bootJoined()
		b.pass(time.Second)
		b.whenSaid = func() {
			if b.runs("db") || len(b.world.Record()) == 0 {
				t.Errorf("the agent said what it runs before the start had come to its end: %v", b.happened())
			}
		}
		b.send(b.command("1/s/db/1", b.epoch+1, actions.Start, "db"))
		b.pass(300 * time.Millisecond)
		b.stopGuard() // it could be paused, too
		b.cut()
		b.pass(10 * time.Second)
		b.heal()
		b.pass(time.Minute)
		record := b.world.Record()
		if len(record) != 3 || record[2].What != memory.Killed || record[2].At != record[0].At {
			t.Errorf("what happened: got %+v, want db killed as soon as it was started", record)
		}
	})
}

// A start that comes to its end while the lease ends is not done, although what it started was up.
func TestStartThatEndsWithTheLeaseIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.drivers["memory"] = &paused{Driver: b.drivers["memory"], pause: 5 * time.Second}
		b.bootJoined()
		b.pass(time.Second)
		b.cut()
		end := b.newest() + b.terms.Length
		c := b.command("1/s/db/1", b.epoch+1, actions.Start, "db")
		c.Ready = nil
		b.send(c)
		b.pass(end - b.now())
		diff(t, "what happened", b.happened(), []string{"starting db", "started db", "stopping db", "stopped db"})
		b.pass(time.Second)
		if got := b.answers(c.ID); len(got) != 1 || got[0].Outcome != wire.Unknown || got[0].Stopped {
			t.Errorf("answers: %+v", got)
		}
	})
}

// What the end of the lease asks for does not wait behind other commands.
func TestFencingWaitsForNoOtherCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		for i := range maxAtOnce {
			name := fmt.Sprintf("w%02d", i)
			b.world.Script(testHost, name, memory.Script{Start: memory.Behaviour{Takes: time.Minute}})
			b.send(b.command("1/s/"+name+"/1", b.epoch+20+uint64(i), actions.Start, name))
		}
		before, end := len(b.world.Record()), b.newest()+b.terms.Length
		b.cut()
		b.pass(end - b.now())
		diff(t, "what happened", b.since(before, end), []string{"-1.2s stopped api", "-1.2s stopped db", "-1.2s stopping api", "-1.2s stopping db"})
	})
}

// An upgrade of the agent is no outage.
func TestRestartWithinTheLeaseKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.pass(time.Second)
		before := len(b.world.Record())
		for range 3 {
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			b.pass(3 * time.Second)
			b.index += 100
			b.bootJoined()
			b.pass(2 * time.Second)
			if word := b.lastLease(); !word.Held {
				t.Errorf("lease in the status: %+v", word)
			}
		}
		b.pass(time.Minute)
		diff(t, "what happened", b.since(before, 0), []string{})
		diff(t, "keeps", len(b.lastKeep()), 3)
	})
}

// A successor that comes too late kills what its former incarnation left, before it says what it runs.
func TestRestartAfterTheLeaseKillsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.fences()
		b.bootJoined()
		b.startAll()
		b.stopGuard() // whatever it would have done
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.pass(10 * time.Second)
		b.world.Script(testHost, "db", memory.Script{Force: memory.Behaviour{Hang: true}})
		before, now := len(b.world.Record()), b.now()
		b.whenSaid = func() {
			if b.runs("db") || b.runs("api") {
				t.Errorf("the agent said what it runs before the rest was gone: %v", b.happened())
			}
		}
		b.boot()
		diff(t, "what happened", b.since(before, now), []string{"0s killed api", "0s killed db"})
		b.takeIn()
		b.whenSaid = nil
		diff(t, "keep", len(b.lastKeep()), 1)
		b.pass(time.Second)
		if word := b.lastLease(); word.Fenced != 1 {
			t.Errorf("lease in the status: %+v", word)
		}
	})
}

// After a reboot, what runs under a token of the journal was started by the machine. It has no lease.
func TestAutostartedAfterARebootIsStoppedFirst(t *testing.T) {
	for _, self := range []lease.SelfFence{lease.None, lease.Guard} {
		t.Run(string(self), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.fences()
				b.bootJoined()
				b.startAll()
				b.stopGuard()
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
				b.world.PowerOff(testHost)
				b.bootID[0]++
				b.startGuard()
				for _, name := range []string{"db", "api", "web"} {
					b.startByHand(name)
				}
				b.world.Script(testHost, "db", memory.Script{Stop: memory.Behaviour{Takes: 3 * time.Second}})
				b.terms.Self = self
				before, now := len(b.world.Record()), b.now()
				b.whenSaid = func() {
					if self != lease.None && (b.runs("db") || b.runs("api")) {
						t.Errorf("the agent said what it runs before the rest was gone: %v", b.happened())
					}
				}
				b.bootJoined()
				want := []string{"0s stopped api", "0s stopping api", "0s stopping db", "3s stopped db"}
				keeps := 1
				if self == lease.None {
					want, keeps = []string{}, 3
				}
				diff(t, "what happened", b.since(before, now), want)
				diff(t, "keeps", len(b.lastKeep()), keeps)
			})
		})
	}
}

// The inventory makes the host fence itself when its lease is over: what runs has no lease under the new terms.
func TestTermsThatLeaveNoLeaseStopWhatIsExclusiveFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.exclusive = []string{"db", "api"}
		b.bootJoined()
		b.startAll()
		b.cut()
		b.pass(20 * time.Second)
		before := len(b.world.Record())
		b.fences()
		b.heal()
		b.whenSaid = func() {
			if b.runs("db") || b.runs("api") {
				t.Errorf("the agent said what it runs before the rest was gone: %v", b.happened())
			}
		}
		b.takeIn()
		diff(t, "what happened", sorted(b.happened()[before:]), []string{"stopped api", "stopped db", "stopping api", "stopping db"})
	})
}

// stubborn leaves processes behind when its unit is stopped, until they are killed.
type stubborn struct {
	actions.Driver

	left atomic.Pointer[actions.Handle]
}

func (d *stubborn) Handles(ctx context.Context, t actions.Target) ([]actions.Handle, error) {
	if left := d.left.Load(); t.Unit == "db" && left != nil {
		return []actions.Handle{*left}, nil
	}
	return d.Driver.Handles(ctx, t)
}

// Stopped is not gone while there is something left to kill.
func TestGoneMeansThatNothingIsLeftToKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		driver := &stubborn{Driver: b.drivers["memory"]}
		b.drivers["memory"] = driver
		b.bootJoined()
		b.startAll()
		driver.left.Store(&actions.Handle{Kind: actions.HandleProcess, PID: 7})
		if r := b.do(b.command("2/stop/db/1", b.epoch+9, actions.Stop, "db")); r.Outcome != wire.Failed || r.Stopped {
			t.Errorf("stop that left a process behind: %+v", r)
		}
		b.stopByHand("db")
		b.index += 100
		b.rejoin()
		b.takeIn()
		if keep := b.lastKeep(); !slices.ContainsFunc(keep, func(k wire.Kept) bool { return k.Workload == "db" }) {
			t.Errorf("keep: got %v, want db in it", keep)
		}
		driver.left.Store(nil)
		b.pass(time.Minute)
		b.index += 100
		b.rejoin()
		b.takeIn()
		if keep := b.lastKeep(); slices.ContainsFunc(keep, func(k wire.Kept) bool { return k.Workload == "db" }) {
			t.Errorf("keep: got %v, want db gone", keep)
		}
	})
}
