package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// stampSlack is how long after the newest stamp heard of an agent a command may still be begun, by the agent's clock.
const stampSlack = 2 * time.Second

// CommandID names one attempt of a step: run/step/workload/attempt, where the step's id ends with the workload.
func CommandID(run *Run, st *Step) string {
	return fmt.Sprintf("%s/%s/%d", RunID(run.ID), st.ID, st.Attempt)
}

// advance moves one open run on: what is answered is finished, what is due begins, what is under way is commanded, and when
// nothing is left the run ends.
func (d *decision) advance(c *course) {
	d.course = c
	run, underway, left := c.run, false, false
	ending := run.State == RunAborting || c.aborts != nil // then only what an agent has begun is waited for
	for i := range run.Steps {
		st := &run.Steps[i]
		switch st.State {
		case StateStarted:
			underway = underway || st.commanded() || !ending
			d.underway(run, st)
		case StatePending:
			left = true
			if !d.now.Log.Before(st.NotYet) && c.turn(st) {
				d.begin(run, st)
			}
		case StateFailed, StateUnknown:
			left = left || !st.over()
		case StateDone:
			if !ending && d.lostAgain(run, st) {
				left = true
				d.reset(run, st, "lost with "+st.Host+": placed anew")
			}
		case StateSkipped:
		}
	}
	switch {
	case underway:
	case run.State == RunAborting:
		d.end(run, RunWasAborted, "")
	case !left:
		d.end(run, RunSucceeded, "")
	case c.aborts != nil:
		d.end(run, RunFailed, c.aborts.ID+": "+c.aborts.Reason)
	case run.State == RunPaused && d.now.Log.After(run.Until):
		d.end(run, RunFailed, "paused until its time was up")
	}
}

// lostAgain says that a workload that this run has started went with its host: it is the last that the run wants of it.
func (d *decision) lostAgain(run *Run, st *Step) bool {
	w, _ := d.s.Workloads.Get(st.Workload)
	if st.Kind != plans.StepStart || w.Owner != "" || w.Wanted != WantedRunning {
		return false
	}
	last := st
	for i := range run.Steps {
		if run.Steps[i].Workload == st.Workload {
			last = &run.Steps[i]
		}
	}
	return last == st
}

func (d *decision) reset(run *Run, st *Step, reason string) {
	d.propose(fmt.Sprintf("step/%s/%s", RunID(run.ID), st.ID), 0, reason, StepReset{Run: run.ID, Step: st.ID, Attempt: st.Attempt})
}

func (d *decision) end(run *Run, outcome RunState, reason string) {
	d.propose("end/"+RunID(run.ID), 0, reason, RunEnded{Run: run.ID, Outcome: outcome})
}

func (d *decision) finish(run *Run, st *Step, reason string, e StepFinished) {
	e.Run, e.Step = run.ID, st.ID
	d.propose(fmt.Sprintf("step/%s/%s", RunID(run.ID), st.ID), 0, reason, e)
}

// already finishes a step that has nothing to do.
func (d *decision) already(run *Run, st *Step, reason string) {
	d.finish(run, st, reason, StepFinished{Attempt: st.Attempt + 1, Outcome: wire.Done, Already: true})
}

// blocked leaves a due step pending while it cannot begin, for as long as it could take, or as evidence may, and then fails
// it.
func (d *decision) blocked(run *Run, st *Step, why string) {
	limit, _ := d.s.patience(run, st)
	if waited := d.now.Log.Sub(d.course.dueSince(st)); waited >= limit {
		d.finish(run, st, "could not begin for "+waited.Round(time.Second).String()+": "+why,
			StepFinished{Attempt: st.Attempt + 1, Outcome: wire.Failed})
	}
}

// patience is how long a due step may stay pending, and the lost host whose evidence it waits for, "" if for something else.
func (s *State) patience(run *Run, st *Step) (limit time.Duration, evidenceOf string) {
	if st.Kind != plans.StepStart {
		return st.Within, ""
	}
	w, _ := s.Workloads.Get(st.Workload)
	if s.silent(w.Owner) && s.Inventory.Workloads[st.Workload].Exclusive {
		return max(st.Within, fenceLimit), w.Owner
	}
	missing, _ := s.missingProvider(run, st.Workload)
	if provider, _ := s.Workloads.Get(missing); s.silent(provider.Owner) {
		return max(st.Within, fenceLimit), provider.Owner
	}
	return st.Within, ""
}

func (d *decision) start(run *Run, st *Step, host string, why []Input) {
	h, _ := d.s.Hosts.Get(host)
	e := StepStarted{Run: run.ID, Step: st.ID, Attempt: st.Attempt + 1, Host: host, Epoch: h.Epoch, Within: st.Within, Why: why}
	if e.Why == nil {
		e.Why = []Input{}
	}
	d.propose(fmt.Sprintf("step/%s/%s", RunID(run.ID), st.ID), 0, "", e)
}

// begin starts a due step, or says why it cannot.
func (d *decision) begin(run *Run, st *Step) {
	switch st.Kind {
	case plans.StepFence:
		if d.s.fenceOver(run, st.Host) {
			d.already(run, st, d.proof(st.Host))
			return
		}
		d.start(run, st, st.Host, nil)
	case plans.StepWait:
		d.start(run, st, "", nil)
	case plans.StepRun:
		if reason := d.deaf(st.Host); reason != "" {
			d.blocked(run, st, st.Host+" "+reason)
			return
		}
		d.start(run, st, st.Host, nil)
	case plans.StepStop:
		d.beginStop(run, st)
	case plans.StepStart:
		d.beginStart(run, st)
	}
}

// proof says in words how it is known that a host that is not (any more) lost without evidence can do no harm.
func (d *decision) proof(name string) string {
	host, _ := d.s.Hosts.Get(name)
	if host.Evidence != nil {
		return host.Evidence.String()
	}
	return "the host is back"
}

// unconfirmed is why a host that has joined can take no command yet. A host that joined a moment ago is waited for before a
// less preferred one is taken.
const (
	unconfirmed  = "has not confirmed its epoch and lease yet"
	confirmGrace = 3 * time.Second
)

func (d *decision) joinedJustNow(name string) bool {
	host, _ := d.s.Hosts.Get(name)
	return d.now.Log.Sub(host.Since) < confirmGrace
}

// unfit says why nothing can be started on a host now, "" if it can.
func (d *decision) unfit(name string) string {
	if reason := d.deaf(name); reason != "" {
		return reason
	}
	host, _ := d.s.Hosts.Get(name)
	lease := d.v.reports[name].status.Lease
	switch {
	case host.Quarantined(d.now.Log):
		return "is quarantined: it was lost " + fmt.Sprint(len(host.Losses)) + " times in " + flapWindow.String()
	case host.Silence.Holds(d.now.Log):
		return "is about to be silent: " + host.Silence.Reason
	case host.Lease != d.s.Inventory.Hosts[name].Lease:
		return unconfirmed // it joins again under its new terms
	case !lease.Held && lease.Why == "":
		return unconfirmed
	case !lease.Held:
		return "holds no lease: " + lease.Why
	}
	return ""
}

// deaf says why a host can take no command at all now, "" if it can.
func (d *decision) deaf(name string) string {
	host, known := d.s.Hosts.Get(name)
	switch {
	case !known:
		return "is not in the inventory"
	case host.Phase != Active:
		return "is " + string(host.Phase)
	case !d.v.heard(name, host.Inc, d.now):
		return "is not heard"
	case !d.v.confirmed(d.s, name):
		return unconfirmed
	}
	return ""
}

func (d *decision) beginStop(run *Run, st *Step) {
	w, _ := d.s.Workloads.Get(st.Workload)
	if w.Owner == "" {
		d.already(run, st, "not running")
		return
	}
	if reason := d.deaf(w.Owner); reason != "" {
		d.blocked(run, st, w.Owner+" "+reason)
		return
	}
	if dependent, ok := d.s.runningDependent(run, st); ok {
		d.blocked(run, st, dependent+" needs it and runs")
		return
	}
	d.start(run, st, w.Owner, nil)
}

func (d *decision) beginStart(run *Run, st *Step) {
	w, _ := d.s.Workloads.Get(st.Workload)
	spec := d.s.Inventory.Workloads[st.Workload]
	ownerLost := d.s.silent(w.Owner)
	said, _ := d.v.says(d.s, w.Owner, st.Workload)
	crashed := said.Condition == actions.Stopped // its owner's agent says that it does not run any more
	switch {
	case w.Owner != "" && w.Ready && !w.Stopping && !ownerLost && !crashed:
		d.already(run, st, "running on "+w.Owner)
		return
	case ownerLost && spec.Exclusive:
		d.blocked(run, st, "there is no evidence that "+w.Owner+" runs "+st.Workload+" no more")
		return
	}
	if provider, missing := d.s.missingProvider(run, st.Workload); missing {
		d.blocked(run, st, provider+", which it needs, is not ready")
		return
	}
	if spec.Exclusive {
		strange := slices.DeleteFunc(d.v.runners(d.s, st.Workload), func(host string) bool { return host == w.Owner })
		if len(strange) > 0 {
			d.blocked(run, st, "it runs on "+andAll(strange)+" already, where Holter did not start it")
			return
		}
	}
	if w.Owner != "" && !ownerLost { // an earlier attempt whose end nobody knows: only there
		if !slices.Contains(spec.Hosts, w.Owner) {
			d.blocked(run, st, "it may be on "+w.Owner+", where the inventory does not allow it any more")
			return
		}
		if reason := d.unfit(w.Owner); reason != "" {
			d.blocked(run, st, w.Owner+" "+reason)
			return
		}
		d.start(run, st, w.Owner, []Input{{Name: w.Owner, Value: "it is there, or an earlier attempt may have started it there", OK: true}})
		return
	}
	host, why := d.place(st, spec)
	if host == "" {
		d.blocked(run, st, "no host can take it: "+inWords(why))
		return
	}
	if w.Owner == "" && w.Freed != nil && w.Last != host {
		why = append(why, Input{Name: InputEvidence, Value: w.Freed.String(), OK: true})
	}
	d.start(run, st, host, why)
}

// InputEvidence names the input of a StepStarted that says by which evidence the workload had left another host.
const InputEvidence = "evidence"

// place picks the first host in the order of preference that can take the workload; hosts where it failed in this run come
// last. The inputs say of each host why it was taken or not.
func (d *decision) place(st *Step, spec plans.Workload) (string, []Input) {
	chosen, second := "", ""
	why := []Input{}
	for _, host := range spec.Hosts {
		reason := d.unfit(host)
		if st.To != nil && !d.s.selectsHost(st.To, host) {
			reason = "is not among the step's hosts"
		}
		if reason == unconfirmed && chosen == "" && d.joinedJustNow(host) {
			return "", append(why, Input{Name: host, Value: reason})
		}
		switch {
		case reason != "":
			why = append(why, Input{Name: host, Value: reason})
		case slices.Contains(st.Avoid, host):
			why = append(why, Input{Name: host, Value: "failed there, or was lost, in this run"})
			if second == "" {
				second = host
			}
		case chosen == "":
			chosen = host
		}
	}
	if chosen == "" {
		chosen = second
	}
	if chosen != "" {
		why = append(why, Input{Name: chosen, Value: "chosen: first in the order of preference that can take it", OK: true})
	}
	return chosen, why
}

func inWords(why []Input) string {
	words := make([]string, 0, len(why))
	for _, in := range why {
		words = append(words, in.Name+" "+in.Value)
	}
	return strings.Join(words, ", ")
}

// underway moves a step on that has begun.
func (d *decision) underway(run *Run, st *Step) {
	elapsed := d.now.Log.Sub(st.Begun)
	switch st.Kind {
	case plans.StepFence:
		switch {
		case d.s.fenceOver(run, st.Host):
			d.answer(run, st, d.proof(st.Host), wire.Result{Outcome: wire.Done})
		case elapsed >= st.Within:
			d.answer(run, st, "no evidence came in "+st.Within.String(), wire.Result{Outcome: wire.Failed})
		default:
			d.fence(run, st)
		}
	case plans.StepWait:
		if elapsed >= st.Within {
			d.answer(run, st, "", wire.Result{Outcome: wire.Done})
		}
	case plans.StepStart, plans.StepStop, plans.StepRun:
		d.commanded(run, st)
	}
}

func (d *decision) answer(run *Run, st *Step, reason string, r wire.Result) {
	d.finish(run, st, reason, StepFinished{
		Attempt: st.Attempt, Token: st.Token, Outcome: r.Outcome, Stopped: r.Stopped, Already: r.Already, Took: r.Took,
	})
}

// answerBy is when a step that has begun is given up, the way of command and answer included. What was begun on a host that
// is lost since may take longer, for its return or evidence decides; and on one that has come back it has its time again.
func (s *State) answerBy(st *Step) time.Time {
	if !st.commanded() {
		return st.Begun.Add(st.Within)
	}
	host, _ := s.Hosts.Get(st.Host)
	since, limit := st.Begun, st.Within+answerSlop
	if host.Since.After(since) {
		since = host.Since
	}
	if host.Phase != Active {
		limit += st.OnFailure.Within
	}
	return since.Add(limit)
}

// commanded takes the agent's answer if there is one, and else sees to it that the command arrives. A host that is lost is
// waited for: its return or evidence decides.
func (d *decision) commanded(run *Run, st *Step) {
	w, _ := d.s.Workloads.Get(st.Workload)
	gone := w.Owner != st.Host || (st.Kind == plans.StepStart && w.Token != st.Token)
	host, _ := d.s.Hosts.Get(st.Host)
	result, answered := d.v.results[answerTo{st.Host, CommandID(run, st)}]
	answered = answered && result.Token == st.Token && result.Inc == host.Inc && result.Epoch == host.Epoch && host.Phase == Active
	switch {
	case st.Kind == plans.StepStart && gone:
		d.reset(run, st, st.Host+" runs nothing any more: placed anew")
	case st.Kind == plans.StepStop && gone:
		d.answer(run, st, "stopped with its host: "+d.proof(st.Host), wire.Result{Outcome: wire.Done, Stopped: true})
	case answered:
		d.answer(run, st, result.Reason, result)
	case !d.now.Log.Before(d.s.answerBy(st)):
		waited := d.now.Log.Sub(st.Begun).Round(time.Second)
		d.answer(run, st, "no answer from "+st.Host+" in "+waited.String(), wire.Result{Outcome: wire.Unknown})
	case d.v.confirmed(d.s, st.Host):
		d.command(run, st, host)
	case st.Kind == plans.StepRun && host.Phase == Expired:
		d.answer(run, st, st.Host+" was lost while it ran", wire.Result{Outcome: wire.Unknown})
	}
}

func (d *decision) command(run *Run, st *Step, host Host) {
	id := CommandID(run, st)
	spec := d.s.Inventory.Workloads[st.Workload]
	c := &wire.Command{
		V: wire.Version, ID: id, Host: st.Host, Inc: host.Inc, Epoch: host.Epoch, Token: st.Token,
		Within: st.Within, NotAfter: d.v.newestStamp(st.Host) + stampSlack, Idempotent: st.Idem, Exclusive: spec.Exclusive,
		Action: actions.Action{Target: targetOf(st.Workload, spec), Env: map[string]string{
			"HOLTER_TOKEN": fmt.Sprint(st.Token), "HOLTER_HOST_EPOCH": fmt.Sprint(host.Epoch), "HOLTER_RUN": RunID(run.ID),
			"HOLTER_HOST": st.Host, "HOLTER_SITE": d.s.Inventory.Hosts[st.Host].Site,
		}},
	}
	switch st.Kind {
	case plans.StepStart:
		ready := d.s.readyOn(spec, st.Workload, st.Host)
		c.Action.Verb, c.Ready = actions.Start, &ready
	case plans.StepStop:
		c.Action.Verb, c.Ladder = actions.Stop, spec.Stop
	case plans.StepRun:
		c.Action.Verb = actions.Run
		c.Action.Target = actions.Target{Workload: st.Command, Kind: "command", Unit: st.Command}
		for _, arg := range st.Args {
			c.Action.Args = append(c.Action.Args, plans.Expand(arg, d.s.names("", plans.Workload{}, st.Host)))
		}
	case plans.StepFence, plans.StepWait:
	}
	d.out = append(d.out, Intent{Key: id, Send: c})
}

func targetOf(workload string, spec plans.Workload) actions.Target {
	return actions.Target{Workload: workload, Kind: spec.Kind, Unit: spec.Unit}
}

// readyOn is a workload's readiness condition on a host, names filled in.
func (s *State) readyOn(spec plans.Workload, workload, host string) actions.Ready {
	ready := spec.Ready
	names := s.names(workload, spec, host)
	ready.URL, ready.Addr = plans.Expand(ready.URL, names), plans.Expand(ready.Addr, names)
	return ready
}

// names is what may stand between {{ and }}.
func (s *State) names(workload string, spec plans.Workload, host string) map[string]string {
	return map[string]string{
		"host.name": host, "host.address": s.Inventory.Hosts[host].Address,
		"workload.name": workload, "workload.unit": spec.Unit,
	}
}
