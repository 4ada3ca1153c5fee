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
	cmd := &cobra.Command{
		Use: "monitor --config FILE", Short: "Run one monitor", Args: exactly(),
		Long: `monitor runs one voting member of the control plane until it is told to stop. It needs a config file; docs/samples/monitor.yaml
explains each field. It logs to standard error and hands leadership over when it stops.`,
		Example: "  holter monitor --config m1.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.ReadMonitorConfig(config)
			if err != nil {
				return withExit(console.ExitInvalid, err)
			}
			n, err := node.StartMonitor(c, buildVersion(), a.processLogger(c.Log))
			if err != nil {
				return notStarted(err)
			}
			return untilToldToStop(cmd.Context(), n.Run)
		},
	}
	return withConfig(cmd, &config)
}

// newAgentCommand runs the agent of one host.
func newAgentCommand(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "agent --config FILE", Short: "Run the agent of this host", Args: exactly(),
		Long: `agent beats for this host, and starts and stops its workloads as the monitors say, until it is told to stop. The workloads go on
without it. It needs a config file; docs/samples/agent.yaml explains each field. It logs to standard error.`,
		Example: "  holter agent --config a1.yaml",
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
