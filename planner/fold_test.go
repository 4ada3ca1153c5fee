package planner

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const foldInventory = `host h1 site=ams
host h2 site=ams
host h3 site=fra
workload db hosts=h1,h2
workload api hosts=h1,h2,h3 after=db:restart
workload web hosts=h3,h1 after=api shared
workload lone hosts=h2,h3`

// TestApplyKeepsItsInvariants folds random entries, sound ones and nonsense, into three states: one by one, from its own
// snapshots, and from fresh bytes. All three must stay the same, and none may break an invariant.
func TestApplyKeepsItsInvariants(t *testing.T) {
	inv := parseInventory(t, foldInventory)
	plan := parsePlan(t, "elsewhere", "any", "fence fence\nup start workloads=lost_with attempts=2\n")
	other := parsePlan(t, "other", "h1", "down stop workloads=lone\nquiet wait for=1s\nfix run host=h2 command=fix\nup start workloads=any then=continue\n")
	rapid.Check(t, func(rt *rapid.T) {
		d := &dice{T: rt, t: t, set: plans.Set{Inventory: inv, Plans: []*plans.Plan{plan, other}}, state: NewState(), at: epoch0}
		d.restored = d.state
		d.apply(ClusterFormed{Cluster: "c", Monitors: []string{"m1", "m2", "m3"}}, "")
		d.apply(FilesApplied{Set: d.set}, "")
		for _, host := range []string{"h1", "h2", "h3"} {
			d.join(host, 1, []wire.Kept{})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"files": d.files, "hosts": d.hosts, "launch": d.launch, "go on": d.goOn, "answer": d.answer, "people": d.people,
			"nonsense": d.nonsense,
		})
	})
}

// dice makes entries up.
type dice struct {
	*rapid.T

	t        *testing.T
	set      plans.Set
	state    *State
	restored *State // the same, but often from a snapshot
	at       time.Time
}

// apply folds an entry into all states and compares them.
func (d *dice) apply(event Event, reason string) {
	d.t.Helper()
	d.at = d.at.Add(time.Duration(rapid.IntRange(-1, 20).Draw(d.T, "seconds")) * time.Second)
	data, err := EncodeEntry(Entry{At: d.at, By: "m1", Reason: reason, Event: event})
	if err != nil {
		d.Fatal(err)
	}
	entry, err := DecodeEntry(data)
	if err != nil {
		d.Fatal(err)
	}
	input := encoded(d.t, d.state)
	index := d.state.Index + 1
	next, refused := d.state.Apply(index, entry)
	c := commit{index: index, entry: entry, before: d.state, after: next, refused: refused}
	if why := broken(c); why != "" {
		d.Fatalf("%s: %s", data, why)
	}
	if why := refusalBroken(d.t, c); why != "" {
		d.Fatalf("%s: %s", data, why)
	}
	if refusal, ok := errors.AsType[*Refusal](refused); refused != nil && (!ok || refusal.Code == "" || refusal.Message == "") {
		d.Fatalf("%s: refused without a code and a message: %v", data, refused)
	}
	if output := encoded(d.t, d.state); !bytes.Equal(input, output) {
		d.Fatalf("%s: Apply changed its input", data)
	}
	restored, refusedToo := d.restored.Apply(index, entry)
	want := encoded(d.t, next)
	if got := encoded(d.t, restored); !bytes.Equal(got, want) || (refused == nil) != (refusedToo == nil) {
		d.Fatalf("%s: a restored state went another way\ngot  %s %v\nwant %s %v", data, got, refusedToo, want, refused)
	}
	d.state, d.restored = next, restored
	if rapid.IntRange(0, 3).Draw(d.T, "snapshot") == 0 {
		if d.restored, err = DecodeState(bytes.NewReader(want)); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *dice) host() (string, Host) {
	name := rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(d.T, "host")
	host, _ := d.state.Hosts.Get(name)
	return name, host
}

func (d *dice) workload() string {
	return rapid.SampledFrom([]string{"api", "db", "lone", "web"}).Draw(d.T, "workload")
}

// files applies and arms; sometimes against an old revision, sometimes without one of the workloads.
func (d *dice) files(*rapid.T) {
	switch rapid.IntRange(0, 3).Draw(d.T, "files") {
	case 0:
		d.apply(PlanArmed{Plan: "elsewhere"}, "")
	case 1:
		d.apply(PlanDisarmed{Plan: "elsewhere"}, "")
	case 2:
		inv := *d.set.Inventory
		inv.Workloads = map[string]plans.Workload{}
		gone := d.workload()
		for name, w := range d.set.Inventory.Workloads {
			if name != gone {
				w.After = slices.DeleteFunc(slices.Clone(w.After), func(dep plans.Dependency) bool { return dep.On == gone })
				inv.Workloads[name] = w
			}
		}
		d.apply(FilesApplied{Base: d.state.Revision, Set: plans.Set{Inventory: &inv}}, "")
	default:
		d.apply(FilesApplied{Base: d.state.Revision, Set: d.set}, "")
	}
}

// hosts lets a host go and come.
func (d *dice) hosts(*rapid.T) {
	name, host := d.host()
	switch rapid.IntRange(0, 5).Draw(d.T, "what") {
	case 0:
		d.apply(HostLost{Host: name, Inc: host.Inc, Epoch: host.Epoch, Witnesses: []Witness{}}, "")
	case 1:
		d.apply(HostReinstated{Host: name, Epoch: host.Epoch, Revocation: host.Revocation}, "")
	case 2, 3:
		kind := rapid.SampledFrom([]EvidenceKind{Confirmed, LeaseExpired, Fenced, Stopped, "guessed"}).Draw(d.T, "evidence")
		d.apply(HostExpired{Host: name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: kind}, rapid.SampledFrom([]string{"", "dead"}).Draw(d.T, "reason"))
	case 4:
		keep := []wire.Kept{}
		for _, workload := range d.state.ownedBy(name) {
			if w, _ := d.state.Workloads.Get(workload); rapid.Bool().Draw(d.T, "keep") {
				keep = append(keep, wire.Kept{Workload: workload, Token: w.Token})
			}
		}
		d.join(name, host.Inc+uint64(rapid.IntRange(0, 1).Draw(d.T, "new")), keep)
	case 5:
		d.apply(WorkloadAdopted{Workload: d.workload(), Host: name, Epoch: host.Epoch}, "")
	}
}

// join offers and takes in, or takes in by an old offer; as the successor of the former incarnation, or as a stranger.
func (d *dice) join(name string, inc uint64, keep []wire.Kept) {
	host, _ := d.state.Hosts.Get(name)
	e := HostJoined{Host: name, Inc: inc, Nonce: host.Nonce, Keep: keep}
	if rapid.Bool().Draw(d.T, "successor") {
		e.Former, e.Last = host.Inc, host.Epoch
	}
	if rapid.IntRange(0, 9).Draw(d.T, "offered") > 0 {
		d.apply(JoinOffered{Host: name, Inc: inc, Ask: 1}, "")
		e.Nonce = d.state.Index
	}
	d.apply(e, "")
}

// launch starts runs as the launchers make them.
func (d *dice) launch(*rapid.T) {
	r := Request{Workloads: []string{d.workload()}, With: rapid.Bool().Draw(d.T, "with")}
	host, _ := d.host()
	var run RunStarted
	var err error
	switch rapid.IntRange(0, 3).Draw(d.T, "kind") {
	case 0:
		run, err = NewStart(d.state, r)
	case 1:
		run, err = NewStop(d.state, r)
	default:
		plan := rapid.SampledFrom([]string{"elsewhere", "other"}).Draw(d.T, "plan")
		run, err = NewPlanRun(d.state, plan, []string{host})
	}
	if err == nil {
		d.apply(run, "")
	}
}

// step picks a step of an open run, if there is one.
func (d *dice) step() (*Run, Step, bool) {
	var open []*Run
	for _, run := range d.state.Runs.All() {
		if run.Open() {
			open = append(open, run)
		}
	}
	if len(open) == 0 {
		return nil, Step{}, false
	}
	run := rapid.SampledFrom(open).Draw(d.T, "run")
	return run, rapid.SampledFrom(run.Steps).Draw(d.T, "step"), true
}

// goOn lets steps begin, wherever.
func (d *dice) goOn(*rapid.T) {
	run, step, ok := d.step()
	if !ok {
		return
	}
	name, host := d.host()
	if w, _ := d.state.Workloads.Get(step.Workload); w.Owner != "" && rapid.IntRange(0, 3).Draw(d.T, "there") > 0 {
		name = w.Owner
		host, _ = d.state.Hosts.Get(name)
	}
	d.apply(StepStarted{Run: run.ID, Step: step.ID, Attempt: step.Attempt + 1, Host: name, Epoch: host.Epoch, Within: time.Minute, Why: []Input{}}, "")
}

// answer ends attempts, resets them, and ends runs.
func (d *dice) answer(*rapid.T) {
	run, step, ok := d.step()
	if !ok {
		return
	}
	outcome := rapid.SampledFrom([]wire.Outcome{wire.Done, wire.Done, wire.Failed, wire.Unknown, ""}).Draw(d.T, "outcome")
	switch rapid.IntRange(0, 5).Draw(d.T, "what") {
	case 0:
		d.apply(StepReset{Run: run.ID, Step: step.ID, Attempt: step.Attempt}, "")
	case 1:
		d.apply(RunEnded{Run: run.ID, Outcome: rapid.SampledFrom([]RunState{RunSucceeded, RunFailed, RunWasAborted, RunPaused}).Draw(d.T, "end")}, "")
	case 2:
		d.apply(StepFinished{Run: run.ID, Step: step.ID, Attempt: step.Attempt + 1, Outcome: outcome, Already: rapid.Bool().Draw(d.T, "already"), Stopped: rapid.Bool().Draw(d.T, "stopped")}, "")
	default:
		d.apply(StepFinished{Run: run.ID, Step: step.ID, Attempt: step.Attempt, Token: step.Token, Outcome: outcome, Stopped: rapid.Bool().Draw(d.T, "stopped")}, "")
	}
}

func (d *dice) people(*rapid.T) {
	run, step, ok := d.step()
	if !ok {
		return
	}
	switch rapid.IntRange(0, 5).Draw(d.T, "what") {
	case 0:
		d.apply(RunAborted{Run: run.ID}, "")
	case 1, 2:
		d.apply(StepSkipped{Run: run.ID, Step: step.ID}, "")
	default:
		d.apply(StepRetried{Run: run.ID, Step: step.ID}, "")
	}
}

// nonsense names what is not, or was long ago.
func (d *dice) nonsense(*rapid.T) {
	n := rapid.Uint64Range(0, d.state.Index+2).Draw(d.T, "number")
	host := rapid.SampledFrom([]string{"", "h1", "h9"}).Draw(d.T, "host")
	steps := []Step{{ID: "x", Kind: rapid.SampledFrom([]plans.StepKind{plans.StepStart, plans.StepStop, "dance"}).Draw(d.T, "step kind"), Workload: d.workload()}}
	d.apply(rapid.SampledFrom([]Event{
		ClusterFormed{Cluster: "again"},
		FilesApplied{Base: n},
		PlanArmed{Plan: "none"},
		HostJoined{Host: host, Inc: n, Keep: []wire.Kept{{Workload: d.workload(), Token: n}}},
		HostLost{Host: host, Inc: n, Epoch: n},
		HostReinstated{Host: host, Epoch: n, Revocation: n},
		HostExpired{Host: host, Epoch: n, Revocation: n, Evidence: Confirmed},
		WorkloadAdopted{Workload: d.workload(), Host: host, Epoch: n},
		RunStarted{Kind: RunPlan, Plan: "elsewhere", PlanRev: n, Hosts: []string{host}, Losses: []uint64{n}, Steps: steps},
		RunStarted{Kind: RunStart, Hosts: []string{host}, Steps: steps},
		RunStarted{Kind: RunStart, Steps: append(steps, steps...)},
		RunStarted{Kind: RunStart, Steps: []Step{{ID: "y", Kind: plans.StepWait, After: []string{"z"}}}},
		StepStarted{Run: n, Step: "x", Attempt: int(n), Host: host, Epoch: n},
		StepFinished{Run: n, Step: "x", Token: n, Outcome: wire.Done, Stopped: true},
		StepReset{Run: n, Step: "x"},
		StepRetried{Run: n, Step: "x"},
		StepSkipped{Run: n, Step: "x"},
		RunAborted{Run: n},
		RunEnded{Run: n, Outcome: RunSucceeded},
	}).Draw(d.T, "event"), "because")
}
