package main

import (
	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
)

const guardLong = `guard kills the exclusive workloads of this host when its lease has ended, whoever is alive then: on a host with
self_fence: guard or watchdog the agent starts nothing that is exclusive without it. It reads the agent's config file, and
speaks with the agent through run_dir (default /run/holter/NAME) only.

Let the service manager start it by itself, as root, and again whenever it ends: the agent and the guard must not depend on
each other. Under self_fence: watchdog the machine is reset if a guard that was ended while exclusive workloads may run is
not started again within the watchdog's timeout; stop them, or move them away, first.`

// newGuardCommand runs the guard of one host.
func newGuardCommand(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "guard --config FILE", Short: "Run the guard of this host, which kills by the lease", Args: exactly(),
		Long: guardLong, Example: "  holter guard --config agent.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.ReadAgentConfig(config)
			if err != nil {
				return withExit(console.ExitInvalid, err)
			}
			if err := node.RunGuard(cmd.Context(), c, a.talk); err != nil {
				return withExit(console.ExitFailed, err)
			}
			return nil
		},
	}
	return withConfig(cmd, &config)
}
