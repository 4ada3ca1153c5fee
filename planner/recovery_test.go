package planner

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// recovered is a cluster of three hosts, of which h3 fences itself, with db on h1 and lone on h2, that is recovered.
type recovered struct {
	*testing.T
	state *State
	set   plans.Set
}

func (r *recovered) apply(event Event) error {
	r.Helper()
	index := r.state.Index + 1
	if _, ok := event.(ClusterRecovered); ok {
		index += 1000
	}
	next, err := r.state.Apply(index, Entry{At: epoch0.Add(time.Duration(index) * time.Second), By: "ann", Reason: "because", Event: event})
	r.state = next
	return err
}

func (r *recovered) must(event Event) {
	r.Helper()
	if err := r.apply(event); err != nil {
		r.Fatalf("%s: %v", event.Name(), err)
	}
}

func (r *recovered) refused(event Event, code Code) {
	r.Helper()
	refusal, ok := errors.AsType[*Refusal](r.apply(event))
	if !ok || refusal.Code != code {
		r.Errorf("%s: got %v, want a refusal %s", event.Name(), refusal, code)
	}
}

func (r *recovered) join(host string, inc uint64, keep ...wire.Kept) error {
	r.Helper()
	if err := r.apply(JoinOffered{Host: host, Inc: inc, Ask: 1}); err != nil {
		return err
	}
	return r.apply(HostJoined{Host: host, Journal: "of " + host, Boot: "b", Inc: inc, Nonce: r.state.Index, Keep: keep})
}

func (r *recovered) owner(workload, want string) {
	r.Helper()
	if w, _ := r.state.Workloads.Get(workload); w.Owner != want {
		r.Errorf("owner of %s: got %q, want %q", workload, w.Owner, want)
	}
}

func newRecovered(t *testing.T) *recovered {
	inv := parseInventory(t, foldInventory)
	h3 := inv.Hosts["h3"]
	h3.Lease = lease.Fast()
	h3.Lease.Self, h3.Lease.Kill = lease.Guard, lease.GuardKill
	inv.Hosts["h3"] = h3
	plan := parsePlan(t, "elsewhere", "any", "up start workloads=lost_with\n")
	r := &recovered{T: t, state: NewState(), set: plans.Set{Inventory: inv, Plans: []*plans.Plan{plan}}}
	r.must(ClusterFormed{Cluster: "c", Monitors: []string{"m1-0000000000000001", "m2-0000000000000002", "m3-0000000000000003"}})
	r.must(FilesApplied{Set: r.set})
	r.must(PlanArmed{Plan: "elsewhere"})
	for _, host := range []string{"h1", "h2", "h3"} {
		if err := r.join(host, 1); err != nil {
			t.Fatal(err)
		}
	}
	for workload, host := range map[string]string{"db": "h1", "lone": "h2"} {
		h, _ := r.state.Hosts.Get(host)
		r.must(WorkloadAdopted{Workload: workload, Host: host, Epoch: h.Epoch})
	}
	run, err := NewStart(r.state, Request{Workloads: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}
	r.must(run)
	r.must(ClusterRecovered{From: r.state.Index, Monitors: []string{"m1-0000000000000009"}, Source: "a test"})
	return r
}

func (r *recovered) files() {
	r.Helper()
	r.must(FilesApplied{Base: r.state.Revision, Set: r.set})
}

func TestRecoveredBelievesNothing(t *testing.T) {
	r := newRecovered(t)
	if diff := cmp.Diff([]string{"h1", "h2", "h3"}, r.state.UnprovenHosts()); diff != "" {
		t.Errorf("unproven hosts (-want +got):\n%s", diff)
	}
	if run := r.state.Run(1); run.State != RunFailed || r.state.LastRun < runsApart {
		t.Errorf("open run: got %s, last run %d, want it failed and its number far away", run.State, r.state.LastRun)
	}
	if plan, _ := r.state.Plans.Get("elsewhere"); plan.Armed {
		t.Error("the plan is armed still")
	}
	if w, _ := r.state.Workloads.Get("api"); w.Run != 0 {
		t.Errorf("api belongs to run %d still", w.Run)
	}
	h1, _ := r.state.Hosts.Get("h1")
	h3, _ := r.state.Hosts.Get("h3")
	back := HostReinstated{Host: "h1", Epoch: h1.Epoch, Revocation: h1.Revocation}
	expired := HostExpired{Host: "h3", Epoch: h3.Epoch, Revocation: h3.Revocation, Evidence: LeaseExpired, Reports: []string{"m1-0000000000000009"}}
	run, err := NewStart(r.state, Request{Workloads: []string{"api"}})
	if err != nil {
		t.Fatal(err)
	}

	// Without the files nobody joins, and no lease proves anything.
	r.refused(JoinOffered{Host: "h1", Inc: 1, Ask: 2}, CodeState)
	r.refused(expired, CodeState)
	r.refused(back, CodeState)
	r.refused(run, CodeState)
	r.files()
	r.refused(back, CodeState)
	r.refused(run, CodeState)

	// Who fences itself has to wait for the end of its lease, as the new voters say it; the former ones are not asked.
	if err := r.join("h3", 1); err == nil {
		t.Error("h3 joined before its lease had ended")
	}
	r.must(expired)
	if err := r.join("h3", 1); err != nil {
		t.Errorf("h3 after its lease: %v", err)
	}
	r.refused(run, CodeState)
	if err := r.join("h1", 7, wire.Kept{Workload: "db", Token: 11}); err != nil {
		t.Errorf("h1 joins with an incarnation that nobody knows: %v", err)
	}
	r.refused(run, CodeState)
	h2, _ := r.state.Hosts.Get("h2")
	r.must(HostExpired{Host: "h2", Epoch: h2.Epoch, Revocation: h2.Revocation, Evidence: Confirmed})
	if r.state.Recovery != nil {
		t.Errorf("recovery after every host was proven: %+v", r.state.Recovery)
	}
	r.owner("db", "h1")
	r.owner("lone", "")
	r.must(run)
}

// The lost entries moved db from h1 to h2: h2 says so, and is believed, whoever joins first.
func TestRecoveredBelievesWhatHostsKeep(t *testing.T) {
	for _, order := range [][]string{{"h1", "h2"}, {"h2", "h1"}} {
		r := newRecovered(t)
		r.files()
		kept := map[string][]wire.Kept{"h2": {{Workload: "db", Token: 500}, {Workload: "lone", Token: 12}}}
		for _, host := range order {
			if err := r.join(host, 5, kept[host]...); err != nil {
				t.Fatal(err)
			}
		}
		r.owner("db", "h2")
		r.owner("lone", "h2")
		if w, _ := r.state.Workloads.Get("db"); w.Token != 500 || w.Wanted != WantedRunning {
			t.Errorf("%v: db has token %d and is wanted %q, want 500, running", order, w.Token, w.Wanted)
		}
	}
}

// The files bring a host that the copy does not know, and longer terms: both count.
func TestRecoveredTakesTheFilesForTrue(t *testing.T) {
	r := newRecovered(t)
	inv := *r.set.Inventory
	inv.Hosts = map[string]plans.Host{"h4": {Site: "ams"}}
	for name, host := range r.set.Inventory.Hosts {
		inv.Hosts[name] = host
	}
	h3 := inv.Hosts["h3"]
	h3.Lease.Length = time.Minute
	inv.Hosts["h3"] = h3
	r.set.Inventory = &inv
	r.files()
	if !slices.Contains(r.state.UnprovenHosts(), "h4") {
		t.Errorf("unproven hosts: got %v, want h4 among them", r.state.UnprovenHosts())
	}
	if h, _ := r.state.Hosts.Get("h3"); h.Lease.Length != time.Minute {
		t.Errorf("lease of h3: got %s, want the longer one", h.Lease.Length)
	}
	h3.Lease.Self = lease.None
	if got := longest(r.set.Inventory.Hosts["h3"].Lease, h3.Lease); got.Fences() {
		t.Errorf("terms that one copy of the files does not enforce: got %+v, want them to prove nothing", got)
	}
}

func TestNextGeneration(t *testing.T) {
	now := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	first := NextGeneration(1000, 0, now)
	for name, got := range map[string]uint64{
		"of another, older copy, a minute later": NextGeneration(900, 0, now.Add(time.Minute)),
		"of the copy that was recovered":         NextGeneration(first+5, 0, now),
		"with a floor":                           NextGeneration(1000, first+7, now),
		"with a wall clock of 1970":              NextGeneration(first+5, 0, time.Unix(0, 0)),
	} {
		if got <= first+5 {
			t.Errorf("the next generation %s: got #%d, want one above #%d", name, got, first+5)
		}
	}
	if most := NextGeneration(0, 0, now.AddDate(80, 0, 0)); most >= 1<<53 {
		t.Errorf("in 80 years: #%d is more than a JSON number holds exactly", most)
	}
}

func TestMonitorName(t *testing.T) {
	for voter, want := range map[string]string{
		"m1": "m1", "m1-0123456789abcdef": "m1", "m-1-0123456789abcdef": "m-1", "-0123456789abcdef": "-0123456789abcdef",
		"m1-0123456789abcdeg": "m1-0123456789abcdeg",
	} {
		if got := MonitorName(voter); got != want {
			t.Errorf("MonitorName(%s): got %s, want %s", voter, got, want)
		}
	}
}
