package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/setup"
)

const initLong = `init writes a folder with all that a new cluster needs: its own certificate authority, a folder for each monitor, the
certificate of the user admin, systemd units, an inventory and a plan to begin with, and a README with the next steps. It
speaks to nobody, and never writes over what is there.`

// newInitCommand makes the folder of a new cluster.
func newInitCommand(a *app) *cobra.Command {
	var c setup.Cluster
	var monitors []string
	cmd := &cobra.Command{
		Use: "init DIR --cluster NAME --monitor NAME=ADDRESS…", Short: "Make the files of a new cluster", Long: initLong,
		Example: "  holter init prod/ --cluster prod --monitor m1=10.0.0.1 --monitor m2=10.0.0.2 --monitor m3=10.0.0.3",
		Args:    exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if c.Name == "" || len(monitors) == 0 {
				return usage("a new cluster needs --cluster NAME, and --monitor NAME=ADDRESS for each monitor; nothing was written")
			}
			for _, text := range monitors {
				m, err := setup.ParseMonitor(text)
				if err != nil {
					return usage("%w; nothing was written", err)
				}
				c.Monitors = append(c.Monitors, m)
			}
			if err := setup.Init(args[0], c, a.now()); err != nil {
				return setupError(err)
			}
			if a.asJSON() {
				return a.printDoc(console.Doc[initialized]{
					Meta: console.Meta{APIVersion: console.APIVersion, Kind: "Initialized"},
					Item: initialized{Dir: args[0], Cluster: c.Name, Monitors: len(c.Monitors)},
				})
			}
			a.printf("%s holds the cluster %s: monitors, keys, units, plans\n", args[0], c.Name)
			a.say("next: read README.md there, and take ca/ offline: whoever has ca.key can be anybody in this cluster")
			return nil
		},
	}
	cmd.Flags().StringVar(&c.Name, "cluster", "", "the name of the cluster")
	cmd.Flags().StringArrayVar(&monitors, "monitor", nil, "a monitor and its IP address, NAME=ADDRESS; 1, 3 or 5 times")
	return cmd
}

// initialized is what init made, for programs.
type initialized struct {
	Dir      string `json:"dir"`
	Cluster  string `json:"cluster"`
	Monitors int    `json:"monitors"`
}

// setupError gives an error of setup its exit code and hint.
func setupError(err error) error {
	if e, ok := errors.AsType[*setup.Error](err); ok {
		return &exitError{code: e.Exit, hint: e.Hint, err: err}
	}
	return err
}
