package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
)

// newMonitorCommand runs one monitor.
func newMonitorCommand(a *app) *cobra.Command {
	var config string
	var join bool
	cmd := &cobra.Command{
		Use: "monitor --config FILE", Short: "Run one monitor; list, add, replace and recover monitors", Args: noVerb,
		Long: `monitor runs one voting member of the control plane until it is told to stop. It needs a config file; docs/samples/monitor.yaml
explains each field. It logs to standard error and hands leadership over when it stops.

With --join an empty data directory waits to be taken into a cluster that exists, in place of a former monitor of its name too:
holter monitor add, holter monitor replace. A directory that has been in a cluster goes on in it.`,
		Example: "  holter monitor --config m1.yaml\n  holter monitor --config m3.yaml --join\n  holter monitor list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.ReadMonitorConfig(config)
			if err != nil {
				return withExit(console.ExitInvalid, err)
			}
			c.Join = join
			n, err := node.StartMonitor(c, buildVersion(), a.processLogger(c.Log))
			if err != nil {
				return notStarted(err)
			}
			return untilToldToStop(cmd.Context(), n.Run)
		},
	}
	cmd.Flags().BoolVar(&join, "join", false, "let an empty data directory wait to be taken into a cluster that exists")
	cmd.AddCommand(newMonitorListCommand(a), newMonitorTransferCommand(a),
		newMonitorChangeCommand(a, console.VerbAdd), newMonitorChangeCommand(a, console.VerbReplace), newMonitorChangeCommand(a, console.VerbRemove),
		newMonitorInspectCommand(a), newMonitorACLCommand(a), newMonitorRecoverCommand(a))
	return withConfig(cmd, &config)
}

// newAgentCommand runs the agent of one host.
func newAgentCommand(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "agent --config FILE", Short: "Run the agent of this host; list, invite and revoke agents", Args: noVerb,
		Long: `agent beats for this host, and starts and stops its workloads as the monitors say, until it is told to stop. The workloads go on
without it. It needs a config file; docs/samples/agent.yaml explains each field. It logs to standard error.`,
		Example: "  holter agent --config a1.yaml\n  holter agent invite ams-1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.ReadAgentConfig(config)
			if err != nil {
				return withExit(console.ExitInvalid, err)
			}
			n, err := node.StartAgent(c, buildVersion(), a.processLogger(c.Log))
			if err != nil {
				return notStarted(err)
			}
			return untilToldToStop(cmd.Context(), n.Run)
		},
	}
	cmd.AddCommand(agentVerbs(a)...)
	return withConfig(cmd, &config)
}

// notStarted is the error of a process that opened something it could not: a port, a disk, or what its config names.
func notStarted(err error) error {
	if errors.Is(err, node.ErrConfig) {
		return withExit(console.ExitInvalid, err)
	}
	return withExit(console.ExitFailed, err)
}

func withConfig(cmd *cobra.Command, config *string) *cobra.Command {
	cmd.Flags().StringVar(config, "config", "", "the config file")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag was added one line above
	}
	return cmd
}

// untilToldToStop runs a process; to be told to stop is not an error.
func untilToldToStop(ctx context.Context, run func(context.Context) error) error {
	if err := run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

func (a *app) processLogger(c node.LogConfig) zerolog.Logger { return c.Logger(a.talk) }
