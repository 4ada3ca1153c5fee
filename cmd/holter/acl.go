package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
)

// newMonitorACLCommand is for those who run a NATS of their own.
func newMonitorACLCommand(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "acl", Short: "Print who may do what on NATS, for the configuration of a NATS of your own", Args: exactly(),
		Long: `acl prints an authorization block for nats-server: a user for each monitor, who may say and hear everything of Holter, and one for
each enrolled agent, who may say and hear what is of its own host. The embedded NATS needs none of it: it asks the monitors.

The keys come from the monitors. Before the cluster is formed, --config FILE on a monitor takes its own from its tls.dir, and makes it
there if it has none. A key that is not known is left as a name that NATS refuses, to be filled in. Print it again when an agent has
enrolled, or is to be cut off, and have NATS read it (nats-server --signal reload). Then try it: holter doctor --agent FILE.`,
		Example: "  holter monitor acl > holter-acl.conf\n  holter monitor acl --config m1.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.printACL(cmd.Context(), config) },
	}
	cmd.Flags().StringVar(&config, "config", "", "the config file of this machine's monitor, while no monitor can be asked")
	return cmd
}

func (a *app) printACL(ctx context.Context, config string) error {
	asking, cancel := a.asking(ctx)
	defer cancel()
	client := console.NewClient(a.servers(), a.staleOptions())
	defer client.Close()
	agents := map[string]string{}
	list, err := client.Agents(asking)
	switch {
	case err != nil && config == "":
		return err
	case err != nil:
		a.say("no agent is listed: %v", err)
	}
	for _, item := range list.Items {
		if item.NKey != "" {
			agents[item.Host] = item.NKey
		}
	}
	monitors, err := a.monitorNKeys(ctx, config)
	if err != nil {
		return err
	}
	for name, key := range monitors {
		if key == "" {
			a.say("the nkey of monitor %s is not known: holter monitor acl --config FILE there says it, if NATS is not embedded", name)
		}
	}
	_, err = io.WriteString(a.raw, node.ACL(monitors, agents))
	return err
}

// monitorNKeys are the public nkeys of the monitors, empty where they are not known.
func (a *app) monitorNKeys(ctx context.Context, config string) (map[string]string, error) {
	if config != "" {
		c, err := node.ReadMonitorConfig(config)
		if err != nil {
			return nil, withExit(console.ExitInvalid, err)
		}
		keys, err := node.MonitorNKeys(c)
		if err != nil {
			return nil, notStarted(err)
		}
		return keys, nil
	}
	keys := map[string]string{}
	for _, p := range a.probeAll(ctx) {
		if p.err != nil {
			if p.name != "" {
				keys[p.name] = ""
			}
			continue
		}
		keys[p.status.Item.Self] = ""
		client := console.NewClient([]string{p.address}, a.staleOptions())
		asking, cancel := context.WithTimeout(ctx, min(probeTimeout, a.flags.timeout))
		if self, err := client.Self(asking); err == nil {
			keys[self.Item.Monitor] = self.Item.NATS.NKey
		}
		cancel()
		client.Close()
	}
	return keys, nil
}
