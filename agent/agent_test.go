package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/wire"
)

func TestBeatsComeAtTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.boot()
		b.pass(time.Second)
		var stamps []time.Duration
		for i, beat := range b.allBeats() {
			stamps = append(stamps, beat.Stamp)
			if beat.Seq != uint32(i+1) || beat.Inc != b.inc || beat.Boot != testBoot || string(beat.Host) != testHost {
				t.Errorf("beat %d is of another agent or out of order: %+v", i, beat)
			}
		}
		ms := time.Millisecond
		diff(t, "stamps", stamps, []time.Duration{0, 250 * ms, 500 * ms, 750 * ms, 1000 * ms})

		as := b.assignment(b.index + 1)
		as.Interval = 100 * ms
		b.sendAssignment(as)
		before := len(b.allBeats())
		b.pass(time.Second)
		if got := len(b.allBeats()) - before; got != 8 { // after 250 ms, then each 100 ms
			t.Errorf("beats in the second after the new interval: got %d, want 8", got)
		}
	})
}

func TestEndLeavesWorkloadsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.world.Script(testHost, "api", memory.Script{Start: memory.Behaviour{Takes: 20 * time.Second}})
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.send(b.command("1/s/api/1", 111, actions.Start, "api"))
		if err := b.stop(); err != nil {
			t.Errorf("end of the agent: %v", err)
		}
		beats := len(b.allBeats())
		b.pass(30 * time.Second)
		diff(t, "what happened", b.happened(), []string{"starting db", "started db", "starting api", "started api"})
		if len(b.allBeats()) != beats {
			t.Errorf("the agent beats after its end")
		}
		if got := b.answers("1/s/api/1"); len(got) != 0 {
			t.Errorf("an interrupted command was answered: %+v", got)
		}
	})
}

func TestDriverThatIgnoresItsLimitDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		stuck := &stuckDriver{Driver: b.drivers["memory"], unit: "db", free: make(chan struct{})}
		b.drivers["memory"] = stuck
		defer close(stuck.free)
		b.bootJoined()
		b.send(b.command("1/s/db/1", 110, actions.Start, "db"))
		if r := b.do(b.command("1/s/api/1", 111, actions.Start, "api")); r.Outcome != wire.Done {
			t.Errorf("start of another workload: %+v", r)
		}
		before := len(b.allBeats())
		b.pass(10 * time.Second)
		if got := len(b.allBeats()) - before; got != 40 {
			t.Errorf("beats in 10 s: got %d, want 40", got)
		}
		diff(t, "status of the silent one", b.lastStatus("db"),
			wire.WorkloadStatus{Workload: "db", Condition: actions.Unknown, Detail: "no answer for 4s"})
		diff(t, "status of another", b.lastStatus("api"),
			wire.WorkloadStatus{Workload: "api", Condition: actions.Running, Ready: true, Token: 111})
	})
}

func TestEndDoesNotWaitForeverForADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		stuck := &stuckDriver{Driver: b.drivers["memory"], unit: "db", free: make(chan struct{})}
		b.drivers["memory"] = stuck
		defer close(stuck.free)
		b.bootJoined()
		b.send(b.command("1/s/db/1", 110, actions.Start, "db"))
		before := b.now()
		if err := b.stop(); err == nil {
			t.Errorf("the end of an agent with a stuck command was no error")
		}
		if took := b.now() - before; took != stopLimit {
			t.Errorf("the end took %s, want %s", took, stopLimit)
		}
	})
}
