package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

func newRunCommand(a *app) *cobra.Command {
	return newNoun("run", "Start, watch, retry, skip or abort runs",
		newRunStartCommand(a), newRunWatchCommand(a),
		newRunStepCommand(a, console.VerbRetry, "Let a step that did not succeed begin again", false),
		newRunStepCommand(a, console.VerbSkip, "Let a run go on without a step", true),
		newRunAbortCommand(a),
	)
}

func newRunStartCommand(a *app) *cobra.Command {
	l := &launch{request: console.RunRequest{Kind: console.StartPlan}}
	cmd := &cobra.Command{
		Use: "start PLAN", Short: "Start a run of a plan by hand, armed or not",
		Example: "  holter run start restart-elsewhere --host ams-db-01 --reason \"it will not come back\"",
		Args:    exactly("PLAN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.request.Plan = args[0]
			return l.run(cmd.Context(), a)
		},
	}
	cmd.Flags().StringSliceVar(&l.request.Hosts, "host", nil, "hosts that stand in for those of the trigger")
	l.flags(cmd, false)
	return cmd
}

func newRunWatchCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch RUN", Short: "Follow a run to its end; the exit code is its outcome",
		Long:    "Follow a run to its end. The exit code is its outcome: 0, 10 failed, 11 aborted, 12 ended with skipped steps.",
		Example: "  holter run watch R-0142",
		Args:    exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			run, err := client.Run(ctx, args[0])
			if err != nil {
				return err
			}
			if a.flags.output == outTable {
				a.showRun(run.Item)
			}
			if !run.Item.Open() {
				if a.asJSON() {
					if err := a.printDoc(run); err != nil {
						return err
					}
				}
				return ended(run.Item.Exit)
			}
			return a.watch(cmd.Context(), client, run.Item, run.Index)
		},
	}
}

func newRunStepCommand(a *app, verb, short string, reason bool) *cobra.Command {
	example := fmt.Sprintf("  holter run %s R-0142 up/orders-db", verb)
	if reason {
		example += " --reason \"started by hand\""
	}
	return &cobra.Command{
		Use: verb + " RUN STEP", Short: short, Example: example, Args: between(1, "RUN", "STEP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, step, err := console.ParseRun(strings.Join(args, "/"))
			switch {
			case err != nil:
				return usage("%w", err)
			case step == "":
				return usage("which step of %s? holter runs %s names them; nothing was changed", args[0], args[0])
			case reason && a.flags.reason == "":
				return usage("to %s a step needs --reason; nothing was changed", verb)
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Step(ctx, planner.RunID(id), verb, console.StepRequest{Step: step, Reason: a.flags.reason})
			})
		},
	}
}

func newRunAbortCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "abort RUN", Short: "Let nothing more of a run begin; what has begun is waited for",
		Example: "  holter run abort R-0142 --reason \"the site is back\"",
		Args:    exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, step, err := console.ParseRun(args[0])
			switch {
			case err != nil:
				return usage("%w", err)
			case step != "":
				return usage("a run is aborted as a whole, a step is skipped; nothing was changed")
			case a.flags.reason == "":
				return usage("to abort a run needs --reason; nothing was changed")
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Step(ctx, planner.RunID(id), console.VerbAbort, console.StepRequest{Reason: a.flags.reason})
			})
		},
	}
}
