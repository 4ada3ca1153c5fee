package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// changePoll is how often a change of members is looked at while it goes on.
const changePoll = 300 * time.Millisecond

func newMonitorListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show who is in the cluster, and who waits to be", Args: exactly(), Example: "  holter monitor list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			answer, err := client.Members(ctx)
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(answer)
			}
			a.showMembers(answer.Item)
			return nil
		},
	}
}

func (a *app) showMembers(members console.Members) {
	t := table{head: []string{"MONITOR", "ROLE", "ANSWERS", "LOG", "LEASES", "ADDRESS", "SERVER ID"}}
	for _, m := range members.Items {
		role := cell{text: m.Role}
		if m.Role == console.RoleWaiting || m.Role == console.RoleNonvoter {
			role.role = roleWarn
		}
		answers := cell{"no", roleError}
		if m.Answers {
			answers = cell{text: "yes"}
		}
		log, leases := "-", "no"
		if m.Applied > 0 {
			log = fmt.Sprintf("#%d", m.Applied)
		}
		if m.Leases {
			leases = "votes"
		}
		t.add(cell{text: m.Name}, role, answers, cell{text: log}, cell{text: leases}, cell{text: m.Address}, cell{text: m.ID})
	}
	t.write(a.out, a.style)
	if c := members.Change; c != nil {
		switch {
		case c.Ended.IsZero():
			a.printf("\n%s of %s is under way: %s\n", c.Verb, c.Name, c.Doing)
		case c.Error != "":
			a.printf("\n%s of %s did not succeed at %s: %s\n", c.Verb, c.Name, clockTime(c.Ended), c.Error)
		}
	}
}

func newMonitorTransferCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "transfer [NAME]", Short: "Hand leadership to another monitor", Args: between(0, "NAME"),
		Long: `Hand leadership to another monitor: to the one named, or to the one whose log is furthest. Runs go on under it.

Use it before the leader's machine is taken down. Stopping the leader's process hands over by itself.`,
		Example: "  holter monitor transfer m2",
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) > 0 {
				to = args[0]
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Transfer(ctx, to, console.MemberRequest{Reason: a.flags.reason})
			})
		},
	}
}

// changeHelp is the help of each change of members.
var changeHelp = map[string]struct{ short, long string }{
	console.VerbAdd: {
		"Take a new monitor into the cluster",
		`Take a new monitor into the cluster.

First list it under monitors in the config file of every monitor, and restart those one after the other. Then start the new one
with an empty data directory: holter monitor --config FILE --join. It gets the log, then its vote, then its vote on leases.`,
	},
	console.VerbReplace: {
		"Put a new, empty monitor in the place of a dead one",
		`Put a new, empty monitor in the place of a dead one whose data directory is lost, under the same name and address.

The dead one must stay stopped. Start its successor with an empty data directory: holter monitor --config FILE --join. It gets the
log; then the dead one is removed; then the successor gets its vote, and its vote on leases. Each step leaves a majority that
answers. What was interrupted goes on when the same is asked again.`,
	},
	console.VerbRemove: {
		"Take a monitor out of the cluster",
		`Take a monitor out of the cluster. One that answers is taken out with --force only, the leading one never.

Afterwards take it out of the config file of every monitor: hosts are lost by a majority of the configured ones.`,
	},
}

func newMonitorChangeCommand(a *app, verb string) *cobra.Command {
	var force bool
	help := changeHelp[verb]
	cmd := &cobra.Command{
		Use: verb + " NAME --reason TEXT", Short: help.short, Long: help.long, Args: exactly("NAME"),
		Example: "  holter monitor " + verb + " m3 --reason \"its disk is dead\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.reason == "" {
				return usage("to %s a monitor needs --reason; nothing was changed", verb)
			}
			return a.changeMember(cmd, verb, args[0], console.MemberRequest{Force: force, Reason: a.flags.reason})
		},
	}
	if verb == console.VerbRemove {
		cmd.Flags().BoolVar(&force, "force", false, "although it answers")
	}
	return cmd
}

// changeMember begins a change of members and tells how it goes until it has ended.
func (a *app) changeMember(cmd *cobra.Command, verb, name string, req console.MemberRequest) error {
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(cmd.Context())
	defer cancel()
	if _, err := client.ChangeMember(ctx, verb, name, req); err != nil {
		return err
	}
	said := 0
	for {
		answer, err := a.membersOf(cmd.Context(), client)
		change := answer.Item.Change
		if err == nil && change != nil && change.Verb == verb && change.Name == name {
			for ; said < len(change.Steps); said++ {
				a.say("%s", change.Steps[said])
			}
		}
		switch {
		case err != nil:
			return err
		case change == nil || change.Verb != verb || change.Name != name:
			return withExit(console.ExitUnknown, fmt.Errorf(
				"another monitor leads now and knows nothing of the %s of %s: ask for the same again, it goes on from where it stopped", verb, name))
		case change.Error != "":
			return withExit(console.ExitFailed, errors.New(change.Error))
		}
		if !change.Ended.IsZero() {
			if a.asJSON() {
				return a.printDoc(answer)
			}
			a.showMembers(answer.Item)
			return nil
		}
		select {
		case <-time.After(changePoll):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
}

func (a *app) membersOf(ctx context.Context, client *console.Client) (console.Doc[console.Members], error) {
	ctx, cancel := a.asking(ctx)
	defer cancel()
	return client.Members(ctx)
}
