package agent

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/wire"
)

func TestJoinIsRepeatedUntilAssigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.boot()
		b.pass(2500 * time.Millisecond)
		want := wire.Join{V: wire.Version, Host: testHost, Boot: "01020300000000000000000000000000", Inc: b.inc, Keep: []wire.Kept{}}
		var stamps []time.Duration
		for _, j := range b.allJoins() {
			stamps = append(stamps, j.Stamp)
			if len(j.Journal) != 32 {
				t.Errorf("journal: got %q, want 32 hex digits", j.Journal)
			}
			j.Stamp, j.Journal = 0, ""
			diff(t, "join", j, want)
		}
		diff(t, "stamps", stamps, []time.Duration{0, time.Second, 2 * time.Second})

		b.inc++ // of a former agent, or of one to come
		b.assign(200)
		b.inc--
		b.pass(time.Second)
		if got := len(b.allJoins()); got != 4 {
			t.Errorf("joins after an assignment for another incarnation: got %d, want 4", got)
		}
		b.assign(201)
		b.pass(5 * time.Second)
		if got := len(b.allJoins()); got != 4 {
			t.Errorf("joins after the assignment: got %d, want 4", got)
		}
	})
}

func TestJoinNamesTheLastEpochOfThisBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		held := b.epoch
		b.bootAgain()
		if got := b.allJoins()[0].Epoch; got != held {
			t.Errorf("epoch in the join: got %d, want %d", got, held)
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
		diff(t, "joins", len(b.allJoins()), 1)
		diff(t, "keep", b.lastKeep(), []wire.Kept{})
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
		if len(b.allJoins()) != 0 {
			t.Errorf("the agent asked to join before it had looked at what it owns: %+v", b.allJoins())
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
		b.assign(0)
		b.index += 100
		b.assign(b.index)
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

func TestRevokedEpochMeansJoiningAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.do(b.command("1/s/api/1", 111, actions.Start, "api"))
		joins := len(b.allJoins())
		b.index = 150
		b.assign(0)
		b.pass(1500 * time.Millisecond)
		if len(b.allJoins()) == joins {
			t.Fatal("the agent did not ask to join again")
		}
		diff(t, "keep", b.lastKeep(), []wire.Kept{{Workload: "api", Token: 111}, {Workload: "db", Token: 110}})
		b.pass(time.Minute)
		if !b.runs("db") || !b.runs("api") {
			t.Errorf("a revocation alone must stop nothing: %v", b.happened())
		}
		b.epoch = 160
		b.index = 160
		b.assign(b.epoch, wire.Kept{Workload: "db", Token: 110})
		b.pass(time.Second)
		if !b.runs("db") || b.runs("api") {
			t.Errorf("runs after the new assignment: got %v, want db only", b.world.Running())
		}
	})
}

// A host that was lost by mistake gets its epoch back, with all that it was granted under it.
func TestReinstatedEpochGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.bootJoined()
		b.do(b.command("1/s/db/1", 110, actions.Start, "db"))
		b.index = 150
		b.assign(0)
		if r := b.do(b.command("1/s/api/1", 120, actions.Start, "api")); r.Outcome != wire.Failed {
			t.Errorf("start under the revoked epoch: %+v", r)
		}
		b.assign(b.epoch, wire.Kept{Workload: "db", Token: 110})
		if r := b.do(b.command("2/s/api/1", 160, actions.Start, "api")); r.Outcome != wire.Done {
			t.Errorf("start under the reinstated epoch: %+v", r)
		}
		b.pass(time.Minute)
		if !b.runs("db") || !b.runs("api") {
			t.Errorf("runs: got %v, want db and api", b.world.Running())
		}
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
		b.assign(0)
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
		b.assign(0)
		if r := b.do(b.command("1/s/db/1", 160, actions.Start, "db")); r.Outcome != wire.Done {
			t.Errorf("start after an old assignment: %+v", r)
		}
	})
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func TestInboxIsBounded(t *testing.T) {
	a := &Agent{}
	inbox := make(chan int, 2)
	for i := range 5 {
		hand(a, inbox, i, nil)
	}
	hand(a, inbox, 9, fmt.Errorf("not a message"))
	if got := []int{<-inbox, <-inbox}; got[0] != 0 || got[1] != 1 || len(inbox) != 0 {
		t.Errorf("inbox: got %v and %d more, want the first two", got, len(inbox))
	}
}
