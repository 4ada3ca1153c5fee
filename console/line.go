package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// EventLine is an event as people read it.
type EventLine struct {
	Index   uint64 `json:"index"`
	At      Time   `json:"at"`
	Name    string `json:"name"`    // host.lost
	Subject string `json:"subject"` // a host, a workload, a plan, a run, or run/step
	Text    string `json:"text"`    // one line
	Cause   uint64 `json:"cause,omitempty"`
	By      string `json:"by"`
	From    string `json:"from,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Run     string `json:"runId,omitempty"`   // the run that it is part of
	Host    string `json:"host,omitempty"`    // step.started: where
	Outcome string `json:"outcome,omitempty"` // step.finished, run.ended
}

// Line renders an event.
func Line(l planner.Logged) EventLine {
	e := l.Entry
	line := EventLine{
		Index: l.Index, At: Time{e.At}, Cause: e.Cause, By: e.By, From: e.From, Reason: e.Reason,
		Name: strings.Replace(e.Event.Name(), "_", ".", 1),
	}
	switch event := e.Event.(type) {
	case planner.RunStarted, planner.RunAborted, planner.RunEnded, planner.StepStarted, planner.StepFinished,
		planner.StepReset, planner.StepRetried, planner.StepSkipped:
		line.ofRun(l)
	case planner.ClusterFormed:
		line.Subject, line.Text = "cluster", short(event.Cluster)
	case planner.MonitorsChanged:
		line.Subject, line.Text = "cluster", "leases are renewed by "+strings.Join(planner.MonitorNames(event.Monitors), " ")+" from now on"
	case planner.ClusterRecovered:
		line.Subject, line.Text = "cluster", recovered(event)
	case planner.FilesApplied:
		line.Subject, line.Text = "files", fmt.Sprintf("revision #%d, nothing was started", l.Index)
	case planner.PlanArmed:
		line.Subject, line.Text = event.Plan, "starts by itself from now on"
	case planner.PlanDisarmed:
		line.Subject, line.Text = event.Plan, "does not start by itself any more"
	case planner.WorkloadAdopted:
		line.Subject, line.Text = event.Workload, "was found running on "+event.Host+" and is adopted there"
	case planner.WorkloadSeenTwice:
		line.Subject, line.Text = event.Workload, "runs on "+strings.Join(event.Hosts, " and ")+" at once: nothing of it is granted"
	case planner.WorkloadSeenOnce:
		line.Subject, line.Text = event.Workload, "does not run twice any more"
	case planner.FencesTested:
		line.Subject, line.Text = "fence", tested(event)
	case planner.SilenceWanted:
		line.Subject, line.Text = event.Host+event.Workload, "may be silent until "+moment(event.Until, e.At)
	case planner.UserSet, planner.UserRemoved, planner.GroupSet, planner.GroupRemoved, planner.TokenMade, planner.TokenRevoked,
		planner.HostInvited, planner.HostEnrolled, planner.HostBarred:
		line.ofAccess(l)
	case planner.SilenceEnded:
		line.Subject, line.Text = event.Host+event.Workload, "may not be silent any more"
	default:
		line.ofHost(e.Event)
	}
	if isPerson(e.By) {
		line.Text += ", by " + e.By
	}
	if e.Reason != "" && !strings.Contains(line.Text, e.Reason) {
		line.Text += fmt.Sprintf(": %q", e.Reason)
	}
	return line
}

// ofHost renders what happens to a host.
func (line *EventLine) ofHost(e planner.Event) {
	switch event := e.(type) {
	case planner.JoinOffered:
		line.Subject, line.Text = event.Host, fmt.Sprintf("its agent %016x may join", event.Inc)
	case planner.HostJoined:
		line.Subject, line.Text = event.Host, joined(event)
	case planner.HostLost:
		line.Subject, line.Text = event.Host, lost(event)
	case planner.LeaseConfirmed:
		line.Subject, line.Text = event.Host, "holds its lease by the monitors in force"
	case planner.HostRevoked:
		line.Subject, line.Text = event.Host, fmt.Sprintf("has no authority any more under #%d", event.Epoch)
	case planner.HostReinstated:
		line.Subject, line.Text = event.Host, fmt.Sprintf("is heard again, nothing was moved: #%d is taken back", event.Revocation)
	case planner.HostExpired:
		line.Subject, line.Text = event.Host, "runs nothing any more, evidence: "+string(event.Evidence)
	case planner.HostReleased:
		line.Subject, line.Text = event.Host, "takes workloads again"
	case planner.FenceStarted:
		line.Subject, line.Text = event.Host, fmt.Sprintf("is being fenced by %s, attempt %d, within %s", event.Monitor, event.Attempt, Duration(event.Within))
	case planner.FenceFinished:
		line.Subject, line.Text, line.Outcome = event.Host, fencedLine(event), string(event.Outcome)
	}
}

func fencedLine(e planner.FenceFinished) string {
	switch e.Outcome {
	case wire.Done:
		return fmt.Sprintf("was seen off by %s through %s in %s, attempt %d", e.Monitor, e.Device, Duration(e.Took), e.Attempt)
	case wire.Unknown:
		return fmt.Sprintf("nobody knows whether %s fenced it, attempt %d", e.Monitor, e.Attempt)
	case wire.Failed:
	}
	return fmt.Sprintf("was not fenced by %s, attempt %d: %s", e.Monitor, e.Attempt, e.Outcome)
}

func tested(e planner.FencesTested) string {
	var failed []string
	for _, test := range e.Tests {
		if !test.OK {
			failed = append(failed, fmt.Sprintf("%s of %s (%s)", test.Device, test.Host, test.Reason))
		}
	}
	count := fmt.Sprintf("%d devices tested", len(e.Tests))
	if len(e.Tests) == 1 {
		count = "1 device tested"
	}
	if len(failed) > 0 {
		return count + ", these do not answer: " + strings.Join(failed, ", ")
	}
	return count + ", all answer"
}

// ofRun renders the events of runs and their steps.
func (line *EventLine) ofRun(l planner.Logged) {
	step := func(run uint64, id, text string) {
		line.Run = planner.RunID(run)
		line.Subject, line.Text = line.Run+"/"+id, text
	}
	whole := func(run uint64, text string) {
		line.Run = planner.RunID(run)
		line.Subject, line.Text = line.Run, text
	}
	switch event := l.Entry.Event.(type) {
	case planner.RunStarted:
		whole(l.Run, started(event))
	case planner.RunAborted:
		whole(event.Run, "is aborted: nothing more of it begins")
	case planner.RunEnded:
		whole(event.Run, string(event.Outcome))
		line.Outcome = string(event.Outcome)
	case planner.StepStarted:
		step(event.Run, event.Step, attempted(event))
		line.Host = event.Host
	case planner.StepFinished:
		step(event.Run, event.Step, finished(event, l.Entry.Reason))
		line.Outcome = string(event.Outcome)
	case planner.StepReset:
		step(event.Run, event.Step, "its host is lost: it is placed anew")
	case planner.StepRetried:
		step(event.Run, event.Step, "may begin again")
	case planner.StepSkipped:
		step(event.Run, event.Step, "is skipped: the run goes on without it")
	}
}

func joined(e planner.HostJoined) string {
	if len(e.Keep) == 0 {
		return "runs nothing of Holter's"
	}
	names := make([]string, len(e.Keep))
	for i, kept := range e.Keep {
		names[i] = kept.Workload
	}
	return "keeps " + strings.Join(names, " ")
}

func lost(e planner.HostLost) string {
	names := make([]string, len(e.Witnesses))
	for i, w := range e.Witnesses {
		names[i] = w.Monitor
	}
	return fmt.Sprintf("not heard for %s by %s", Duration(e.Age), strings.Join(names, " "))
}

func started(e planner.RunStarted) string {
	var text string
	switch e.Kind {
	case planner.RunPlan:
		text = fmt.Sprintf("%s@%d", e.Plan, e.PlanRev)
	case planner.RunStart, planner.RunStop:
		text = string(e.Kind)
	case planner.RunFence:
		text = "fence"
	case planner.RunHomeless:
		text = "workloads that should run, where they were last"
	}
	if len(e.Hosts) > 0 {
		text += " for " + strings.Join(e.Hosts, " ")
	}
	if len(e.Steps) == 1 {
		return text + ", 1 step"
	}
	return fmt.Sprintf("%s, %d steps", text, len(e.Steps))
}

func attempted(e planner.StepStarted) string {
	text := "waits"
	if e.Host != "" {
		text = "on " + e.Host
	}
	if e.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", e.Attempt)
	}
	if e.Within > 0 {
		text += ", within " + Duration(e.Within)
	}
	if by := evidenceIn(e.Why); by != "" {
		text += "; evidence: " + by
	}
	return text
}

// evidenceIn is the evidence among the inputs of a start.
func evidenceIn(why []planner.Input) string {
	for _, in := range why {
		if in.Name == planner.InputEvidence {
			return in.Value
		}
	}
	return ""
}

func finished(e planner.StepFinished, reason string) string {
	text := string(e.Outcome)
	if e.Already {
		text = "nothing to do"
	}
	if e.Took > 0 {
		text += " in " + Duration(e.Took)
	}
	if e.Outcome != wire.Done && reason != "" {
		text += ": " + reason
	}
	return text
}

func recovered(e planner.ClusterRecovered) string {
	return fmt.Sprintf("was recovered from %s, which went up to #%d: every host has to prove what it runs", e.Source, e.From)
}

// isPerson tells a user from a monitor.
func isPerson(by string) bool {
	return strings.HasPrefix(by, localUser) || strings.HasPrefix(by, provenUser) || strings.HasPrefix(by, provenRoot)
}

// short cuts a long id for people.
func short(id string) string { return id[:min(len(id), 8)] }

// Duration is a duration as every screen writes it: 0.2s, 41s, 3m12s, 6d4h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "never"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Truncate(time.Second).Seconds())
	case d < time.Hour:
		d = d.Truncate(time.Second)
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
