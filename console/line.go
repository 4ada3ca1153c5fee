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
		if event.UnsafeDemo {
			line.Text += ", unsafe demo: lost hosts are assumed to run nothing"
		}
	case planner.FilesApplied:
		line.Subject, line.Text = "files", fmt.Sprintf("revision #%d, nothing was started", l.Index)
	case planner.PlanArmed:
		line.Subject, line.Text = event.Plan, "starts by itself from now on"
	case planner.PlanDisarmed:
		line.Subject, line.Text = event.Plan, "does not start by itself any more"
	case planner.HostJoined:
		line.Subject, line.Text = event.Host, joined(event)
	case planner.HostLost:
		line.Subject, line.Text = event.Host, lost(event)
	case planner.HostReinstated:
		line.Subject, line.Text = event.Host, fmt.Sprintf("is heard again, nothing was moved: #%d is taken back", event.Revocation)
	case planner.HostExpired:
		line.Subject, line.Text = event.Host, "runs nothing any more, evidence: "+string(event.Evidence)
	case planner.WorkloadAdopted:
		line.Subject, line.Text = event.Workload, "was found running on "+event.Host+" and is adopted there"
	}
	if isPerson(e.By) {
		line.Text += ", by " + e.By
	}
	if e.Reason != "" && !strings.Contains(line.Text, e.Reason) {
		line.Text += fmt.Sprintf(": %q", e.Reason)
	}
	return line
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
	return text
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

// isPerson tells a user from a monitor.
func isPerson(by string) bool { return strings.HasPrefix(by, localUser) }

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
