package planner

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const doorInventory = `host h1 site=ams
host h2 site=ams
host h3 site=fra
workload db hosts=h1,h2
workload api hosts=h1,h2,h3 after=db
workload idle hosts=h1,h2`

// The indices of what every case at the door begins with.
const (
	doorFiles = 2
	doorH1    = 4
	doorH2    = 5
	doorDB    = 7 // on h1
	doorAPI   = 8 // on h2
	doorNext  = 9
)

func doorway(t *testing.T) *State {
	t.Helper()
	set := plans.Set{Inventory: parseInventory(t, doorInventory), Plans: []*plans.Plan{
		parsePlan(t, "elsewhere", "any", "fence fence\nup start workloads=lost_with"),
		parsePlan(t, "fix", "", "fix run host=h2 command=fix"),
	}}
	return through(t, NewState(),
		ClusterFormed{Cluster: "c"}, FilesApplied{Set: set}, PlanArmed{Plan: "elsewhere"},
		HostJoined{Host: "h1", Inc: 11}, HostJoined{Host: "h2", Inc: 21}, HostJoined{Host: "h3", Inc: 31},
		WorkloadAdopted{Workload: "db", Host: "h1", Epoch: doorH1}, WorkloadAdopted{Workload: "api", Host: "h2", Epoch: doorH2})
}

// through lets events in that must be let in.
func through(t *testing.T, s *State, events ...Event) *State {
	t.Helper()
	for _, event := range events {
		next, err := s.Apply(s.Index+1, Entry{At: epoch0, By: "ann", Reason: "because", Event: event})
		if err != nil {
			t.Fatalf("apply %s: %v", event.Name(), err)
		}
		s = next
	}
	return s
}

// one is a run of one step.
func one(kind plans.StepKind, workload string) RunStarted {
	return RunStarted{Kind: RunStart, Steps: []Step{{
		ID: "s", Kind: kind, Workload: workload, Within: time.Minute,
		OnFailure: plans.OnFailure{Attempts: 1, Then: plans.ThenHalt, Within: time.Hour},
	}}}
}

// two is a run of two steps with one workload, side by side.
func two(first, second plans.StepKind, workload string) RunStarted {
	run, other := one(first, workload), one(second, workload)
	other.Steps[0].ID = "s2"
	run.Steps = append(run.Steps, other.Steps...)
	return run
}

func begin(step string, attempt int, host string, epoch uint64) StepStarted {
	return StepStarted{Run: 1, Step: step, Attempt: attempt, Host: host, Epoch: epoch, Within: time.Minute}
}

// doorCase is an entry that must not be let in, after others that must.
type doorCase struct {
	name   string
	before []Event
	event  Event
	want   Code
}

// lostH1 is the first loss of h1, and answerH1 the run that answers it.
func lostH1() HostLost { return HostLost{Host: "h1", Inc: 11, Epoch: doorH1} }

func answerH1() RunStarted {
	return RunStarted{
		Kind: RunPlan, Plan: "elsewhere", PlanRev: doorFiles, Hosts: []string{"h1"}, Losses: []uint64{doorNext},
		Steps: []Step{{ID: "f", Kind: plans.StepFence, Host: "h1", Within: time.Hour, OnFailure: plans.OnFailure{Then: plans.ThenHalt}}},
	}
}

// fix is a run of a plan by hand.
func fix() RunStarted {
	return RunStarted{Kind: RunPlan, Plan: "fix", PlanRev: doorFiles, Steps: one(plans.StepRun, "").Steps}
}

// beginCases: steps that must not begin.
func beginCases() []doorCase {
	return []doorCase{
		{"a grant of what another host owns", []Event{one(plans.StepStart, "db")}, begin("s", 1, "h2", doorH2), CodeOwned},
		{"a grant of what a lost host owns", []Event{lostH1(), one(plans.StepStart, "db")}, begin("s", 1, "h2", doorH2), CodeOwned},
		{"a grant to a lost host", []Event{lostH1(), one(plans.StepStart, "idle")}, begin("s", 1, "h1", doorH1), CodeHost},
		{"a grant under an old epoch", []Event{one(plans.StepStart, "idle")}, begin("s", 1, "h1", doorH1-1), CodeHost},
		{"a grant to a host that is not allowed", []Event{one(plans.StepStart, "idle")}, begin("s", 1, "h3", 6), CodeHost},
		{"a grant to nobody", []Event{one(plans.StepStart, "idle")}, begin("s", 1, "", 0), CodeNoSuch},
		{"a start whose provider is being stopped", []Event{
			one(plans.StepStop, "api"), begin("s", 1, "h2", doorH2),
			StepFinished{Run: 1, Step: "s", Attempt: 1, Token: doorNext + 1, Outcome: wire.Done, Stopped: true},
			RunEnded{Run: 1, Outcome: RunSucceeded},
			one(plans.StepStop, "db"),
			StepStarted{Run: 2, Step: "s", Attempt: 1, Host: "h1", Epoch: doorH1},
			one(plans.StepStart, "api"),
		}, StepStarted{Run: 3, Step: "s", Attempt: 1, Host: "h2", Epoch: doorH2}, CodeOrder},
		{"a start whose provider's host is lost", []Event{
			one(plans.StepStart, "api"), lostH1(),
		}, begin("s", 1, "h2", doorH2), CodeOrder},
		{"a stop while a dependent runs", []Event{one(plans.StepStop, "db")}, begin("s", 1, "h1", doorH1), CodeOrder},
		{"a stop where it does not run", []Event{one(plans.StepStop, "api")}, begin("s", 1, "h1", doorH1), CodeStale},
		{"a second attempt before the first", []Event{one(plans.StepStart, "idle")}, begin("s", 2, "h1", doorH1), CodeStale},
		{"a start while its stop is under way", []Event{two(plans.StepStop, plans.StepStart, "api"), begin("s", 1, "h2", doorH2)}, begin("s2", 1, "h2", doorH2), CodeOrder},
		{"a begin in an aborted run", []Event{one(plans.StepStart, "idle"), RunAborted{Run: 1}}, begin("s", 1, "h1", doorH1), CodeState},
	}
}

// answerCases: answers that must not count.
func answerCases() []doorCase {
	return []doorCase{
		{"stopped under another token", []Event{one(plans.StepStop, "api"), begin("s", 1, "h2", doorH2)}, StepFinished{Run: 1, Step: "s", Attempt: 1, Token: doorAPI, Outcome: wire.Done, Stopped: true}, CodeStale},
		{"done, not stopped", []Event{one(plans.StepStop, "api"), begin("s", 1, "h2", doorH2)}, StepFinished{Run: 1, Step: "s", Attempt: 1, Token: doorNext + 1, Outcome: wire.Done}, CodeOwned},
		{"stopped before it was begun", []Event{one(plans.StepStop, "api")}, StepFinished{Run: 1, Step: "s", Attempt: 1, Outcome: wire.Done, Already: true, Stopped: true}, CodeStale},
		{"stopped already, but it runs", []Event{one(plans.StepStop, "api")}, StepFinished{Run: 1, Step: "s", Attempt: 1, Outcome: wire.Done, Already: true}, CodeOwned},
		{"started already, but it does not run", []Event{one(plans.StepStart, "idle")}, StepFinished{Run: 1, Step: "s", Attempt: 1, Outcome: wire.Done, Already: true}, CodeState},
		{"a command that ran already", []Event{fix()}, StepFinished{Run: 1, Step: "s", Attempt: 1, Outcome: wire.Done, Already: true}, CodeStale},
		{"an outcome that is none", []Event{one(plans.StepStop, "api"), begin("s", 1, "h2", doorH2)}, StepFinished{Run: 1, Step: "s", Attempt: 1, Token: doorNext + 1}, CodeInvalid},
		{"a start anew of what is there", []Event{one(plans.StepStart, "idle"), begin("s", 1, "h1", doorH1)}, StepReset{Run: 1, Step: "s", Attempt: 1}, CodeOwned},
	}
}

// hostCases: what must not be said of hosts.
func hostCases() []doorCase {
	return []doorCase{
		{"evidence that is none", []Event{lostH1(), answerH1(), begin("f", 1, "h1", 0)}, StepFinished{Run: 1, Step: "f", Attempt: 1, Token: doorNext + 2, Outcome: wire.Done}, CodeEvidence},
		{"a fence that is skipped", []Event{lostH1(), answerH1()}, StepSkipped{Run: 1, Step: "f"}, CodeEvidence},
		{"evidence of another revocation", []Event{lostH1(), HostReinstated{Host: "h1", Epoch: doorH1, Revocation: doorNext}, lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Confirmed}, CodeStale},
		{"evidence of another epoch", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1 - 1, Revocation: doorNext, Evidence: Confirmed}, CodeStale},
		{"evidence of a host that is there", nil, HostExpired{Host: "h1", Epoch: doorH1, Evidence: Confirmed}, CodeStale},
		{"evidence that is assumed", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Assumed}, CodeEvidence},
		{"evidence that is unheard of", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: "felt"}, CodeEvidence},
		{"reinstated when it has expired", []Event{lostH1(), HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Confirmed}}, HostReinstated{Host: "h1", Epoch: doorH1, Revocation: doorNext}, CodeStale},
		{"lost under another incarnation", nil, HostLost{Host: "h1", Inc: 12, Epoch: doorH1}, CodeStale},
		{"lost twice", []Event{lostH1()}, lostH1(), CodeStale},
		{"a join of a stranger", nil, HostJoined{Host: "h9", Inc: 1}, CodeNoSuch},
		{"a join that was", nil, HostJoined{Host: "h1", Inc: 11}, CodeStale},
		{"a join of an incarnation that was replaced", []Event{HostJoined{Host: "h1", Inc: 12}, HostJoined{Host: "h1", Inc: 13}}, HostJoined{Host: "h1", Inc: 11}, CodeStale},
		{"keeping what another host owns", nil, HostJoined{Host: "h1", Inc: 12, Keep: []wire.Kept{{Workload: "api", Token: doorAPI}}}, CodeOwned},
		{"keeping under another token", nil, HostJoined{Host: "h1", Inc: 12, Keep: []wire.Kept{{Workload: "db", Token: doorDB - 1}}}, CodeOwned},
		{"adopting what has an owner", nil, WorkloadAdopted{Workload: "db", Host: "h2", Epoch: doorH2}, CodeOwned},
		{"adopting what had an owner", []Event{HostJoined{Host: "h1", Inc: 12}}, WorkloadAdopted{Workload: "db", Host: "h2", Epoch: doorH2}, CodeOwned},
		{"adopting where it may not run", nil, WorkloadAdopted{Workload: "idle", Host: "h3", Epoch: 6}, CodeHost},
	}
}

// runCases: runs and files that must not be.
func runCases(t *testing.T) []doorCase {
	t.Helper()
	return []doorCase{
		{"a second start of the cluster", nil, ClusterFormed{Cluster: "d"}, CodeStale},
		{"a second run with a workload", []Event{one(plans.StepStart, "idle")}, one(plans.StepStop, "idle"), CodeClaimed},
		{"a second run of a plan", []Event{fix()}, fix(), CodeOpenRun},
		{"a run of a plan as it was", []Event{FilesApplied{Base: doorFiles, Set: plans.Set{Plans: []*plans.Plan{parsePlan(t, "fix", "", "fix run host=h1 command=fix")}}}}, fix(), CodeStale},
		{"a second answer to a loss", []Event{lostH1(), answerH1(), RunAborted{Run: 1}, RunEnded{Run: 1, Outcome: RunWasAborted}}, answerH1(), CodeStale},
		{"an answer to no loss", nil, answerH1(), CodeStale},
		{"an answer of a disarmed plan", []Event{lostH1(), PlanDisarmed{Plan: "elsewhere"}}, answerH1(), CodeState},
		{"an end while a command is under way", []Event{one(plans.StepStart, "idle"), begin("s", 1, "h1", doorH1)}, RunEnded{Run: 1, Outcome: RunFailed}, CodeState},
		{"success with a step left", []Event{one(plans.StepStart, "idle")}, RunEnded{Run: 1, Outcome: RunSucceeded}, CodeState},
		{"files for another revision", nil, FilesApplied{Base: 1}, CodeStale},
		{"an inventory without an owner", nil, FilesApplied{Base: doorFiles, Set: plans.Set{Inventory: parseInventory(t, "host h1 site=ams")}}, CodeOwned},
		{"an inventory with another body of what runs", nil, FilesApplied{Base: doorFiles, Set: plans.Set{Inventory: parseInventory(t, doorInventory+" \nworkload db hosts=h1,h2 shared")}}, CodeOwned},
		{"an inventory without what a run needs", []Event{one(plans.StepStart, "idle")}, FilesApplied{Base: doorFiles, Set: plans.Set{Inventory: parseInventory(t, "host h1 site=ams\nhost h2 site=ams\nhost h3 site=fra\nworkload db hosts=h1\nworkload api hosts=h2")}}, CodeOpenRun},
	}
}

// TestLastDoor: what Apply must not let in, whatever Decide thought.
func TestLastDoor(t *testing.T) {
	for _, c := range slices.Concat(beginCases(), answerCases(), hostCases(), runCases(t)) {
		t.Run(c.name, func(t *testing.T) {
			s := through(t, doorway(t), c.before...)
			next, err := s.Apply(s.Index+1, Entry{At: epoch0, By: "m1", Reason: "because", Cause: doorNext, Event: c.event})
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || refusal.Code != c.want {
				t.Fatalf("%s was answered by %v, want a refusal with the code %s", c.event.Name(), err, c.want)
			}
			if next.Index != s.Index+1 || next.Refused != s.Refused+1 {
				t.Errorf("index %d, refused %d, want %d and %d", next.Index, next.Refused, s.Index+1, s.Refused+1)
			}
		})
	}
}

// TestConfirmationNeedsAReason: who says that a host runs nothing says why.
func TestConfirmationNeedsAReason(t *testing.T) {
	s := through(t, doorway(t), HostLost{Host: "h1", Inc: 11, Epoch: doorH1})
	confirmed := HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Confirmed}
	_, err := s.Apply(s.Index+1, Entry{At: epoch0, By: "ann", Event: confirmed})
	if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Code != CodeInvalid {
		t.Errorf("a confirmation without a reason was answered by %v", err)
	}
}

// TestLogForgets: State keeps the last events and ended runs, no more.
func TestLogForgets(t *testing.T) {
	s := doorway(t)
	for range maxEndedRuns + 3 {
		s = through(t, s, one(plans.StepStart, "idle"), RunEnded{Run: s.LastRun + 1, Outcome: RunFailed})
	}
	if got := s.Runs.Len(); got != maxEndedRuns {
		t.Errorf("%d runs are kept, want %d", got, maxEndedRuns)
	}
	if s.Run(3) != nil || s.Run(4) == nil {
		t.Error("the oldest runs are kept, or others are gone")
	}
	for s.Index < maxEvents+5 {
		s = through(t, s, PlanArmed{Plan: "fix"})
	}
	if got := s.Events.Len(); got != maxEvents {
		t.Errorf("%d events are kept, want %d", got, maxEvents)
	}
}
