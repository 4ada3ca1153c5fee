package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/wire"
)

// story prints what happens in a world, one line each, times counted from the last command of the transcript.
type story struct {
	w     *world
	since time.Duration
	out   strings.Builder
	sent  map[string]bool
}

func tellStory(w *world) *story {
	s := &story{w: w, since: w.now, sent: map[string]bool{}}
	w.heard = s.commit
	w.sent = s.command
	return s
}

// take returns what was printed since the last time.
func (s *story) take() string {
	text := s.out.String()
	s.out.Reset()
	s.since = s.w.now
	return text
}

func (s *story) line(format string, args ...any) {
	fmt.Fprintf(&s.out, "%6.2f  %s\n", (s.w.now - s.since).Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) commit(c commit) {
	text := describe(c.entry.Event)
	if c.entry.Reason != "" {
		text += " (" + c.entry.Reason + ")"
	}
	if c.refused != nil {
		s.line("#%d REFUSED %s: %v", c.index, text, c.refused)
		return
	}
	s.line("#%d %s", c.index, text)
	if _, started := c.entry.Event.(RunStarted); started {
		for _, st := range c.after.Run(c.after.LastRun).Steps {
			s.line("     %s%s", st.ID, afterWords(st.After))
		}
	}
}

func afterWords(after []string) string {
	if len(after) == 0 {
		return ""
	}
	return " after " + strings.Join(after, " ")
}

func (s *story) command(c wire.Command) {
	key := fmt.Sprint(c.ID, c.Inc)
	if s.sent[key] {
		return
	}
	s.sent[key] = true
	s.line("     -> %s %s %s [%s] token #%d", c.Host, c.Action.Verb, c.Action.Target.Workload, c.ID, c.Token)
}

func describe(event Event) string {
	name := event.Name()
	switch e := event.(type) {
	case ClusterFormed:
		return name
	case FilesApplied:
		return name
	case PlanArmed:
		return name + " " + e.Plan
	case PlanDisarmed:
		return name + " " + e.Plan
	case JoinOffered:
		return name + " " + e.Host
	case LeaseConfirmed:
		return fmt.Sprintf("%s %s since #%d", name, e.Host, max(e.Epoch, e.Voters))
	case HostRevoked:
		return name + " " + e.Host
	case FenceStarted:
		return fmt.Sprintf("%s %s/%d by %s", name, e.Host, e.Attempt, e.Monitor)
	case FenceFinished:
		return fmt.Sprintf("%s %s/%d %s", name, e.Host, e.Attempt, e.Outcome)
	case SilenceWanted:
		return name + " " + e.Host
	case HostReleased:
		return name + " " + e.Host
	case WorkloadSeenTwice:
		return fmt.Sprintf("%s %s on %s", name, e.Workload, strings.Join(e.Hosts, " "))
	case WorkloadSeenOnce:
		return name + " " + e.Workload
	case HostJoined:
		return fmt.Sprintf("%s %s%s", name, e.Host, keptWords(e.Keep))
	case HostLost:
		return fmt.Sprintf("%s %s", name, e.Host)
	case HostReinstated:
		return fmt.Sprintf("%s %s of #%d", name, e.Host, e.Revocation)
	case HostExpired:
		return fmt.Sprintf("%s %s of #%d %s", name, e.Host, e.Revocation, e.Evidence)
	case WorkloadAdopted:
		return fmt.Sprintf("%s %s on %s", name, e.Workload, e.Host)
	case RunStarted:
		return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", name, e.Kind, e.Plan, strings.Join(e.Hosts, " ")))
	case StepStarted:
		return strings.TrimSpace(fmt.Sprintf("%s %s/%s/%d %s", name, RunID(e.Run), e.Step, e.Attempt, e.Host)) + standsOn(e.Why)
	case StepFinished:
		return fmt.Sprintf("%s %s/%s/%d %s", name, RunID(e.Run), e.Step, e.Attempt, outcomeWords(e))
	case StepReset:
		return fmt.Sprintf("%s %s/%s/%d", name, RunID(e.Run), e.Step, e.Attempt)
	case StepRetried:
		return fmt.Sprintf("%s %s/%s", name, RunID(e.Run), e.Step)
	case StepSkipped:
		return fmt.Sprintf("%s %s/%s", name, RunID(e.Run), e.Step)
	case RunAborted:
		return fmt.Sprintf("%s %s", name, RunID(e.Run))
	case RunEnded:
		return fmt.Sprintf("%s %s %s", name, RunID(e.Run), e.Outcome)
	}
	return name
}

// standsOn names the evidence among the inputs of a start, without its reason.
func standsOn(why []Input) string {
	for _, in := range why {
		if in.Name == InputEvidence {
			evidence, _, _ := strings.Cut(in.Value, ":")
			return " on " + evidence
		}
	}
	return ""
}

func keptWords(keep []wire.Kept) string {
	var words strings.Builder
	for _, k := range keep {
		fmt.Fprintf(&words, " keeps %s #%d", k.Workload, k.Token)
	}
	return words.String()
}

func outcomeWords(e StepFinished) string {
	words := string(e.Outcome)
	if e.Already {
		words += " already"
	}
	if e.Stopped {
		words += " stopped"
	}
	return words
}

// stand prints where everything is: hosts, workloads, open runs and what they wait for.
func (s *story) stand() string {
	var out strings.Builder
	for name, h := range s.w.state.Hosts.All() {
		fmt.Fprintf(&out, "%s %s #%d", name, h.Phase, h.Epoch)
		if h.Evidence != nil {
			fmt.Fprintf(&out, " %s by %s", h.Evidence.Kind, h.Evidence.By)
		}
		if h.Quarantined(s.w.time().Log) {
			fmt.Fprint(&out, " quarantined")
		}
		switch pic := s.w.views[s.w.lead].Picture(s.w.state, s.w.time()).Hosts[name]; {
		case pic.Twin != "":
			fmt.Fprint(&out, " and a second one")
		case pic.Anew != "":
			fmt.Fprint(&out, " and one that was started anew")
		}
		fmt.Fprintln(&out)
	}
	for name, wl := range s.w.state.Workloads.All() {
		fmt.Fprintf(&out, "%s wanted=%s owner=%s ready=%t", name, wl.Wanted, or(wl.Owner, "-"), wl.Ready)
		if wl.Stopping {
			fmt.Fprint(&out, " stopping")
		}
		if len(wl.Twice) > 0 {
			fmt.Fprintf(&out, " twice on %s", strings.Join(wl.Twice, " "))
		}
		if wl.Freed != nil && wl.Owner == "" {
			fmt.Fprintf(&out, " freed: %s", wl.Freed.Kind)
		}
		if wl.Run != 0 {
			fmt.Fprintf(&out, " claimed by %s", RunID(wl.Run))
		}
		if at := s.w.where(name); !slices.Equal(at, []string{wl.Owner}) {
			fmt.Fprintf(&out, " (really on %s)", or(strings.Join(at, " "), "-"))
		}
		fmt.Fprintln(&out)
	}
	for _, run := range s.w.openRuns() {
		state, waits, until := s.w.state.Standing(run)
		fmt.Fprintf(&out, "%s %s", RunID(run.ID), state)
		if !until.IsZero() {
			fmt.Fprintf(&out, " for %s more", until.Sub(s.w.time().Log))
		}
		fmt.Fprintln(&out)
		for _, wait := range waits {
			fmt.Fprintf(&out, "  %s\n", wait)
		}
	}
	return out.String()
}
