package agent

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

func TestJoinIsRepeatedUntilAssigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.answerJoins(false)
		b.boot()
		b.pass(1500 * time.Millisecond)
		b.answerJoins(true)
		b.pass(2 * time.Second)
		first := wire.Join{
			V: wire.Version, Host: testHost, Boot: "01020300000000000000000000000000", Inc: b.inc, Ask: 1, Keep: []wire.Kept{},
		}
		second := first
		second.Nonce, second.Tried = b.nonce, []lease.Try{{Inc: b.inc, Nonce: b.nonce}}
		var joins []wire.Join
		var stamps []time.Duration
		for _, j := range b.allJoins() {
			stamps = append(stamps, j.Stamp)
			if len(j.Journal) != 32 {
				t.Errorf("journal: got %q, want 32 hex digits", j.Journal)
			}
			j.Stamp, j.Journal = 0, ""
			joins = append(joins, j)
		}
		// The offer comes after the third, and is answered at once.
		diff(t, "joins", joins, []wire.Join{first, first, first, second, second})
		sec := time.Second
		diff(t, "stamps", stamps, []time.Duration{0, sec, 2 * sec, 2 * sec, 3 * sec})

		b.inc++ // of a former agent, or of one to come
		b.assign(200)
		b.inc--
		b.pass(time.Second)
		if got := len(b.allJoins()); got != 6 {
			t.Errorf("joins after an assignment for another incarnation: got %d, want 6", got)
		}
		b.assign(201)
		b.pass(5 * time.Second)
		if got := len(b.allJoins()); got != 6 {
			t.Errorf("joins after the assignment: got %d, want 6", got)
		}
	})
}

func TestJoinProvesSuccessionInThisBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		first, held := b.inc, b.epoch
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.boot() // answers an offer and hears nothing of it
		tried := lease.Try{Inc: b.inc, Nonce: b.nonce}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.boot()
		if j := b.allJoins()[0]; j.Epoch != held || j.Former != first {
			t.Errorf("the join says: held epoch %d by %d, want %d by %d", j.Epoch, j.Former, held, first)
		} else {
			diff(t, "tried since", j.Tried, []lease.Try{tried})
		}
		b.takeIn()
		mine, held := b.inc, b.epoch
		b.bootAgain()
		if j := b.allJoins()[0]; j.Epoch != held || j.Former != mine || len(j.Tried) != 0 {
			t.Errorf("the next join says: held epoch %d by %d, tried %v; want %d by %d", j.Epoch, j.Former, j.Tried, held, mine)
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.bootID[0]++
		b.boot()
		if j := b.allJoins()[0]; j.Epoch != 0 || j.Former != 0 {
			t.Errorf("after a reboot the join says: held epoch %d by %d, want neither", j.Epoch, j.Former)
		}
	})
}

// Four workloads were started under tokens; then the agent died. One still runs, one has ended, one cannot be told, one
// was stopped by command. A fifth was never started by an agent.
func TestJoinKeepsWhatIsNotProvenGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		for i, name := range []string{"runs", "ended", "untold", "stopped"} {
			b.do(b.command("1/s/"+name+"/1", 110+uint64(i), actions.Start, name))
		}
		b.do(b.command("2/stop/stopped/1", 120, actions.Stop, "stopped"))
		b.startByHand("found")
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.stopByHand("ended")
		b.world.Script(testHost, "untold", memory.Script{Stop: memory.Behaviour{Hang: true}})
		b.stopByHand("untold")

		b.boot()
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "runs", Token: 110}, {Workload: "untold", Token: 112}})
	})
}

func TestJoinWaitsForAFirstLookAtEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		for i := range 3 * maxLooks {
			name := fmt.Sprintf("w%02d", i)
			b.do(b.command("1/s/"+name+"/1", 110+uint64(i), actions.Start, name))
		}
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.world.PowerOff(testHost)
		b.boot()
		for _, j := range b.allJoins() {
			if j.Nonce != 0 {
				diff(t, "keep", j.Keep, []wire.Kept{})
			}
		}
		if !b.answered() {
			t.Errorf("the offer was not answered after the first looks: %+v", b.allJoins())
		}
	})
}

func TestJoinDoesNotWaitForASilentDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		stuck := &stuckDriver{Driver: b.drivers["memory"], unit: "db", free: make(chan struct{})}
		defer close(stuck.free)
		b.drivers["memory"] = stuck
		b.boot()
		if b.answered() {
			t.Errorf("the agent said what it runs before it had looked at it: %+v", b.allJoins())
		}
		b.pass(6 * time.Second)
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 110}})
	})
}

func TestWhatIsNotKeptIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		for i, name := range []string{"api", "db", "web"} {
			b.do(b.command("1/s/"+name+"/1", 110+uint64(i), actions.Start, name))
		}
		b.startByHand("found")
		b.world.Script(testHost, "web", memory.Script{Stop: memory.Behaviour{Hang: true}}) // it must be taken down
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		before := len(b.world.Record())
		b.index += 100
		b.boot()
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "api", Token: 110}, {Workload: "db", Token: 111}, {Workload: "web", Token: 112}})
		if got := b.happened()[before:]; len(got) != 0 {
			t.Errorf("the agent did something before it had joined: %v", got)
		}
		b.epoch = b.index + 1
		b.assign(b.epoch, wire.Kept{Workload: "db", Token: 111}, wire.Kept{Workload: "web", Token: 105})
		b.pass(29 * time.Second)
		diff(t, "after 29 s", sorted(b.happened()[before:]), []string{"stopped api", "stopping api", "stopping web"})
		b.pass(3 * time.Second)
		diff(t, "after 32 s", b.happened()[before+3:], []string{"killed web"})
		diff(t, "status", b.lastStatus("web"), wire.WorkloadStatus{Workload: "web", Condition: actions.Stopped})
		if !b.runs("db") || !b.runs("found") {
			t.Errorf("what was kept and what was found must go on: %v", b.world.Running())
		}
		b.bootAgain()
		diff(t, "keep after a restart", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 111}})
	})
}

func TestLeftoverThatDoesNotStopIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.world.Script(testHost, "db", memory.Script{Stop: memory.Behaviour{Fail: 1}, Force: memory.Behaviour{Fail: 1}})
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.index += 100
		b.boot()
		b.assign(b.index + 1)
		b.pass(5 * time.Second)
		diff(t, "status", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true, Token: 110})
		b.pass(10 * time.Second)
		diff(t, "status", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Stopped})
	})
}

func TestTokenOfThisEpochNeedsNoKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.index = 150
		b.assign(b.epoch) // a new watch list, say; the join asked to keep nothing
		b.pass(time.Minute)
		if !b.runs("db") {
			t.Errorf("a workload that was granted under this epoch was stopped: %v", b.happened())
		}
	})
}

// What runs without a token is found: it is reported, and never stopped by the agent's own decision.
func TestFoundIsReportedAndNeverTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.startByHand("db")
		before := len(b.world.Record())
		b.bootJoined()
		b.pass(time.Second)
		diff(t, "status", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true})
		b.bootAgain()
		diff(t, "keep", b.lastKeep(), []wire.Kept{})
		b.rejoin()
		b.takeIn()
		b.pass(time.Minute)
		diff(t, "what happened since", b.happened()[before:], []string{})
	})
}

func TestAdoptedWorkloadHasItsTokenFromTheAssignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.startByHand("db")
		b.bootJoined()
		b.index = 150
		adopted := wire.Kept{Workload: "db", Token: 150}
		b.assign(b.epoch, adopted)
		b.pass(time.Second)
		diff(t, "status", b.lastStatus("db"), wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true, Token: 150})
		b.bootAgain()
		diff(t, "keep", b.lastKeep(), []wire.Kept{adopted})

		b.do(b.command("2/stop/db/1", 310, actions.Stop, "db"))
		b.assign(b.epoch, adopted) // made before the stop was known
		b.startByHand("db")
		b.pass(2 * time.Second)
		diff(t, "status of what was stopped and came back by itself", b.lastStatus("db"),
			wire.WorkloadStatus{Workload: "db", Condition: actions.Running, Ready: true})
	})
}

// While a command is being done, nobody can say that its workload is gone.
func TestJoinDuringACommandKeepsItsWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.drivers["memory"] = &slowToBegin{Driver: b.drivers["memory"]}
		b.bootJoined()
		b.send(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.index = 150
		b.rejoin()
		b.pass(1500 * time.Millisecond)
		if got := b.happened(); len(got) != 0 {
			t.Fatalf("the start has reached the world too early for this test: %v", got)
		}
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 110}})
		b.pass(10 * time.Second)
		diff(t, "keep once it has run", b.lastKeep(), []wire.Kept{{Workload: "db", Token: 110}})
	})
}

func TestAssignmentOfAnotherLogIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		b.index = 4
		b.boot()
		b.assign(5)
		b.pass(time.Minute)
		if !b.runs("db") {
			t.Errorf("a new cluster's assignment stopped what an older cluster had started: %v", b.happened())
		}
		if got := len(b.allJoins()); got < 60 {
			t.Errorf("joins in the minute after it: got %d, want one each second", got)
		}
	})
}

func TestOlderAssignmentIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.index = 150
		b.assign(b.epoch)
		b.index = 120
		b.rejoin()
		if r := b.do(b.command("1/s/db/1", 160, actions.Start, "db")); r.Outcome != wire.Done {
			t.Errorf("start after an old assignment: %+v", r)
		}
	})
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func TestInboxIsBounded(t *testing.T) {
	a := &Agent{}
	inbox := make(chan wire.Ack, 2)
	for i := range 5 {
		data, err := wire.Marshal(wire.Ack{Epoch: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		receive(a, inbox, data)
	}
	receive(a, inbox, []byte("not a message"))
	if first, second := <-inbox, <-inbox; first.Epoch != 0 || second.Epoch != 1 || len(inbox) != 0 {
		t.Errorf("inbox: got %+v, %+v and %d more, want the first two", first, second, len(inbox))
	}
}
