package planner

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

var onlySeed = flag.Uint64("seed", 0, "run the simulation with this seed only, and tell its story")

const (
	simSeeds  = 200
	simStorm  = 60 * time.Second
	simQuiet  = 90 * time.Second
	simLate   = 3 * time.Second // the longest that a message takes
	simRepeat = 5               // times that one and the same entry may be refused in a row
)

const simInventory = `host h1 site=ams self=guard
host h2 site=ams self=guard lease=fast fence=bmc
host h3 site=fra self=watchdog
host h4 site=fra
host h5 site=fra fence=bmc
workload db hosts=h1,h2,h3
workload api hosts=h2,h3,h4 after=db:restart
workload web hosts=h4,h5,h1 after=api
workload lone hosts=h5,h1
workload many hosts=h3,h4,h5 shared`

// TestSimulation lets whole clusters live through storms: machines die and return, networks are cut, agents restart,
// leaders change, messages and proposals are lost or late, starts and stops fail, and people do what people do. The
// evidence is honest: whoever confirms a host has turned it off. Then all is healed, and every run must come to its end.
func TestSimulation(t *testing.T) {
	seeds := make([]uint64, simSeeds)
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	if testing.Short() {
		seeds = seeds[:simSeeds/10]
	}
	if *onlySeed != 0 {
		seeds = []uint64{*onlySeed}
	}
	for _, seed := range seeds {
		if why := newStorm(t, seed).run(); why != "" {
			t.Errorf("seed %d: %s\nrun it alone with -run TestSimulation -seed %d", seed, why, seed)
		}
	}
}

// storm is a world with faults, and the judge of what happens in it.
type storm struct {
	*world

	rnd     *rand.Rand
	wrong   string // the first thing that went wrong
	refused string
	times   int
	grants  int
	moved   int
	ready   map[string]time.Duration // when a workload became ready
	harmed  map[string]time.Duration // when something was done to a machine
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, seed)), ready: map[string]time.Duration{}, harmed: map[string]time.Duration{}}
	var story *story
	if *onlySeed != 0 {
		story = tellStory(s.world)
	}
	s.killed = func(h *simHost) { s.harmed[h.name] = s.now }
	told := s.heard
	s.heard = func(c commit) {
		if told != nil {
			told(c)
			t.Log(strings.TrimRight(story.take(), "\n"))
			story.since = 0
		}
		s.judgeCommit(c)
	}
	return s
}

func (s *storm) chance(percent float64) bool { return s.rnd.Float64()*100 < percent }

func (s *storm) run() string {
	s.form(parseInventory(s.t, simInventory))
	then := []string{"halt", "continue", "abort"}[s.rnd.IntN(3)]
	s.power = func(FenceStarted) wire.Outcome {
		return []wire.Outcome{wire.Done, wire.Failed, wire.Unknown}[s.rnd.IntN(3)]
	}
	plan := parsePlan(s.t, "elsewhere", "any", "fence fence timeout=1m within=20s\nup start workloads=lost_with attempts=2 delay=1s within=20s then="+then)
	s.mustApply(FilesApplied{Base: s.state.Revision, Set: plans.Set{Plans: []*plans.Plan{plan}}}, "")
	s.mustApply(PlanArmed{Plan: "elsewhere"}, "")
	s.world.run(2*time.Second, nil)
	all, err := NewStart(s.state, Request{All: true})
	if err != nil {
		return err.Error()
	}
	s.mustApply(all, "")
	s.world.run(5*time.Second, nil)
	s.blow()
	for end := s.now + simStorm; s.now < end && s.wrong == ""; {
		s.mischief()
		s.step()
		s.judge()
	}
	s.heal()
	for end := s.now + simQuiet; s.now < end && s.wrong == ""; {
		s.step()
		s.judge()
		if s.now%(10*time.Second) == 0 {
			s.tidyUp(end-s.now < simQuiet/3)
		}
	}
	s.judgeEnd()
	return s.wrong
}

// blow lets messages, proposals and commands go wrong.
func (s *storm) blow() {
	s.delay = func() time.Duration {
		if s.chance(1) {
			return time.Duration(s.rnd.Int64N(int64(simLate)))
		}
		return time.Duration(s.rnd.Int64N(int64(120 * time.Millisecond)))
	}
	s.lose = func() bool { return s.chance(3) }
	s.twice = func() bool { return s.chance(3) }
	s.drop = func() bool { return s.chance(3) }
	s.doing = func(*simHost) deed {
		d := deed{outcome: wire.Done, took: time.Duration(s.rnd.Int64N(int64(3 * time.Second)))}
		switch n := s.rnd.IntN(100); {
		case n < 7:
			d.outcome, d.stopped = wire.Failed, true
		case n < 11:
			d.outcome = wire.Failed
		case n < 15:
			d.outcome = wire.Unknown
		}
		return d
	}
}

// heal ends all faults and turns all machines on.
func (s *storm) heal() {
	s.lose, s.twice, s.drop, s.doing = nil, nil, func() bool { return false }, nil
	s.power = func(FenceStarted) wire.Outcome { return wire.Failed } // whoever is fenced now would have to be turned on again
	s.delay = func() time.Duration { return 10 * time.Millisecond }
	for _, h := range s.hosts {
		h.cut = false
		if !h.up {
			h.boot()
		}
		if !h.agent {
			h.startAgent()
		}
	}
}

// mischief is what happens to machines and monitors, and what people do.
func (s *storm) mischief() {
	h := s.hosts[s.rnd.IntN(len(s.hosts))]
	switch {
	case s.chance(0.3) && h.up:
		s.harmed[h.name] = s.now
		h.kill()
	case s.chance(0.7) && !h.up:
		s.harmed[h.name] = s.now
		h.boot()
	case s.chance(0.3):
		h.cut = true
	case s.chance(2):
		h.cut = false
	case s.chance(0.2) && h.up:
		s.harmed[h.name] = s.now
		if running := sortedKeys(h.running); len(running) > 0 && s.chance(50) { // it crashed
			delete(h.running, running[s.rnd.IntN(len(running))])
		}
		h.startAgent()
	case s.chance(0.3):
		s.lead = s.names[s.rnd.IntN(len(s.names))]
		clear(s.inflight)
	case s.chance(0.1):
		s.lead = s.names[s.rnd.IntN(len(s.names))]
		clear(s.inflight)
		s.restartMonitor(s.lead)
	case s.chance(2):
		s.confirm(h)
	case s.chance(0.5):
		s.person()
	}
}

// confirm turns a lost host off, to be sure, and says so.
func (s *storm) confirm(h *simHost) {
	host, _ := s.state.Hosts.Get(h.name)
	if host.Phase != Revoking {
		return
	}
	s.harmed[h.name] = s.now
	h.kill()
	s.mustApply(HostExpired{Host: h.name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: Confirmed}, "turned off")
}

// person starts, stops, retries, skips and aborts.
func (s *storm) person() {
	names := sortedKeys(s.state.Inventory.Workloads)
	r := Request{Workloads: []string{names[s.rnd.IntN(len(names))]}, With: s.chance(50)}
	var event Event
	switch s.rnd.IntN(6) {
	case 4:
		run, err := NewFence(s.state, s.hosts[s.rnd.IntN(len(s.hosts))].name)
		if err != nil {
			return
		}
		event = run
	case 5:
		event = SilenceWanted{Host: s.hosts[s.rnd.IntN(len(s.hosts))].name, Until: s.time().Log.Add(10 * time.Second)}
	case 0:
		run, err := NewStart(s.state, r)
		if err != nil {
			return
		}
		event = run
	case 1:
		run, err := NewStop(s.state, r)
		if err != nil {
			return
		}
		event = run
	default:
		open := s.openRuns()
		if len(open) == 0 {
			return
		}
		run := open[s.rnd.IntN(len(open))]
		step := run.Steps[s.rnd.IntN(len(run.Steps))]
		event = []Event{StepRetried{Run: run.ID, Step: step.ID}, StepSkipped{Run: run.ID, Step: step.ID}, RunAborted{Run: run.ID}}[s.rnd.IntN(3)]
	}
	_ = s.apply(Entry{By: "ann", Reason: "because", Event: event})
}

// tidyUp is the person who, when all is well again, retries what has halted, and at last gives up on it: what it needs may
// have been stopped on purpose.
func (s *storm) tidyUp(late bool) {
	for _, run := range s.openRuns() {
		if late {
			_ = s.apply(Entry{By: "ann", Event: RunAborted{Run: run.ID}})
			continue
		}
		for i := range run.Steps {
			if run.Steps[i].halts() {
				_ = s.apply(Entry{By: "ann", Event: StepRetried{Run: run.ID, Step: run.Steps[i].ID}})
			}
		}
	}
}

func (s *storm) fail(format string, args ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("%.2fs: ", (s.now-1000*time.Second).Seconds()) + fmt.Sprintf(format, args...)
	}
}

// judgeCommit looks at each entry.
func (s *storm) judgeCommit(c commit) {
	if c.refused != nil {
		if what := describe(c.entry.Event) + ": " + c.refused.Error(); what != s.refused {
			s.refused, s.times = what, 0
		}
		if s.times++; s.times > simRepeat && c.entry.By != "ann" {
			s.fail("refused %d times in a row: %s", s.times, s.refused)
		}
		return
	}
	if why := broken(c); why != "" {
		s.fail("#%d: %s", c.index, why)
	}
	switch e := c.entry.Event.(type) {
	case StepStarted:
		if step := c.before.Run(e.Run).Step(e.Step); step.Kind == plans.StepStart {
			s.grants++
			s.judgeGrant(c, e, step.Workload)
		}
	case StepFinished:
		if step := c.before.Run(e.Run).Step(e.Step); step.Kind == plans.StepStart && e.Outcome == wire.Done && !e.Already {
			s.ready[step.Workload] = s.now
		}
	case HostExpired:
		s.moved++
	}
}

// judgeGrant: what a started workload needs really runs, unless its machine was harmed since, or a person said to go on.
func (s *storm) judgeGrant(c commit, e StepStarted, workload string) {
	for _, provider := range c.before.providersOf(workload) {
		p, _ := c.before.Workloads.Get(provider)
		if c.before.Run(e.Run).skipped(plans.StepStart, provider) || slices.Contains(s.where(provider), p.Owner) {
			continue
		}
		if s.harmed[p.Owner] < s.ready[provider]-simLate { // an answer may be late, too
			s.fail("#%d: %s was granted, but %s, which it needs, does not run on %s", c.index, workload, provider, p.Owner)
		}
	}
}

// judge: no exclusive workload runs on two machines.
func (s *storm) judge() {
	for i, h := range s.hosts {
		for name := range h.running {
			for _, other := range s.hosts[:i] {
				if _, twice := other.running[name]; twice && s.state.Inventory.Workloads[name].Exclusive {
					w, _ := s.state.Workloads.Get(name)
					s.fail("%s runs on %v; its owner is %q under token #%d", name, s.where(name), w.Owner, w.Token)
				}
			}
		}
	}
	for _, run := range s.openRuns() {
		_, waits, until := s.state.Standing(run)
		last := run.Steps[len(run.Steps)-1].Ended // what is decided but not yet in the log takes a moment
		if run.State == RunAborting {
			continue // when it was aborted is not told; judgeEnd sees to it that it ends
		}
		if quiet := s.now-s.lastCommit(run, last) > 10*time.Second; quiet && (len(waits) == 0 || until.IsZero()) {
			s.fail("%s is %s and does not say what it waits for, or until when: %q %s", RunID(run.ID), run.State, waits, until)
		}
	}
}

// lastCommit is when something last happened in a run.
func (s *storm) lastCommit(run *Run, last time.Time) time.Duration {
	for i := range run.Steps {
		for _, at := range []time.Time{run.Started, run.Steps[i].Begun, run.Steps[i].Ended, run.Steps[i].NotYet} {
			if at.After(last) {
				last = at
			}
		}
	}
	return last.Sub(epoch0) + 1000*time.Second
}

// judgeEnd: all runs have ended, and what the log says is what is.
func (s *storm) judgeEnd() {
	for _, run := range s.openRuns() {
		state, waits, _ := s.state.Standing(run)
		s.fail("%s is still open: %s %q", RunID(run.ID), state, waits)
	}
	for name, w := range s.state.Workloads.All() {
		at := s.where(name)
		sure := w.Ready && !w.Stopping // else nobody knows what came of its start or stop
		if sure && !slices.Equal(at, []string{w.Owner}) || len(at) > 0 && !slices.Contains(at, w.Owner) {
			s.fail("%s is owned by %q, says the log, but it runs on %v", name, w.Owner, at)
		}
	}
	for name, h := range s.state.Hosts.All() {
		if h.Phase != Active || s.host(name).epoch != h.Epoch {
			s.fail("%s is %s under #%d, its agent is under #%d", name, h.Phase, h.Epoch, s.host(name).epoch)
		}
	}
}
