package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
)

var stormSeed = flag.Uint64("storm-seed", 0, "blow the storm of this seed only")

const (
	storms     = 6
	stormLasts = 90 * time.Second
	stormGap   = 700 * time.Millisecond // between two faults, on average
	stormQuiet = 3 * time.Minute        // for everything to come to rest when all is healed
)

const stormShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: storm, lease: {profile: fast}}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, self_fence: guard}
  ams-2: {site: ams, self_fence: guard, lease: {profile: normal}}
  fra-1: {site: fra, self_fence: guard}
  fra-2: {site: fra}
workloads:
  db: {kind: memory, unit: db, hosts: [ams-1, fra-1, ams-2]}
  api: {kind: memory, unit: api, hosts: [ams-2, fra-1, ams-1], after: {db: {on_loss: restart}}}
  lone: {kind: memory, unit: lone, hosts: [fra-1, ams-2]}
  local: {kind: memory, unit: local, hosts: [fra-2]}
`

// TestStorm lets a whole cluster live through cuts, kills and restarts of monitors, agents, guards and hosts, and judges by
// what the workloads themselves recorded: nothing exclusive ran twice. Then all is healed, and everything runs, once.
func TestStorm(t *testing.T) {
	seeds := make([]uint64, storms)
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	if *stormSeed != 0 {
		seeds = []uint64{*stormSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, shopHosts, func(c *cluster) { (&storm{c, rand.New(rand.NewPCG(seed, seed))}).blow() })
		})
	}
}

type storm struct {
	*cluster
	rnd *rand.Rand
}

func (s *storm) blow() {
	s.apply(map[string]string{"storm.yaml": stormShop, "plan.yaml": restartElsewhere})
	s.propose(planner.PlanArmed{Plan: "restart-elsewhere"}, "")
	s.start(planner.Request{All: true})
	for end := time.Now().Add(stormLasts); time.Now().Before(end); {
		time.Sleep(time.Duration(s.rnd.Int64N(int64(2 * stormGap))))
		s.fault()
		s.judge()
	}
	s.heal()
	s.until("everything runs where the log says", stormQuiet, s.atRest)
	s.judge()
}

func (s *storm) pick(names []string) string { return names[s.rnd.IntN(len(names))] }

// fault does one thing to somebody. At most one monitor is away at a time, so that the storm goes on with a quorum.
func (s *storm) fault() {
	host := s.pick(shopHosts)
	_, alive := s.agents[host]
	switch n := s.rnd.IntN(12); {
	case n < 3:
		s.bus.Party(host).Cut()
	case n < 6:
		s.bus.Party(host).Heal()
	case n == 6 && alive:
		s.stopAgent(host)
	case n == 7 && alive:
		s.stopAgent(host)
		s.startAgent(host)
	case n == 8 && alive && s.guards[host] != nil:
		s.stopGuard(host)
		s.startGuard(host)
	case n == 9 && alive:
		s.powerOff(host)
	case n == 10:
		s.monitorFault()
	case !alive:
		s.bus.Party(host).Heal()
		s.startAgent(host)
	}
}

func (s *storm) monitorFault() {
	for _, name := range monitorNames {
		if s.monitors[name] == nil {
			s.restartMonitor(name)
			return
		}
	}
	s.killMonitor(s.pick(monitorNames))
}

// judge: the workloads' own record has no overlap.
func (s *storm) judge() {
	s.t.Helper()
	if overlaps := s.world.Overlaps(); len(overlaps) > 0 {
		s.t.Fatalf("ran twice: %v\n%s", overlaps, s.story())
	}
}

// heal ends all faults and turns everything on.
func (s *storm) heal() {
	for _, name := range monitorNames {
		if s.monitors[name] == nil {
			s.restartMonitor(name)
		}
	}
	for _, host := range shopHosts {
		s.bus.Party(host).Heal()
		if s.agents[host] == nil {
			s.startAgent(host)
		}
		if h, _ := s.state().Hosts.Get(host); !h.Quarantine.IsZero() {
			s.propose(planner.HostReleased{Host: host}, "the storm is over")
		}
	}
}

// atRest says that no run is open, or one that waits for a person, whom this test is then, and that each workload runs on
// its owner and nowhere else.
func (s *storm) atRest() bool {
	st := s.state()
	for _, run := range st.Runs.All() {
		if run.Open() {
			s.nurse(st, run)
			return false
		}
	}
	running := s.world.Running()
	for name, w := range st.Workloads.All() {
		if w.Owner == "" || !w.Ready || !slices.Equal(running[name], []string{w.Owner}) {
			s.startAnew(st, name)
			return false
		}
	}
	for _, host := range shopHosts {
		if s.phase(host) != planner.Active {
			return false
		}
	}
	return true
}

// nurse retries what has halted.
func (s *storm) nurse(st *planner.State, run *planner.Run) {
	for _, step := range run.Steps {
		if run.State == planner.RunPaused && (step.State == planner.StateFailed || step.State == planner.StateUnknown) {
			s.propose(planner.StepRetried{Run: run.ID, Step: step.ID}, "")
			return
		}
	}
	_ = st
}

// startAnew starts what came to rest without running: its plan was over when its host was lost again.
func (s *storm) startAnew(st *planner.State, name string) {
	run, err := planner.NewStart(st, planner.Request{Workloads: []string{name}, With: true, Down: []string{name}})
	if err == nil {
		s.propose(run, "the storm is over")
	}
}
