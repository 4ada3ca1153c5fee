package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newRunsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "runs [RUN]", Short: "Show the runs, oldest first, or the steps of one of them",
		Example: "  holter runs\n  holter runs R-0142",
		Args:    between(0, "RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			if len(args) == 1 {
				run, err := client.Run(ctx, args[0])
				switch {
				case err != nil:
					return err
				case a.asJSON():
					return a.printDoc(run)
				}
				a.showRun(run.Item)
				return nil
			}
			list, err := client.Runs(ctx)
			if err != nil {
				return err
			}
			if printed, err := printList(a, list, func(r console.RunItem) string { return r.ID }); printed {
				return err
			}
			a.showRunTable(list.Items)
			if len(list.Items) == 0 {
				a.say("no runs yet")
			}
			return nil
		},
	}
}

// showRunTable shows one line for each run.
func (a *app) showRunTable(runs []console.RunItem) {
	t := table{head: []string{"RUN", "PLAN", "STATE", "STEPS", "STARTED", "TOOK", "BY"}}
	for _, r := range runs {
		t.add(cell{text: r.ID}, cell{text: planName(r)}, runCell(r.State), cell{text: fmt.Sprintf("%d/%d", r.Finished, len(r.Steps))},
			cell{text: clockTime(r.Started)}, cell{text: a.took(r)}, cell{text: startedBy(r)})
	}
	t.write(a.out, a.style)
}

// planName is what a run is a run of.
func planName(r console.RunItem) string {
	if r.Plan != "" {
		return fmt.Sprintf("%s@%d", r.Plan, r.PlanRev)
	}
	return r.Kind
}

func (a *app) took(r console.RunItem) string {
	if r.Open() {
		return console.Duration(max(0, a.now().Sub(r.Started.Time))) + "…"
	}
	return console.Duration(r.Ended.Sub(r.Started.Time))
}

// startedBy names the person, or the event, that started a run.
func startedBy(r console.RunItem) string {
	text := r.By
	if r.Cause != 0 {
		text = fmt.Sprintf("#%d", r.Cause)
	}
	if len(r.Hosts) > 0 {
		text += " " + strings.Join(r.Hosts, " ")
	}
	return text
}

// showRun shows a run with its steps.
func (a *app) showRun(r console.RunItem) {
	c := runCell(r.State)
	a.printf("%s  %s  %s  %d/%d  %s\n", a.style.paint(roleBold, r.ID), planName(r), a.style.paint(c.role, c.text), r.Finished, len(r.Steps), a.took(r))
	a.printf("started %s by %s%s\n", clockTime(r.Started), startedBy(r), quoted(r.Reason))
	for _, wait := range r.Waits {
		a.printf("waits for %s\n", wait)
	}
	if !r.Until.IsZero() {
		a.printf("until %s\n", clockTime(r.Until))
	}
	a.printf("\n")
	t := table{head: []string{"STEP", "STATE", "HOST", "TRY", "TOOK", ""}}
	for _, s := range r.Steps {
		t.add(cell{text: s.ID}, stepCell(s.State), cell{text: orDash(s.Host)}, cell{text: fmt.Sprint(s.Attempt)}, cell{text: tookStep(s)}, cell{text: stepNote(s)})
	}
	t.write(a.out, a.style)
	for _, s := range r.Steps {
		if s.Evidence != "" {
			a.printf("\n%s began on %s by this evidence for its former host: %s\n", s.ID, s.Host, s.Evidence)
		}
	}
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}

func tookStep(s console.StepItem) string {
	if s.Ended.IsZero() || s.Begun.IsZero() {
		return "-"
	}
	return age(s.TookMs)
}

// stepNote is what there is to say about a step: why it failed, or what it waits for.
func stepNote(s console.StepItem) string {
	switch {
	case s.Already:
		return "nothing to do"
	case s.Reason != "":
		return s.Reason
	case len(s.WaitsFor) > 0:
		return "after " + strings.Join(s.WaitsFor, " ")
	case !s.Deadline.IsZero():
		return "until " + clockTime(s.Deadline)
	}
	return ""
}
