package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newFenceCommand(a *app) *cobra.Command {
	return newNoun("fence", "Say for certain that lost hosts run nothing", newFenceConfirmCommand(a))
}

func newFenceConfirmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "confirm HOST --reason TEXT", Short: "Give your word that a lost host runs nothing any more",
		Long: `Give your word that a lost host runs nothing any more: it is off, or its workloads are.

Holter believes you and starts its workloads elsewhere. When the host runs after all, they run twice.
At a terminal the host's name must be typed; without one --yes is needed.`,
		Example: "  holter fence confirm ams-db-01 --reason \"unplugged it myself\"",
		Args:    exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.reason == "" {
				return usage("to confirm that a host runs nothing needs --reason; nothing was changed")
			}
			epoch, err := a.confirmHost(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Confirm(ctx, args[0], console.ConfirmRequest{Reason: a.flags.reason, Epoch: epoch})
			})
		},
	}
}

// confirmHost shows what hangs on the host and has its name typed. It returns the host epoch that was shown; what is
// confirmed is only that one.
func (a *app) confirmHost(ctx context.Context, name string) (uint64, error) {
	if !a.flags.yes && !a.inTTY {
		return 0, usage("this asks for the host's name and there is no terminal; nothing was changed; answer it with --yes")
	}
	client := a.client()
	defer client.Close()
	asking, cancel := a.asking(ctx)
	defer cancel()
	host, err := client.Host(asking, name)
	if err != nil || a.flags.yes || host.Item.Word != console.HostLost {
		return host.Item.Epoch, err
	}
	a.say("%s is lost since %s; last beat here %s. Held back until now: %s", name, clockTime(host.Item.Since), ago(host.Item.AgeMs), placed(host.Item.Workloads))
	a.say("Once confirmed these may start elsewhere. If %s runs after all, they run twice.", name)
	typed, err := a.ask(fmt.Sprintf("Type %s to confirm that it runs nothing: ", name), "--yes")
	if err != nil {
		return 0, err
	}
	if typed != name {
		return 0, withExit(console.ExitForbidden, fmt.Errorf("%q is not %s; nothing was changed", typed, name))
	}
	return host.Item.Epoch, nil
}
