package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// leading is what a monitor that believes to lead remembers. It is an adversary: it proposes whatever might be legal, from a
// state that may be old.
type leading struct {
	leads   bool
	heard   map[string]time.Duration // hosts: real time
	stamps  map[string]time.Duration
	joins   map[string][]wire.Join
	reports map[string][]wire.Report
	results map[string]wire.Result // by command
	fenced  map[string][]wire.Fenced
	quiet   map[subject]time.Duration // nothing of this kind is proposed again before then
}

// subject is a kind of entry about a host or workload.
type subject struct{ about, kind string }

func newLeading() leading {
	return leading{
		heard: map[string]time.Duration{}, stamps: map[string]time.Duration{}, joins: map[string][]wire.Join{},
		reports: map[string][]wire.Report{}, results: map[string]wire.Result{}, fenced: map[string][]wire.Fenced{},
		quiet: map[subject]time.Duration{},
	}
}

// propose hands an entry over. It gets into the log a little later, or not at all; whoever is no member gets nothing in.
func (m *monitor) propose(about string, event planner.Event) {
	key := subject{about, event.Name()}
	if m.s.now < m.quiet[key] || m.s.chance(0.02) {
		return
	}
	m.quiet[key] = m.s.now + m.s.upTo(time.Second)
	delay := m.s.upTo(20 * time.Millisecond)
	slow := m.s.p.slowCommit
	if _, join := event.(planner.HostJoined); join {
		slow = max(slow, m.s.p.slowJoin)
	}
	if m.s.chance(slow) {
		delay = m.s.upTo(5 * time.Second)
	}
	life := m.s.life
	m.s.after(delay, func() {
		if m.member && m.s.life == life {
			_ = m.s.commit(m.name, "", event) // the refusal is in the story
		}
	})
}

// lead is one turn of a monitor that believes to lead.
func (m *monitor) lead() {
	for _, name := range hosts {
		host, ok := m.state().Hosts.Get(name)
		if !ok {
			continue
		}
		m.answerJoin(name, host)
		m.judgeHost(name, host)
		m.fencings(name, host)
	}
	for _, name := range workloads[:m.s.p.workloads] {
		m.advance(name)
	}
}

func (m *monitor) hearJoin(j wire.Join) {
	m.stamps[j.Host] = j.Stamp
	known := append(m.joins[j.Host], j)
	m.joins[j.Host] = known[max(0, len(known)-4):]
}

// answerJoin answers mostly the newest question, sometimes an old one.
func (m *monitor) answerJoin(name string, host planner.Host) {
	asked := m.joins[name]
	if len(asked) == 0 {
		return
	}
	j := asked[len(asked)-1]
	if m.s.chance(0.1) {
		j = pick(m.s, asked)
	} else if m.s.chance(0.3) {
		m.joins[name] = asked[:len(asked)-1]
	}
	switch o := host.Offer; {
	case host.Phase == planner.Active && host.Inc == j.Inc && host.Nonce == j.Nonce:
		m.assign(name, host)
	case o == nil || o.Inc != j.Inc || o.Ask != j.Ask:
		m.propose(name, planner.JoinOffered{Host: name, Inc: j.Inc, Ask: j.Ask})
	case o.Nonce != j.Nonce && (m.s.mut != anyNonceJoins || j.Nonce == 0):
		offer := wire.Offer{Host: name, Inc: o.Inc, Ask: o.Ask, Nonce: o.Nonce, Terms: o.Terms}
		m.s.toAgents(m.node, name, func(a *agent) { a.hearOffer(offer) })
	default:
		e := planner.HostJoined{
			Host: name, Boot: j.Boot, Inc: j.Inc, Journal: j.Journal, Nonce: j.Nonce, Former: j.Former, Last: j.Epoch,
			Keep: j.Keep,
		}
		if slices.Contains(j.Tried, lease.Try{Inc: host.Inc, Nonce: host.Nonce}) {
			e.Former, e.Last = host.Inc, host.Epoch
		}
		m.propose(name, e)
	}
}

// hearWord tells an agent what it has not heard yet, and the log on which voters its lease stands.
func (m *monitor) hearWord(host planner.Host, r wire.Renew, w word) {
	state := m.state()
	behind := r.Epoch != host.Epoch || w.index < max(host.Epoch, state.Revision, state.LeaseVoters().Index)
	if behind && m.s.chance(0.5) {
		m.assign(r.Host, host)
	}
	if r.Epoch == host.Epoch && w.under != 0 && max(w.under, host.Epoch) > host.LeaseSince && m.s.chance(0.3) {
		m.propose(r.Host, planner.LeaseConfirmed{Host: r.Host, Epoch: host.Epoch, Voters: w.under})
	}
}

func (m *monitor) assign(name string, host planner.Host) {
	state := m.state()
	as := wire.Assignment{
		Host: name, Inc: host.Inc, Epoch: host.Epoch, Nonce: host.Nonce, Index: state.Index,
		Terms: host.Lease, Voters: state.LeaseVoters(), Rejoin: host.Lease != state.Inventory.Hosts[name].Lease,
	}
	for _, workload := range workloads {
		if w, _ := state.Workloads.Get(workload); w.Owner == name {
			as.Keep = append(as.Keep, wire.Kept{Workload: workload, Token: w.Token})
		}
	}
	m.s.toAgents(m.node, name, func(a *agent) { a.hearAssignment(as) })
}

func (m *monitor) hearReport(r wire.Report) {
	if !slices.Contains(m.reports[r.Host], r) {
		known := append(m.reports[r.Host], r)
		m.reports[r.Host] = known[max(0, len(known)-12):]
	}
}

// judgeHost declares hosts lost, rightly or not, takes that back, and lets them expire as soon as it has reports.
func (m *monitor) judgeHost(name string, host planner.Host) {
	silent := m.s.now - m.heard[name]
	switch host.Phase {
	case planner.Active:
		if silent > m.s.p.lostAfter && m.s.chance(0.5) || m.s.chance(m.s.p.doubt) {
			m.propose(name, planner.HostLost{Host: name, Inc: host.Inc, Epoch: host.Epoch})
		}
	case planner.Revoking:
		var names []string
		for _, r := range m.reports[name] {
			if (r.Epoch == host.Epoch && r.Revocation == host.Revocation || m.s.mut == anyReport) && !slices.Contains(names, r.Monitor) {
				names = append(names, r.Monitor)
			}
		}
		switch {
		case len(names) > 1 && m.s.chance(0.5) || len(names) == 1 && m.s.mut == oneReport:
			m.propose(name, planner.HostExpired{
				Host: name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: planner.LeaseExpired, Reports: names,
			})
		case silent < 2*time.Second && m.s.chance(m.s.p.reinstate):
			m.propose(name, planner.HostReinstated{Host: name, Epoch: host.Epoch, Revocation: host.Revocation})
		}
	case planner.Unseen, planner.Expired:
	}
}

// fencings starts and ends attempts to fence.
func (m *monitor) fencings(name string, host planner.Host) {
	if !m.s.fenceable(name) {
		return
	}
	run := m.state().Run(m.s.fenceRuns[name])
	if run == nil || !run.Open() {
		if host.Phase == planner.Revoking && m.s.chance(m.s.p.fence) || m.s.chance(m.s.p.fence/100) {
			step := planner.Step{
				ID: "fence", Plan: "fence", Kind: plans.StepFence, Host: name, Within: time.Hour,
				OnFailure: plans.OnFailure{Attempts: 1, Then: plans.ThenContinue},
			}
			m.propose(name, planner.RunStarted{Kind: planner.RunFence, Hosts: []string{name}, Losses: []uint64{0}, Steps: []planner.Step{step}})
		}
		return
	}
	step := run.Steps[0]
	switch {
	case step.State == planner.StatePending:
		m.propose(name, planner.StepStarted{Run: run.ID, Step: "fence", Attempt: step.Attempt + 1, Host: name, Within: time.Hour})
	case m.s.chance(0.01):
		m.propose(name, planner.RunEnded{Run: run.ID, Outcome: planner.RunWasAborted})
	case host.Phase == planner.Active:
		m.propose(name, planner.HostRevoked{Host: name, Inc: host.Inc, Epoch: host.Epoch})
	case host.Fence == nil || host.Fence.Outcome != "" && host.Fence.Outcome != wire.Done:
		attempt := 1
		if host.Fence != nil {
			attempt += host.Fence.Attempt
		}
		by := pick(m.s, m.s.members())
		m.propose(name, planner.FenceStarted{Host: name, Revocation: host.Revocation, Attempt: attempt, Monitor: by, Within: time.Minute})
	case host.Fence.Outcome == wire.Done:
		m.propose(name, planner.HostExpired{Host: name, Epoch: host.Epoch, Revocation: host.Revocation, Evidence: planner.Fenced})
		if host.Phase == planner.Expired {
			m.propose(name, planner.RunEnded{Run: run.ID, Outcome: planner.RunFailed})
		}
	default:
		m.endFencing(name, host)
	}
}

func (m *monitor) endFencing(name string, host planner.Host) {
	f := host.Fence
	e := planner.FenceFinished{Host: name, Revocation: host.Revocation, Attempt: f.Attempt, Monitor: f.Monitor}
	for _, said := range m.fenced[name] {
		same := said.Revocation == host.Revocation && said.Attempt == f.Attempt && said.Monitor == f.Monitor
		if same || m.s.mut == anyFenced && said.Outcome == wire.Done {
			e.Outcome = said.Outcome
			m.propose(name, e)
			return
		}
	}
	if m.s.chance(0.02) {
		e.Outcome = wire.Unknown
		m.propose(name, e)
	}
}

// advance brings the run of a workload on, or starts one.
func (m *monitor) advance(name string) {
	w, _ := m.state().Workloads.Get(name)
	if w.Run == 0 {
		switch {
		case w.Owner == "":
			m.propose(name, runOf(name, ""))
		case m.s.chance(m.s.p.move):
			m.propose(name, runOf(name, w.Owner))
		}
		return
	}
	run := m.state().Run(w.Run)
	open := 0
	for i := range run.Steps {
		st := &run.Steps[i]
		switch st.State {
		case planner.StatePending:
			open++
			if i == 0 || run.Steps[i-1].State == planner.StateDone {
				m.begin(run, st, w)
			}
		case planner.StateStarted:
			open++
			m.drive(run, st, w)
		case planner.StateDone, planner.StateFailed, planner.StateUnknown, planner.StateSkipped:
		}
	}
	if open == 0 {
		m.propose(name, planner.RunEnded{Run: run.ID, Outcome: planner.RunFailed})
	}
}

// runOf is a run that starts a workload, after it has stopped it where it is.
func runOf(workload, owner string) planner.RunStarted {
	again := plans.OnFailure{Attempts: 1_000_000, Then: plans.ThenContinue}
	up := planner.Step{ID: "up", Plan: "up", Kind: plans.StepStart, Workload: workload, Within: time.Hour, OnFailure: again}
	if owner == "" {
		return planner.RunStarted{Kind: planner.RunStart, Steps: []planner.Step{up}}
	}
	down := planner.Step{ID: "down", Plan: "down", Kind: plans.StepStop, Workload: workload, Host: owner, Within: time.Hour, OnFailure: again}
	up.After = []string{"down"}
	return planner.RunStarted{Kind: planner.RunStart, Steps: []planner.Step{down, up}}
}

// begin begins a step: a start anywhere, if nobody has the workload, else where it is.
func (m *monitor) begin(run *planner.Run, st *planner.Step, w planner.Workload) {
	name := st.Workload
	e := planner.StepStarted{Run: run.ID, Step: st.ID, Attempt: st.Attempt + 1, Host: w.Owner, Within: st.Within}
	done := planner.StepFinished{Run: run.ID, Step: st.ID, Attempt: st.Attempt + 1, Outcome: wire.Done, Already: true}
	switch {
	case st.Kind == plans.StepStop && w.Owner == "", st.Kind == plans.StepStart && w.Ready && m.s.chance(0.5):
		m.propose(name, done)
		return
	case w.Owner == "" || m.s.chance(0.02):
		e.Host = pick(m.s, hosts)
	}
	host, _ := m.state().Hosts.Get(e.Host)
	if host.Phase != planner.Active && m.s.chance(0.95) {
		return
	}
	e.Epoch = host.Epoch
	m.propose(name, e)
}

// drive sends the command of a step under way, again and again, and takes its answer in.
func (m *monitor) drive(run *planner.Run, st *planner.Step, w planner.Workload) {
	name, id := st.Workload, fmt.Sprintf("%d/%s/%d", run.ID, st.ID, st.Attempt)
	finished := planner.StepFinished{Run: run.ID, Step: st.ID, Attempt: st.Attempt, Token: st.Token}
	host, _ := m.state().Hosts.Get(st.Host)
	r, answered := m.results[id]
	switch {
	case answered:
		finished.Outcome, finished.Stopped = r.Outcome, r.Stopped
		m.propose(name, finished)
	case w.Owner != st.Host || st.Kind == plans.StepStart && w.Token != st.Token:
		if st.Kind == plans.StepStart {
			m.propose(name, planner.StepReset{Run: run.ID, Step: st.ID, Attempt: st.Attempt})
		} else {
			finished.Outcome, finished.Already = wire.Done, true
			m.propose(name, finished)
		}
	case m.s.chance(m.s.p.giveUp):
		finished.Outcome = wire.Unknown
		m.propose(name, finished)
	case host.Phase == planner.Active:
		c := wire.Command{ID: id, Host: st.Host, Inc: host.Inc, Epoch: host.Epoch, Token: st.Token}
		c.Action = actions.Action{Verb: actions.Stop, Target: actions.Target{Workload: st.Workload}}
		if st.Kind == plans.StepStart {
			c.Action.Verb = actions.Start
		}
		m.command(c, 0)
	}
}

// command sends a command. Some are sent again and again by a leader that has not heard that it is none any more.
func (m *monitor) command(c wire.Command, again int) {
	c.NotAfter = m.stamps[c.Host] + 2*time.Second
	m.s.toAgents(m.node, c.Host, func(a *agent) { a.hearCommand(c) })
	if again == 0 && m.s.chance(m.s.p.stale) {
		again = 10
	}
	if again > 1 {
		gen := m.gen
		m.s.after(2*time.Second, func() {
			if m.gen == gen {
				m.receive(func(*monitor) { m.command(c, again-1) })
			}
		})
	}
}

func (m *monitor) hearResult(r wire.Result) {
	if old, known := m.results[r.ID]; !known || r.Stopped && !old.Stopped {
		m.results[r.ID] = r
	}
}
