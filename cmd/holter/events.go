package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newEventsCommand(a *app) *cobra.Command {
	var after uint64
	var limit int
	var follow bool
	cmd := &cobra.Command{
		Use: "events", Short: "Show what the monitors have agreed on, oldest first",
		Long: `Show what the monitors have agreed on, oldest first.

The number of an event is its index in the log, the same on every monitor. The arrow names the event that it follows from.`,
		Example: "  holter events\n  holter events --follow\n  holter events --follow --after 88441 -o jsonl",
		Args:    exactly(),
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "only events after this index")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, the newest ones (with --after: the oldest ones)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as events come, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return usage("--limit is %d; it must be at least 1", limit)
		}
		client := a.client()
		defer client.Close()
		from := &after
		if !cmd.Flags().Changed("after") {
			from = nil
		}
		if follow {
			return a.followEvents(cmd.Context(), client, from, limit)
		}
		ctx, cancel := a.asking(cmd.Context())
		defer cancel()
		list, err := client.Events(ctx, from, limit)
		if err != nil {
			return err
		}
		if printed, err := printList(a, list, func(e console.EventItem) string { return fmt.Sprint(e.Index) }); printed {
			return err
		}
		for _, e := range list.Items {
			a.printf("%s\n", a.eventLine(e.EventLine))
		}
		return nil
	}
	return cmd
}

// followEvents shows events as they come: from an index, or the newest ones first.
func (a *app) followEvents(ctx context.Context, client *console.Client, after *uint64, limit int) error {
	last := uint64(0)
	show := func(e console.EventItem) error {
		last = e.Index
		if a.asJSON() {
			return a.printDoc(e)
		}
		a.printf("%s\n", a.eventLine(e.EventLine))
		return nil
	}
	if after != nil {
		last = *after
	} else {
		asking, cancel := a.asking(ctx)
		list, err := client.Events(asking, nil, limit)
		cancel()
		if err != nil {
			return err
		}
		for _, e := range list.Items {
			if err := show(e); err != nil {
				return err
			}
		}
		last = max(last, list.Index)
	}
	err := client.Follow(ctx, last, console.Follower{Event: show, Gap: func(g console.Gap) {
		a.say("events between #%d and #%d are no longer kept", g.After, g.Oldest)
	}})
	if errors.Is(err, context.Canceled) {
		a.say("go on later: holter events --follow --after %d", last)
		return ended(console.ExitInterrupt)
	}
	return err
}

// The widths of the columns of events, which come one by one.
const (
	nameWidth    = 16
	subjectWidth = 18
)

// eventLine is one event on one line.
func (a *app) eventLine(e console.EventLine) string {
	line := fmt.Sprintf(" #%-5d %s %s %-*s %s", e.Index, e.At.UTC().Format("15:04:05.000"), a.eventName(e.Name), subjectWidth, e.Subject, e.Text)
	if e.Cause != 0 {
		line += a.style.paint(roleDim, fmt.Sprintf("  ← #%d", e.Cause))
	}
	return line
}

func (a *app) eventName(name string) string {
	padded := fmt.Sprintf("%-*s", nameWidth, name)
	switch name {
	case "host.lost":
		return a.style.paint(roleError, padded)
	case "host.expired", "run.aborted", "step.skipped", "step.reset":
		return a.style.paint(roleWarn, padded)
	}
	return padded
}
