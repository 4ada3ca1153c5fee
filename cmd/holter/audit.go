package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// auditPage is how many events are asked for at a time. The monitors keep the last 10 000.
const auditPage = 1000

// acts is what holter audit is asked to show.
type acts struct {
	by    string
	since string
	after uint64
	limit int
}

func newAuditCommand(a *app) *cobra.Command {
	var asked acts
	cmd := &cobra.Command{
		Use: "audit", Short: "Show what people have done, oldest first",
		Long: `Show what people have done, oldest first: the events that a person is behind, and no monitor.

The monitors keep the last 10 000 events. Older ones, and what was refused, are in the audit files of each monitor:
holter audit export FILE…`,
		Example: "  holter audit --since 24h\n  holter audit --by ada -o jsonl\n  holter audit verify /var/lib/holter",
		Args:    noVerb,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.showActs(cmd, asked) },
	}
	cmd.Flags().StringVar(&asked.by, "by", "", "only what this user did")
	cmd.Flags().StringVar(&asked.since, "since", "", "only events since then: 24h ago, or a moment like 2026-11-23 or 2026-11-23T05:00:00Z")
	cmd.Flags().Uint64Var(&asked.after, "after", 0, "only events after this index")
	cmd.Flags().IntVar(&asked.limit, "limit", 100, "at most so many, the newest ones (with --after: the oldest ones)")
	cmd.AddCommand(newAuditVerifyCommand(a), newAuditExportCommand(a))
	return cmd
}

func (a *app) showActs(cmd *cobra.Command, asked acts) error {
	if asked.limit < 1 {
		return usage("--limit is %d; it must be at least 1", asked.limit)
	}
	since, err := a.moment(asked.since)
	if err != nil {
		return err
	}
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(cmd.Context())
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	list, err := allEvents(ctx, client, asked.after)
	if err != nil {
		return err
	}
	machines := monitorNames(status.Item, list.Items)
	list.Items = slices.DeleteFunc(list.Items, func(e console.EventItem) bool {
		return machines[e.By] || e.At.Before(since) || asked.by != "" && !isBy(e.By, asked.by)
	})
	excess := max(len(list.Items)-asked.limit, 0)
	if cmd.Flags().Changed("after") {
		list.Items = list.Items[:len(list.Items)-excess]
	} else {
		list.Items = list.Items[excess:]
	}
	if printed, err := printList(a, list, func(e console.EventItem) string { return fmt.Sprint(e.Index) }); printed {
		return err
	}
	t := table{head: []string{"EVENT", "TIME", "BY", "FROM", "WHAT", "SUBJECT", "REASON"}}
	for _, e := range list.Items {
		t.add(cell{text: fmt.Sprintf("#%d", e.Index)}, cell{text: e.At.UTC().Format(time.DateTime)}, cell{text: e.By}, cell{text: orDash(e.From)},
			cell{text: e.Name}, cell{text: orDash(e.Subject)}, cell{text: orDash(e.Reason)})
	}
	t.write(a.out, a.style)
	return nil
}

// monitorNames are the names of those that are no people: the monitors of today, and those that events name.
func monitorNames(status console.Status, events []console.EventItem) map[string]bool {
	names := map[string]bool{"": true}
	for _, m := range status.Monitors {
		names[m.Name] = true
	}
	for _, e := range events {
		var detail struct {
			Monitors []string `json:"monitors"`
		}
		if e.Name != "cluster.formed" && e.Name != "monitors.changed" || json.Unmarshal(e.Detail, &detail) != nil {
			continue
		}
		for _, name := range detail.Monitors {
			names[name] = true
		}
	}
	return names
}

// isBy says that an actor is the user that was asked for: local:ada is ada, where nobody has to prove who they are.
func isBy(actor, user string) bool {
	return actor == user || strings.HasSuffix(actor, ":"+user)
}

// moment reads a moment, or how long ago it is. Empty is the beginning.
func (a *app) moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return a.now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--since is %q; it can be a duration like 24h, or a moment like 2026-11-23 or 2026-11-23T05:00:00Z", text)
}

// allEvents asks for all events after an index that the monitors still have.
func allEvents(ctx context.Context, client *console.Client, after uint64) (console.List[console.EventItem], error) {
	all := console.List[console.EventItem]{}
	for {
		page, err := client.Events(ctx, &after, auditPage)
		if err != nil {
			return all, err
		}
		all.Meta, all.Items = page.Meta, append(all.Items, page.Items...)
		if len(page.Items) < auditPage {
			return all, nil
		}
		after = page.Items[len(page.Items)-1].Index
	}
}
