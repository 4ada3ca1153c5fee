package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newFenceCommand(a *app) *cobra.Command {
	l := &launch{request: console.RunRequest{Kind: console.FenceHost}}
	cmd := &cobra.Command{
		Use: "fence HOST --reason TEXT", Short: "Take a host's power away through its fence devices, and see it off",
		Long: `Take a host's power away through its fence devices, and see it off.

First its authority is revoked, whether it beats or not. Then the leading monitor tries its devices in order, another monitor when
that fails, until one device's status says off. Armed plans then start its workloads elsewhere. It stays off until you turn it on.
At a terminal the host's name must be typed; without one --yes is needed.`,
		Example: "  holter fence ams-db-01 --reason \"it hangs\"", Args: exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.reason == "" {
				return usage("to fence a host needs --reason; nothing was changed")
			}
			if err := a.typed(args[0], "take its power away", fmt.Sprintf("This takes the power of %s away, whatever runs there.", args[0])); err != nil {
				return err
			}
			l.request.Hosts = args
			return l.run(cmd.Context(), a)
		},
	}
	l.flags(cmd, false)
	cmd.AddCommand(newFenceConfirmCommand(a))
	return cmd
}

// typed has a host's name typed before something that cannot be taken back.
func (a *app) typed(name, act, consequence string) error {
	if a.flags.yes {
		return nil
	}
	if !a.inTTY {
		return usage("this asks for the host's name and there is no terminal; nothing was changed; answer it with --yes")
	}
	a.say("%s", consequence)
	answer, err := a.ask(fmt.Sprintf("Type %s to %s: ", name, act), "--yes")
	if err != nil {
		return err
	}
	if answer != name {
		return withExit(console.ExitForbidden, fmt.Errorf("%q is not %s; nothing was changed", answer, name))
	}
	return nil
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
	if err != nil {
		return 0, err
	}
	h := host.Item
	switch h.Word {
	case console.HostLost, console.HostFencing, console.HostExpired, console.HostReturning:
	case console.HostAlive, console.HostSuspect, console.HostSilent, console.HostFenced, console.HostConfirmed, console.HostUnseen,
		console.HostUnknown: // there is nothing to confirm, and the monitors will say so
		return h.Epoch, nil
	}
	return h.Epoch, a.typed(name, "confirm that it runs nothing", fmt.Sprintf(
		"%s is lost since %s; last beat here %s. Held back until now: %s\nOnce confirmed these may start elsewhere. If %s runs after all, they run twice.",
		name, clockTime(h.Since), ago(h.AgeMs), placed(h.Workloads), name))
}
