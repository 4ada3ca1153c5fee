package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/demo"
)

// statusLimit is how long the demo's status screen may take: the demo stands still meanwhile.
const statusLimit = 2 * time.Second

// newDemoCommand runs a whole cluster and a shop on this machine, to be broken.
func newDemoCommand(a *app) *cobra.Command {
	var script string
	o := demo.Options{}
	cmd := &cobra.Command{
		Use: "demo", Short: "Run three monitors, six agents and a small shop here, and kill some", Args: exactly(),
		Long: `Run three monitors, six agents on two sites and a small shop of four workloads on this machine, each a process of its own on its
own loopback address, and a client that asks the shop 20 times a second. Kill hosts and monitors with single keys and see what
happens, when, and how long the shop was gone. Everything ends with the demo.

A script does the same without a terminal. Its steps, with semicolons between, are:
  kill HOST | host-of:WORKLOAD | leader    SIGKILL of a host's agent and workloads at once, or of a monitor
  heal                                     start everything again that was killed
  wait [30s]                               until it has been answered and no run is open (default limit 1m0s)
With --exit the exit code is the outcome: 0 all runs succeeded and the shop answers, 10 a run failed, 11 one was aborted, 12 steps
were skipped, 1 anything else.`,
		Example: "  holter demo\n  holter demo --script 'kill host-of:web; wait; kill leader; heal; wait' --exit\n  eval \"$(holter demo env)\"; holter status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("script"):
				var err error
				if o.Script, err = demo.ParseScript(script); err != nil {
					return usage("%w", err)
				}
			case o.Exit:
				return usage("--exit is for scripts: say which with --script")
			case !a.inTTY:
				return usage("there is no terminal for the keys: say what to do with --script 'kill host-of:web; wait' --exit")
			}
			return a.runDemo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&script, "script", "", "what to do, in place of keys, or before them")
	cmd.Flags().BoolVar(&o.Exit, "exit", false, "end with the script; the exit code is the outcome")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the folder with all logs and files behind, as after a failure")
	cmd.AddCommand(newDemoEnvCommand(a), newDemoWorkloadCommand())
	return cmd
}

func (a *app) runDemo(ctx context.Context, o demo.Options) error {
	o.Out, o.Colors, o.User, o.Holter = a.out, a.style.color, a.user, calledAs()
	if a.inTTY {
		o.TTY = os.Stdin
	}
	o.Status = func(ctx context.Context, servers []string) error {
		asking := *a
		asking.flags.servers, asking.flags.timeout, asking.flags.output = servers, statusLimit, outTable
		status := newStatusCommand(&asking)
		status.SetContext(ctx)
		err := status.RunE(status, nil)
		if own, ok := errors.AsType[*exitError](err); ok && own.err == nil {
			return nil // the screen has said it
		}
		return err
	}
	exit, err := demo.Run(ctx, o)
	if err != nil {
		return withExit(max(exit, console.ExitFailed), err)
	}
	return ended(exit)
}

// calledAs is how another terminal can call this very program: by its name if that is the one in the path.
func calledAs() string {
	own, err := os.Executable()
	if err != nil {
		return "holter"
	}
	found, err := exec.LookPath("holter")
	if err != nil {
		return own
	}
	x, err1 := os.Stat(own)
	y, err2 := os.Stat(found)
	if err1 != nil || err2 != nil || !os.SameFile(x, y) {
		return own
	}
	return "holter"
}

func newDemoEnvCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "Print where the running demo is, for the shell of a second terminal", Args: exactly(),
		Example: "  eval \"$(holter demo env)\"; holter status",
		RunE: func(*cobra.Command, []string) error {
			servers, err := demo.Servers()
			if err != nil {
				return err
			}
			a.printf("export HOLTER_SERVER=%s\n", servers)
			return nil
		},
	}
}

// newDemoWorkloadCommand is what the agents of the demo start.
func newDemoWorkloadCommand() *cobra.Command {
	var w demo.Workload
	cmd := &cobra.Command{
		Use: "workload NAME", Hidden: true, Args: exactly("NAME"), Short: "Be one workload of the demo's shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			w.Name = args[0]
			return w.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&w.Listen, "listen", "", "where to serve, host:port")
	cmd.Flags().StringVar(&w.Names, "names", "", "the folder where workloads find each other")
	return cmd
}
