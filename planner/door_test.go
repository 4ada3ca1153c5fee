package planner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const doorInventory = `host h1 site=ams fence=bmc
host h2 site=ams self=guard
host h3 site=fra
workload db hosts=h1,h2
workload api hosts=h1,h2,h3 after=db
workload idle hosts=h1,h2`

// The indices of what every case at the door begins with.
const (
	doorFiles = 2
	doorH1    = 5
	doorH2    = 7
	doorH3    = 9
	doorDB    = 10 // on h1
	doorAPI   = 11 // on h2
	doorNext  = 12
)

func doorway(t testing.TB) *State {
	t.Helper()
	set := plans.Set{Inventory: parseInventory(t, doorInventory), Plans: []*plans.Plan{
		parsePlan(t, "elsewhere", "any", "fence fence\nup start workloads=lost_with"),
		parsePlan(t, "fix", "", "fix run host=h2 command=fix"),
	}}
	return through(t, NewState(),
		ClusterFormed{Cluster: "c", Monitors: []string{"m1", "m2", "m3"}}, FilesApplied{Set: set}, PlanArmed{Plan: "elsewhere"},
		JoinOffered{Host: "h1", Inc: 11}, HostJoined{Host: "h1", Inc: 11, Boot: "b1", Nonce: doorH1 - 1},
		JoinOffered{Host: "h2", Inc: 21}, HostJoined{Host: "h2", Inc: 21, Boot: "b2", Nonce: doorH2 - 1},
		JoinOffered{Host: "h3", Inc: 31}, HostJoined{Host: "h3", Inc: 31, Boot: "b3", Nonce: doorH3 - 1},
		WorkloadAdopted{Workload: "db", Host: "h1", Epoch: doorH1}, WorkloadAdopted{Workload: "api", Host: "h2", Epoch: doorH2})
}

// through lets events in that must be let in.
func through(t testing.TB, s *State, events ...Event) *State {
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
		{"a grant to a host that is not allowed", []Event{one(plans.StepStart, "idle")}, begin("s", 1, "h3", doorH3), CodeHost},
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
		{"evidence that is unheard of", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: "felt"}, CodeEvidence},
		{"reinstated when it has expired", []Event{lostH1(), HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Confirmed}}, HostReinstated{Host: "h1", Epoch: doorH1, Revocation: doorNext}, CodeStale},
		{"lost under another incarnation", nil, HostLost{Host: "h1", Inc: 12, Epoch: doorH1}, CodeStale},
		{"lost twice", []Event{lostH1()}, lostH1(), CodeStale},
		{"adopting what has an owner", nil, WorkloadAdopted{Workload: "db", Host: "h2", Epoch: doorH2}, CodeOwned},
		{"adopting what had an owner", []Event{offerH1(12), succeedH1(12)}, WorkloadAdopted{Workload: "db", Host: "h2", Epoch: doorH2}, CodeOwned},
		{"adopting where it may not run", nil, WorkloadAdopted{Workload: "idle", Host: "h3", Epoch: doorH3}, CodeHost},
	}
}

// offerH1 offers a join to an incarnation of h1, as the entry doorNext; succeedH1 joins by it, as the successor of the first.
func offerH1(inc uint64) JoinOffered { return JoinOffered{Host: "h1", Inc: inc, Ask: 1} }

func succeedH1(inc uint64, keep ...wire.Kept) HostJoined {
	return HostJoined{Host: "h1", Inc: inc, Boot: "b1", Nonce: doorNext, Former: 11, Last: doorH1, Keep: keep}
}

// joinCases: who must not be taken in.
func joinCases() []doorCase {
	stranger := HostJoined{Host: "h1", Inc: 12, Boot: "b1", Journal: "other", Nonce: doorNext}
	rebooted := HostJoined{Host: "h2", Inc: 22, Boot: "b9", Nonce: doorNext}
	return []doorCase{
		{"an offer to a host that is not there", nil, JoinOffered{Host: "h9", Inc: 1}, CodeNoSuch},
		{"an offer to an incarnation that was replaced", []Event{offerH1(12), succeedH1(12)}, offerH1(11), CodeStale},
		{"a join of a host that is not there", nil, HostJoined{Host: "h9", Inc: 1}, CodeNoSuch},
		{"a join without an offer", nil, succeedH1(12), CodeStale},
		{"a join by an offer that was used", []Event{offerH1(12), succeedH1(12)}, succeedH1(12), CodeStale},
		{"a join by an older offer", []Event{offerH1(12), offerH1(12)}, succeedH1(12), CodeStale},
		{"a join by another's offer", []Event{offerH1(13)}, succeedH1(12), CodeStale},
		{"a join of a second machine", []Event{offerH1(12)}, stranger, CodeOwned},
		{"a join of a second machine while the first is lost", []Event{offerH1(12), HostLost{Host: "h1", Inc: 11, Epoch: doorH1}}, stranger, CodeOwned},
		{"a join after a reboot where the lease counts", []Event{JoinOffered{Host: "h2", Inc: 22}}, rebooted, CodeOwned},
		{"a join of a successor that does not know the epoch", []Event{offerH1(12)}, HostJoined{Host: "h1", Inc: 12, Boot: "b1", Nonce: doorNext, Former: 11, Last: doorH1 - 1}, CodeOwned},
	}
}

// TestKeepIsByName: what an agent keeps is not free, even if the log has granted it anew since, under a token that the agent
// has never heard of; and what it keeps of another host's changes nothing.
func TestKeepIsByName(t *testing.T) {
	keep := []wire.Kept{{Workload: "db", Token: doorDB - 1}, {Workload: "api", Token: 3}}
	s := through(t, doorway(t), offerH1(12), succeedH1(12, keep...))
	db, _ := s.Workloads.Get("db")
	api, _ := s.Workloads.Get("api")
	if db.Owner != "h1" || db.Token != doorDB || db.Epoch != doorNext+1 || api.Owner != "h2" || api.Epoch != doorH2 {
		t.Errorf("db %+v, api %+v: want db on h1 under its token and the new epoch, api untouched", db, api)
	}
}

// expired is the end of h2's lease, as monitors say, and expiredH1 the same of h1, which does not fence itself.
func expired(reports ...string) HostExpired {
	return HostExpired{Host: "h2", Epoch: doorH2, Revocation: doorNext, Evidence: LeaseExpired, Reports: reports}
}

func fenceH1() FenceStarted {
	return FenceStarted{Host: "h1", Revocation: doorNext, Attempt: 1, Monitor: "m1", Within: time.Minute}
}

func fencedH1(outcome wire.Outcome) FenceFinished {
	return FenceFinished{Host: "h1", Revocation: doorNext, Attempt: 1, Monitor: "m1", Outcome: outcome, Device: "bmc"}
}

// toFence begins the fence step of the run that answers the loss of h1.
func toFence() []Event { return []Event{lostH1(), answerH1(), begin("f", 1, "h1", 0)} }

// evidenceCases: what proves nothing, and what must not be done while the proof is being made.
func evidenceCases() []doorCase {
	lostH2 := HostLost{Host: "h2", Inc: 21, Epoch: doorH2}
	more := MonitorsChanged{Monitors: []string{"m1", "m2", "m3", "m4", "m5"}}
	fenced := HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Fenced}
	back := HostReinstated{Host: "h1", Epoch: doorH1, Revocation: doorNext}
	return []doorCase{
		{"a lease's end by one monitor's word", []Event{lostH2}, expired("m1"), CodeEvidence},
		{"a lease's end by one monitor's word, twice", []Event{lostH2}, expired("m1", "m1"), CodeEvidence},
		{"a lease's end by the word of strangers", []Event{lostH2}, expired("m1", "m4", "m5"), CodeEvidence},
		{"a lease's end by too few of the newer voters", []Event{lostH2, more}, expired("m1", "m2"), CodeEvidence},
		{"a lease's end by too few of the older voters", []Event{lostH2, MonitorsChanged{Monitors: []string{"m3", "m4", "m5"}}}, expired("m3", "m4", "m5"), CodeEvidence},
		{"a lease's end of a host that does not fence itself", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: LeaseExpired, Reports: []string{"m1", "m2", "m3"}}, CodeEvidence},
		{"a lease's end for a cancelled revocation", []Event{lostH2, HostReinstated{Host: "h2", Epoch: doorH2, Revocation: doorNext}, lostH2}, expired("m1", "m2", "m3"), CodeStale},
		{"fenced without a fencing", []Event{lostH1()}, fenced, CodeEvidence},
		{"fenced while it is tried", append(toFence(), fenceH1()), fenced, CodeEvidence},
		{"fenced, but nobody knows", append(toFence(), fenceH1(), fencedH1(wire.Unknown)), fenced, CodeEvidence},
		{"stopped, of a whole host", []Event{lostH1()}, HostExpired{Host: "h1", Epoch: doorH1, Revocation: doorNext, Evidence: Stopped}, CodeEvidence},
		{"expired again by nothing better", []Event{lostH2, expired("m1", "m2")}, expired("m1", "m2", "m3"), CodeStale},
		{"reinstated while it is fenced", append(toFence(), fenceH1()), back, CodeState},
		{"reinstated when it was fenced", append(toFence(), fenceH1(), fencedH1(wire.Done)), back, CodeState},
		{"fencing that nobody wants", []Event{lostH1()}, fenceH1(), CodeState},
		{"fencing without a device", []Event{lostH2}, FenceStarted{Host: "h2", Revocation: doorNext, Attempt: 1, Monitor: "m1", Within: time.Minute}, CodeInvalid},
		{"fencing for another revocation", append(toFence(), HostReinstated{Host: "h1", Epoch: doorH1, Revocation: doorNext}), fenceH1(), CodeStale},
		{"two fencings at once", append(toFence(), fenceH1()), FenceStarted{Host: "h1", Revocation: doorNext, Attempt: 2, Monitor: "m2", Within: time.Minute}, CodeStale},
		{"another monitor's word on a fencing", append(toFence(), fenceH1()), FenceFinished{Host: "h1", Revocation: doorNext, Attempt: 1, Monitor: "m2", Outcome: wire.Done}, CodeStale},
		{"revoking a host that nobody wants fenced", nil, HostRevoked{Host: "h1", Inc: 11, Epoch: doorH1}, CodeState},
		{"a lost host whose silence is wanted", []Event{SilenceWanted{Host: "h1", Until: epoch0.Add(time.Minute)}}, lostH1(), CodeState},
		{"a silence without an end", nil, SilenceWanted{Host: "h1"}, CodeInvalid},
		{"a silence of nobody", nil, SilenceWanted{Host: "h9", Until: epoch0.Add(time.Minute)}, CodeNoSuch},
		{"a release of who is free", nil, HostReleased{Host: "h1"}, CodeState},
		{"a grant of what runs twice", []Event{WorkloadSeenTwice{Workload: "idle", Hosts: []string{"h1", "h2"}}, one(plans.StepStart, "idle")}, begin("s", 1, "h1", doorH1), CodeOwned},
		{"voters that are nobody", nil, MonitorsChanged{}, CodeInvalid},
	}
}

// TestNarrowEvidence: a workload that accepts only fencing is not freed by the end of a lease, but by what is better.
func TestNarrowEvidence(t *testing.T) {
	inventory := parseInventory(t, "host h1 site=ams self=guard fence=bmc\nhost h2 site=ams\nworkload vm hosts=h1,h2 evidence=fenced\nworkload app hosts=h1,h2")
	s := through(t, NewState(), ClusterFormed{Cluster: "c", Monitors: []string{"m1"}}, FilesApplied{Set: plans.Set{Inventory: inventory}},
		JoinOffered{Host: "h1", Inc: 11}, HostJoined{Host: "h1", Inc: 11, Nonce: 3},
		WorkloadAdopted{Workload: "vm", Host: "h1", Epoch: 4}, WorkloadAdopted{Workload: "app", Host: "h1", Epoch: 4},
		HostLost{Host: "h1", Inc: 11, Epoch: 4},
		HostExpired{Host: "h1", Epoch: 4, Revocation: 7, Evidence: LeaseExpired, Reports: []string{"m1"}})
	owner := func(name string) string { w, _ := s.Workloads.Get(name); return w.Owner }
	if owner("app") != "" || owner("vm") != "h1" {
		t.Fatalf("after the lease's end app is on %q, want nowhere, and vm on %q, want h1", owner("app"), owner("vm"))
	}
	s = through(t, s, HostExpired{Host: "h1", Epoch: 4, Revocation: 7, Evidence: Confirmed})
	w, _ := s.Workloads.Get("vm")
	if w.Owner != "" || w.Freed == nil || w.Freed.Kind != Confirmed || w.Freed.By != "ann" {
		t.Errorf("vm is on %q by %v, want nowhere, as ann confirmed", w.Owner, w.Freed)
	}
}

// TestVotersSince: a host's lease may have been renewed under every set of voters since it joined, and under no older one.
func TestVotersSince(t *testing.T) {
	change := func(names ...string) MonitorsChanged { return MonitorsChanged{Monitors: names} }
	s := through(t, doorway(t), change("m1", "m2", "m4"), change("m2", "m4", "m5")) // 12, 13
	for epoch, want := range map[uint64]int{doorH2: 3, doorNext + 1: 1, doorNext: 2} {
		if got := len(s.votersSince(epoch)); got != want {
			t.Errorf("since #%d %d sets of voters were in force, want %d", epoch, got, want)
		}
	}
	joined := through(t, s, JoinOffered{Host: "h2", Inc: 21, Ask: 2}, HostJoined{Host: "h2", Inc: 21, Nonce: 14}) // 14, 15
	if h, _ := joined.Hosts.Get("h2"); h.LeaseSince != doorH2 {
		t.Errorf("a lease that went over to the next epoch counts since #%d, want #%d", h.LeaseSince, doorH2)
	}
	joined = through(t, joined, HostLost{Host: "h2", Inc: 21, Epoch: 15}) // 16
	early := HostExpired{Host: "h2", Epoch: 15, Revocation: 16, Evidence: LeaseExpired, Reports: []string{"m2", "m4", "m5"}}
	if _, err := joined.Apply(17, Entry{At: epoch0, Event: early}); err == nil {
		t.Error("a lease that older voters may have renewed expired by the newer ones' word alone")
	}
	confirmed := through(t, s, LeaseConfirmed{Host: "h2", Epoch: doorH2, Voters: 13}, HostLost{Host: "h2", Inc: 21, Epoch: doorH2}) // 14, 15
	through(t, confirmed, HostExpired{Host: "h2", Epoch: doorH2, Revocation: 15, Evidence: LeaseExpired, Reports: []string{"m4", "m5"}})
	lost := through(t, s, HostLost{Host: "h2", Inc: 21, Epoch: doorH2}) // 14
	expiry := HostExpired{Host: "h2", Epoch: doorH2, Revocation: 14, Evidence: LeaseExpired, Reports: []string{"m1", "m2", "m4"}}
	through(t, lost, expiry)
}

// runCases: runs and files that must not be.
func runCases(t *testing.T) []doorCase {
	t.Helper()
	return []doorCase{
		{"a second start of the cluster", nil, ClusterFormed{Cluster: "d", Monitors: []string{"m1"}}, CodeStale},
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
	for _, c := range slices.Concat(beginCases(), answerCases(), hostCases(), joinCases(), evidenceCases(), runCases(t)) {
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

// TestFenceTestsAreOfTheDevicesInForce: a test counts for the devices that the inventory had then.
func TestFenceTestsAreOfTheDevicesInForce(t *testing.T) {
	s := through(t, doorway(t), FencesTested{Tests: []FenceTest{{Host: "h1", Device: "bmc", OK: true}, {Host: "h9", Device: "bmc"}}})
	tested := func() int { h, _ := s.Hosts.Get("h1"); return len(h.Tests) }
	if tested() != 1 {
		t.Fatalf("%d tests are kept, want 1", tested())
	}
	s = through(t, s, FilesApplied{Base: doorFiles, Set: plans.Set{Inventory: parseInventory(t, doorInventory)}})
	if tested() != 1 {
		t.Errorf("after the same devices were applied %d tests are kept, want 1", tested())
	}
	other := strings.Replace(doorInventory, "fence=bmc", "fence=psu", 1)
	s = through(t, s, FilesApplied{Base: s.Revision, Set: plans.Set{Inventory: parseInventory(t, other)}})
	if tested() != 0 {
		t.Errorf("after other devices were applied %d tests are kept, want none", tested())
	}
}
