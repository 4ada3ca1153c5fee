package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// launch is what the verbs that start a run share.
type launch struct {
	request console.RunRequest
	noWait  bool
}

func newStartCommand(a *app) *cobra.Command {
	l := &launch{request: console.RunRequest{Kind: console.StartWorkloads}}
	cmd := &cobra.Command{
		Use: "start WORKLOAD… | --all", Short: "Start workloads, providers first, each when its providers are ready",
		Example: "  holter start orders-api --with-providers\n  holter start --all --reason \"after the power cut\"",
		RunE:    func(cmd *cobra.Command, args []string) error { return l.workloads(cmd.Context(), a, args) },
	}
	cmd.Flags().BoolVar(&l.request.With, "with-providers", false, "start what they need as well")
	l.flags(cmd, true)
	return cmd
}

func newStopCommand(a *app) *cobra.Command {
	l := &launch{request: console.RunRequest{Kind: console.StopWorkloads}}
	cmd := &cobra.Command{
		Use: "stop WORKLOAD… | --all", Short: "Stop workloads, dependents first",
		Example: "  holter stop orders-db --with-dependents\n  holter stop --all --reason \"the site moves\"",
		RunE:    func(cmd *cobra.Command, args []string) error { return l.workloads(cmd.Context(), a, args) },
	}
	cmd.Flags().BoolVar(&l.request.With, "with-dependents", false, "stop what needs them as well")
	l.flags(cmd, true)
	return cmd
}

func (l *launch) flags(cmd *cobra.Command, all bool) {
	if all {
		cmd.Flags().BoolVar(&l.request.All, "all", false, "every workload of the inventory")
	}
	cmd.Flags().BoolVar(&l.noWait, "no-wait", false, "do not follow the run")
}

func (l *launch) workloads(ctx context.Context, a *app, args []string) error {
	switch {
	case l.request.All && len(args) > 0:
		return usage("name workloads or say --all, not both; nothing was changed")
	case !l.request.All && len(args) == 0:
		return usage("which workloads? name them, or say --all; nothing was changed")
	}
	l.request.Workloads = args
	return l.run(ctx, a)
}

// run starts the run and follows it, unless there was nothing to do.
func (l *launch) run(ctx context.Context, a *app) error {
	client := a.client()
	defer client.Close()
	l.request.Reason = a.flags.reason
	asking, cancel := a.asking(ctx)
	started, err := client.StartRun(asking, l.request)
	cancel()
	if err != nil {
		return err
	}
	run := started.Item.Run
	if run == nil || l.noWait {
		return a.showStarted(started)
	}
	a.say("%s; leaving does not stop it", started.Item.Message)
	return a.watch(ctx, client, *run, started.Index-1)
}

func (a *app) showStarted(started console.Doc[console.Started]) error {
	switch run := started.Item.Run; {
	case a.asJSON():
		return a.printDoc(started)
	case run == nil:
		a.say("nothing to do: %s", started.Item.Message)
	case a.flags.output == outName:
		a.printf("%s\n", run.ID)
	default:
		a.printf("%s\n", started.Item.Message)
		a.say("follow it: holter run watch %s", run.ID)
	}
	return nil
}
