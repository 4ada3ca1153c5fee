package agent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/wire"
)

func TestStatusIsSentOnChangeAndAsRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.boot()
		b.pass(5 * time.Second)
		if len(b.allStatuses()) != 0 {
			t.Errorf("status before the monitors have said what to watch: %+v", b.allStatuses())
		}
		b.bootAgain()
		joined := b.now()
		b.pass(5 * time.Second)
		var stamps []time.Duration
		for i, st := range b.allStatuses() {
			stamps = append(stamps, st.Stamp-joined)
			if st.Seq != uint64(i+1) || st.Epoch != b.epoch || st.Index != b.index || st.Inc != b.inc {
				t.Errorf("status %d: %+v", i, st)
			}
		}
		// The first is for the assignment and what was seen at once, the rest are refreshes.
		ms := time.Millisecond
		diff(t, "stamps", stamps, []time.Duration{50 * ms, 2050 * ms, 4050 * ms})
		diff(t, "db", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Stopped})

		b.world.Script(testHost, "db", memory.Script{Autostart: true})
		b.startByHand("db")
		b.pass(1100 * ms)
		diff(t, "db", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true, Autostart: true})
		if got := len(b.allStatuses()); got != 4 {
			t.Errorf("statuses after a change: got %d, want 4", got)
		}
	})
}

func TestReadyNeedsTheConditionToHoldForSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 2}})
		b.boot()
		as := b.assignment(b.index + 1)
		as.Watch = []wire.Watched{{
			Target: target("db"),
			Ready:  actions.Ready{When: actions.ReadyCommand, Command: "is-db-up", Settle: 3 * time.Second},
		}}
		b.startByHand("db")
		began := b.now()
		b.sendAssignment(as) // fails at 0 s and 1 s, holds from 2 s on
		for !b.ready("db") {
			b.pass(50 * time.Millisecond)
			if b.now()-began > 10*time.Second {
				t.Fatal("db was not reported ready")
			}
		}
		if took := b.now() - began; took < 5*time.Second || took > 5200*time.Millisecond {
			t.Errorf("db was reported ready after %s, want 5 s", took)
		}
		b.world.Script(testHost, "is-db-up", memory.Script{Run: memory.Behaviour{Fail: 1}})
		b.pass(1100 * time.Millisecond)
		if b.ready("db") {
			t.Errorf("db is reported ready although its condition does not hold")
		}
	})
}

func (b *bed) ready(name string) bool {
	return len(b.allStatuses()) > 0 && b.lastStatus(name).Ready
}

func TestWatchListIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		as := b.assignment(b.epoch)
		as.Watch = []wire.Watched{{Target: actions.Target{Workload: "api", Kind: "ocf", Unit: "x"}}}
		b.sendAssignment(as)
		b.pass(2 * time.Second)
		statuses := b.allStatuses()
		diff(t, "workloads", statuses[len(statuses)-1].Workloads, []wire.WorkloadStatus{
			{Workload: "api", Condition: actions.Unknown, Detail: `this agent has no driver for kind "ocf"`},
		})
	})
}

func TestLooksAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		slow := &slowToTell{Driver: b.drivers["memory"]}
		b.drivers["memory"] = slow
		b.boot()
		as := b.assignment(b.index + 1)
		as.Watch = nil
		for i := range 3 * maxLooks {
			as.Watch = append(as.Watch, wire.Watched{Target: target(fmt.Sprintf("w%02d", i))})
		}
		b.sendAssignment(as)
		b.pass(3500 * time.Millisecond) // a second for each row of looks
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		if slow.most != maxLooks {
			t.Errorf("looks at once: got %d, want %d", slow.most, maxLooks)
		}
		for _, w := range as.Watch {
			if word := b.lastStatus(w.Target.Workload); word.Condition != actions.Stopped {
				t.Errorf("not looked at in time: %+v", word)
			}
		}
	})
}

// slowToTell takes a second for each Status and counts how many are asked for at once.
type slowToTell struct {
	actions.Driver

	mu        sync.Mutex // looks come from goroutines
	now, most int
}

func (d *slowToTell) Status(ctx context.Context, t actions.Target) (actions.Status, error) {
	d.count(1)
	defer d.count(-1)
	time.Sleep(time.Second)
	return d.Driver.Status(ctx, t)
}

func (d *slowToTell) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now += n
	d.most = max(d.most, d.now)
}

// A look that began before a command says nothing about what the command left behind.
func TestLookFromBeforeACommandIsVoid(t *testing.T) {
	a := &Agent{looks: map[string]int{"memory": 1}, workloads: map[string]*workload{}}
	w := a.workload("db")
	w.turn, w.looking, w.soon = 2, true, false
	a.note(sighting{name: "db", kind: "memory", turn: 1, sight: sight{status: actions.Status{Condition: actions.Stopped}, gone: true}})
	if w.fresh || w.status.Condition != actions.Unknown || !w.soon || w.looking {
		t.Errorf("workload after a void look: %+v", w)
	}
}

// TestStatusComesBeforeTheResult: whoever hears that a workload is ready, or stopped, has heard the status that says so.
func TestStatusComesBeforeTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.pass(time.Second)
		b.do(b.command("R-0001/start/db/1", b.epoch+1, actions.Start, "db"))
		b.wantBefore(t, actions.Running)
		b.do(b.command("R-0002/stop/db/1", b.epoch+2, actions.Stop, "db"))
		b.wantBefore(t, actions.Stopped)
	})
}

// wantBefore checks what the newest status said of db when the newest result came.
func (b *bed) wantBefore(t *testing.T, want actions.Condition) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := b.before[len(b.before)-1]
	for _, w := range newest.Workloads {
		if w.Workload == "db" && w.Condition != want {
			t.Errorf("when the result came, the status said %s, want %s", w.Condition, want)
		}
	}
}

// TestClock: an agent says now and then what its wall clock shows, and until when its certificate is good: each time anew.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		expires := time.Now().Add(time.Hour).UTC()
		b.expires = func() time.Time { return expires }
		b.bootJoined()
		b.pass(time.Second)
		b.mu.Lock()
		first := len(b.clocks)
		b.mu.Unlock()
		b.pass(25 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if first != 1 || len(b.clocks) != 3 {
			t.Fatalf("it was said %d times in the first second and %d times in 26 s, want 1 and 3", first, len(b.clocks))
		}
		last := b.clocks[2]
		if ago := time.Since(last.Wall); ago < 0 || ago > clockEvery || last.Inc != b.inc || !last.Expires.Equal(expires) {
			t.Errorf("got %+v, %s old", last, ago)
		}
	})
}
