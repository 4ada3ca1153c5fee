package planner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// TestScenarios replays the transcripts of testdata/scenarios: commands, and all that the log and the agents then heard.
// Rewrite them with -rewrite and read the diff.
//
//	cluster                          an inventory (see parseInventory); each host boots and joins
//	plan NAME [trigger=any|H,…]      a plan (see parsePlan), applied and armed; disarmed: applied only
//	arm NAME / disarm NAME
//	start|stop W… [with]             as holter start, holter stop
//	run NAME [hosts=H,…]             as holter run start
//	retry|skip R STEP / abort R
//	confirm H                        as holter fence confirm
//	kill|boot|cut|heal H…            the machine is turned off or on, its network cut or healed
//	restart-agent H                  a new incarnation of the agent, the workloads run on; forget=W: without the workload
//	fence H                          as holter fence
//	power done|failed|unknown        what comes of the attempts to fence from here on
//	silence H 10m / speak H          its silence is wanted, or not any more
//	release H                        as holter host release
//	clone H                          a second machine of this name is turned on
//	found W H                        the workload runs there, and nobody of ours started it
//	mood H VERB W outcome=done|failed|unknown [stopped] [silent] [took=1s] [times=1]
//	leader M [restarted]             another monitor leads; restarted: it has heard nobody yet
//	wait [30s] [idle]                time passes; idle: until no run is open, but 5 s at least
//	status                           where everything is
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := &scenario{world: newWorld(t)}
		s.story = tellStory(s.world)
		datadriven.RunTest(t, path, s.do)
	})
}

type scenario struct {
	*world
	*story
}

func (s *scenario) do(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	var words []string
	fields := map[string]string{}
	for _, arg := range d.CmdArgs {
		if len(arg.Vals) == 0 {
			words = append(words, arg.Key)
		}
		fields[arg.Key] = strings.Join(arg.Vals, ",")
	}
	_ = s.take()
	switch d.Cmd {
	case "cluster":
		s.form(parseInventory(t, d.Input))
		s.run(2*time.Second, nil)
		_ = s.take()
	case "inventory":
		s.operator(FilesApplied{Base: s.state.Revision, Set: plans.Set{Inventory: parseInventory(t, d.Input)}}, "")
	case "plan":
		plan := parsePlan(t, words[0], fields["trigger"], d.Input)
		s.mustApply(FilesApplied{Base: s.state.Revision, Set: plans.Set{Plans: []*plans.Plan{plan}}}, "")
		if _, disarmed := fields["disarmed"]; !disarmed {
			s.mustApply(PlanArmed{Plan: plan.Name}, "")
		}
		_ = s.take()
	case "wait":
		return s.wait(words)
	case "status":
		return s.stand()
	case "power":
		s.power = func(FenceStarted) wire.Outcome { return wire.Outcome(words[0]) }
	case "kill", "boot", "cut", "heal", "restart-agent", "found", "mood", "clone":
		s.machine(d, words, fields)
	case "leader":
		s.lead = words[0]
		if len(words) > 1 {
			s.restartMonitor(s.lead)
		}
	default:
		s.person(d, words, fields)
	}
	return or(s.take(), "ok\n")
}

func (s *scenario) wait(words []string) string {
	limit := 30 * time.Second
	var until func() bool
	for _, word := range words {
		if word == "idle" {
			until = func() bool { return len(s.openRuns()) == 0 }
			continue
		}
		limit = duration(s.t, word, 0)
	}
	if until != nil { // what starts a run needs a moment
		limit -= 5 * time.Second
		s.run(5*time.Second, nil)
	}
	if until == nil || !until() {
		s.run(limit, until)
	}
	return or(s.take(), "nothing\n")
}

// machine does something to machines.
func (s *scenario) machine(d *datadriven.TestData, words []string, fields map[string]string) {
	switch d.Cmd {
	case "found":
		s.host(words[1]).running[words[0]] = 0
		return
	case "mood":
		_, stopped := fields["stopped"]
		_, silent := fields["silent"]
		m := &mood{times: 1000, deed: deed{
			outcome: wire.Outcome(or(fields["outcome"], string(wire.Done))), stopped: stopped, silent: silent,
			took: duration(s.t, fields["took"], 500*time.Millisecond),
		}}
		number(s.t, fields["times"], &m.times)
		s.host(words[0]).moods[words[1]+" "+words[2]] = m
		return
	}
	for _, name := range words {
		h := s.host(name)
		switch d.Cmd {
		case "kill":
			h.kill()
		case "boot":
			h.boot()
		case "cut":
			h.cut = true
		case "heal":
			h.cut = false
		case "clone":
			s.hosts = append(s.hosts, newSimHost(s.world, name))
			twin := s.hosts[len(s.hosts)-1]
			twin.born, twin.bootID = 7, "another machine"
			twin.startAgent()
		case "restart-agent":
			if gone := fields["forget"]; gone != "" {
				delete(h.running, gone)
			}
			h.startAgent()
		}
	}
}

// person does what people do through the monitors.
func (s *scenario) person(d *datadriven.TestData, words []string, fields map[string]string) {
	_, with := fields["with"]
	switch d.Cmd {
	case "arm":
		s.operator(PlanArmed{Plan: words[0]}, "")
	case "disarm":
		s.operator(PlanDisarmed{Plan: words[0]}, "")
	case "start", "stop":
		r := Request{With: with}
		for _, word := range words {
			if word != "with" {
				r.Workloads = append(r.Workloads, word)
			}
		}
		launch := NewStart
		if d.Cmd == "stop" {
			launch = NewStop
		}
		run, err := launch(s.state, r)
		s.launch(run, err)
	case "run":
		var hosts []string
		if fields["hosts"] != "" {
			hosts = strings.Split(fields["hosts"], ",")
		}
		run, err := NewPlanRun(s.state, words[0], hosts)
		s.launch(run, err)
	case "confirm":
		host, _ := s.state.Hosts.Get(words[0])
		s.operator(HostExpired{Host: words[0], Epoch: host.Epoch, Revocation: host.Revocation, Evidence: Confirmed}, "I pulled the plug")
	case "fence":
		run, err := NewFence(s.state, words[0])
		s.launch(run, err)
	case "silence":
		s.operator(SilenceWanted{Host: words[0], Until: s.time().Log.Add(duration(s.t, words[1], 0))}, "a new kernel")
	case "speak":
		s.operator(SilenceEnded{Host: words[0]}, "")
	case "release":
		s.operator(HostReleased{Host: words[0]}, "its cable was changed")
	case "retry":
		s.operator(StepRetried{Run: s.runID(words[0]), Step: words[1]}, "")
	case "skip":
		s.operator(StepSkipped{Run: s.runID(words[0]), Step: words[1]}, "")
	case "abort":
		s.operator(RunAborted{Run: s.runID(words[0])}, "")
	default:
		d.Fatalf(s.t, "unknown command %q", d.Cmd)
	}
}

// operator proposes what a person wants; a refusal is part of the story.
func (s *scenario) operator(event Event, reason string) {
	_ = s.apply(Entry{By: "ann", Reason: reason, Event: event})
}

func (s *scenario) launch(run RunStarted, err error) {
	if err != nil {
		s.line("refused: %v", err)
		return
	}
	s.operator(run, "")
}

func (s *scenario) runID(text string) uint64 {
	var id uint64
	if _, err := fmt.Sscanf(text, "R-%d", &id); err != nil {
		s.t.Fatalf("run %q: %v", text, err)
	}
	return id
}
