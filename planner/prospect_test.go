package planner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const answerLoss = "fence fence\nup start workloads=lost_with\n"

// TestProspectsComeTrue asks what the loss of h1 would come to, then kills it and looks: whoever was to find a home runs there,
// and nobody else runs anywhere.
func TestProspectsComeTrue(t *testing.T) {
	const guarded = "host h1 site=ams self=guard\nhost h2 site=ams\nhost h3 site=fra\n"
	for name, c := range map[string]struct {
		inventory, plan string
		disarmed        bool
		before          func(*world)
		want            string
	}{
		"by its lease": {
			guarded + "workload db hosts=h1,h2", answerLoss, false, nil, "db to h2 by elsewhere after lease-expired",
		},
		"by its fence device": {
			"host h1 site=ams fence=bmc\nhost h2 site=ams\nworkload db hosts=h1,h2", answerLoss, false, nil, "db to h2 by elsewhere after fenced",
		},
		"its fence device failed its test": {
			"host h1 site=ams fence=bmc\nhost h2 site=ams\nworkload db hosts=h1,h2", answerLoss, false, func(w *world) {
				w.mustApply(FencesTested{Tests: []FenceTest{{Host: "h1", Device: "bmc", Reason: "wrong password"}}}, "")
				w.power = func(FenceStarted) wire.Outcome { return wire.Failed }
			}, "db waits for a person",
		},
		"what may run twice needs no evidence": {
			"host h1 site=ams\nhost h2 site=ams\nworkload db hosts=h1,h2 shared", "up start workloads=lost_with\n", false, nil, "db to h2 by elsewhere",
		},
		"by a person's word only": {
			"host h1 site=ams\nhost h2 site=ams\nworkload db hosts=h1,h2", answerLoss, false, nil, "db waits for a person",
		},
		"a device that no plan uses": {
			"host h1 site=ams fence=bmc\nhost h2 site=ams\nworkload db hosts=h1,h2", "up start workloads=lost_with\n", false, nil, "db waits for a person",
		},
		"a workload that takes no lease for proof": {
			guarded + "workload db hosts=h1,h2 evidence=fenced", answerLoss, false, nil, "db waits for a person",
		},
		"nothing is armed": {
			guarded + "workload db hosts=h1,h2", answerLoss, true, nil, "db: no plan; elsewhere would",
		},
		"the plan is about other hosts": {
			guarded + "workload db hosts=h1,h2", answerLoss, false, func(w *world) { trigger(w, "h3") }, "db: no plan",
		},
		"the second choice is dead": {
			guarded + "workload db hosts=h1,h2,h3", answerLoss, false,
			func(w *world) {
				w.host("h2").kill()
				w.run(10*time.Second, nil)
			}, "db to h3 by elsewhere after lease-expired",
		},
		"nowhere else": {
			guarded + "workload db hosts=h1", answerLoss, false, nil, "db nowhere",
		},
		"only where the plan lets it": {
			guarded + "workload db hosts=h1,h2,h3", "fence fence\nup start workloads=lost_with to=h3\n", false, nil, "db to h3 by elsewhere after lease-expired",
		},
		"the provider goes along": {
			guarded + "workload db hosts=h1,h2\nworkload api hosts=h1,h3 after=db", answerLoss, false, nil,
			"db to h2 by elsewhere after lease-expired, api to h3 by elsewhere after lease-expired",
		},
		"the provider stays away": {
			guarded + "workload db hosts=h1\nworkload api hosts=h1,h3 after=db", answerLoss, false, nil, "db nowhere, api behind db",
		},
		"the guard lets nothing start": {
			guarded + "workload db hosts=h1,h2", answerLoss, false,
			func(w *world) {
				edit(w, func(p *plans.Plan) { p.Guard = plans.Guard{} })
			}, "db: held",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			inv := parseInventory(t, c.inventory)
			w.form(inv)
			w.mustApply(FilesApplied{Base: w.state.Revision, Set: plans.Set{Plans: []*plans.Plan{parsePlan(t, "elsewhere", "any", c.plan)}}}, "")
			if c.before != nil {
				c.before(w)
			}
			if !c.disarmed {
				w.mustApply(PlanArmed{Plan: "elsewhere"}, "")
			}
			w.run(5*time.Second, nil)
			run, err := NewStart(w.state, Request{All: true})
			if err != nil {
				t.Fatal(err)
			}
			w.mustApply(run, "")
			if !w.run(30*time.Second, func() bool { return len(w.openRuns()) == 0 }) {
				t.Fatal("the workloads were not started")
			}
			picture := w.views[w.lead].Picture(w.state, w.time())
			prospects := w.state.Prospects("h1", w.time().Log, func(host string) string { return picture.Hosts[host].Unfit })
			if got := inPeoplesWords(prospects); got != c.want {
				t.Errorf("foretold: %s\nwant:     %s", got, c.want)
			}
			w.host("h1").kill()
			w.run(time.Minute, nil)
			for _, p := range prospects {
				want := []string{}
				if p.Home() {
					want = []string{p.To}
				}
				if at := w.where(p.Workload); !slices.Equal(at, want) && len(at)+len(want) > 0 {
					t.Errorf("%s runs on %v, foretold was %v", p.Workload, at, want)
				}
			}
		})
	}
}

// edit changes the plan of a world.
func edit(w *world, change func(*plans.Plan)) {
	held, _ := w.state.Plans.Get("elsewhere")
	plan := *held.Plan
	change(&plan)
	plan.Hash += "+"
	w.mustApply(FilesApplied{Base: w.state.Revision, Set: plans.Set{Plans: []*plans.Plan{&plan}}}, "")
}

func trigger(w *world, host string) {
	edit(w, func(p *plans.Plan) { p.Trigger = []plans.Trigger{{HostLost: parseSelector(host)}} })
}

// inPeoplesWords is prospects in words.
func inPeoplesWords(prospects []Prospect) string {
	var words []string
	for _, p := range prospects {
		word := p.Workload
		switch {
		case p.Plan == "":
			word += ": no plan"
			if p.Disarmed != "" {
				word += "; " + p.Disarmed + " would"
			}
		case p.Held:
			word += ": held"
		case p.Behind != "":
			word += " behind " + p.Behind
		case p.To == "":
			word += " nowhere"
		case p.Person:
			word += " waits for a person"
		default:
			word += " to " + p.To + " by " + p.Plan
			for _, kind := range p.Evidence {
				word += " after " + string(kind)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// TestProspectOfADampedHost: for a host that was acted upon a moment ago nothing starts by itself yet, and it says until when.
func TestProspectOfADampedHost(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nhost h2 site=ams\nworkload db hosts=h1,h2"))
	w.run(2*time.Second, nil)
	run, err := NewStart(w.state, Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	w.mustApply(run, "")
	w.run(5*time.Second, nil)
	host, _ := w.state.Hosts.Get("h1")
	at := w.time().Log
	host.Acted, host.Damping = at.Add(-time.Minute), 3*time.Minute
	s := *w.state
	s.Hosts = s.Hosts.With("h1", host)
	fit := func(string) string { return "" }
	if p := s.Prospects("h1", at, fit); len(p) != 1 || !p[0].Late.Equal(at.Add(2*time.Minute)) {
		t.Errorf("got %+v, want one, late for 2 m", p)
	}
	if p := s.Prospects("h1", at.Add(2*time.Minute), fit); len(p) != 1 || !p[0].Late.IsZero() {
		t.Errorf("got %+v, want one that is not late", p)
	}
}

// TestProspectBehindALostProvider: what needs a provider that is gone elsewhere finds no home before that does. What is to be
// stopped needs none.
func TestProspectBehindALostProvider(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nhost h2 site=ams\nhost h3 site=fra\nworkload db hosts=h3\nworkload api hosts=h1,h2 after=db"))
	w.run(2*time.Second, nil)
	run, err := NewStart(w.state, Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	w.mustApply(run, "")
	w.run(5*time.Second, nil)
	fit := func(string) string { return "" }
	if p := w.state.Prospects("h1", w.time().Log, fit); len(p) != 1 || p[0].Behind != "" {
		t.Errorf("while db is ready: got %+v", p)
	}
	w.host("h3").kill()
	w.run(10*time.Second, nil)
	host, _ := w.state.Hosts.Get("h3")
	w.mustApply(HostExpired{Host: "h3", Epoch: host.Epoch, Revocation: host.Revocation, Evidence: Confirmed}, "I looked")
	if p := w.state.Prospects("h1", w.time().Log, fit); len(p) != 1 || p[0].Behind != "db" {
		t.Errorf("while db is gone: got %+v", p)
	}
	s := *w.state
	api, _ := s.Workloads.Get("api")
	api.Wanted = WantedStopped
	s.Workloads = s.Workloads.With("api", api)
	if p := s.Prospects("h1", w.time().Log, fit); len(p) != 0 {
		t.Errorf("while api is to be stopped: got %+v", p)
	}
}
