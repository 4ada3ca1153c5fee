package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
	"github.com/holter-ha/holter/planner"
)

// localBy begins the name of who changes a stopped monitor's directory: whoever may write there.
const localBy = "local:"

func newMonitorInspectCommand(a *app) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use: "inspect --config FILE", Short: "Show what the data directory of a stopped monitor holds", Args: exactly(),
		Long: `Show what the data directory of a stopped monitor holds. When a quorum is lost for good, recover on the monitor with the
highest term, and of those with the highest index.`,
		Example: "  holter monitor inspect --config m2.yaml",
		RunE: func(*cobra.Command, []string) error {
			c, err := node.ReadMonitorConfig(config)
			if err != nil {
				return withExit(console.ExitInvalid, err)
			}
			held, err := node.ReadCopy(c)
			if err != nil {
				return notStarted(err)
			}
			if a.asJSON() {
				return a.printDoc(map[string]any{
					"id": held.ID, "index": held.Last, "term": held.Term, "snapshot": held.Snapshot, "members": held.Members,
					"cluster": held.State.Cluster, "at": held.State.At, "generation": held.State.Generation,
				})
			}
			a.printf("monitor %s\nterm    %d\nindex   #%d, of %s\n", held.ID, held.Term, held.Last, held.State.At.UTC().Format(time.RFC3339))
			a.showState(held.State)
			for _, m := range held.Members {
				a.printf("member  %s at %s\n", m.ID, m.Address)
			}
			return nil
		},
	}
	return withConfig(cmd, &config)
}

func (a *app) showState(s *planner.State) {
	a.printf("cluster %s\n", s.Cluster)
	if s.Generation > 0 {
		a.printf("recovered last at #%d\n", s.Generation)
	}
	a.printf("holds   %d hosts, %d workloads, %d plans, %d runs, %d events\n", s.Hosts.Len(), s.Workloads.Len(), s.Plans.Len(), s.Runs.Len(), s.Events.Len())
}

const recoverLong = `Go on from this monitor's copy of the log, without the others. For a quorum that is lost for good: when a majority of the
monitors can be started again, however late, start them instead.

The monitor must be stopped, and the others must stay stopped for good: their data directories are worthless from here on. What they
had committed and this one has not is lost, so nothing that this one knows of hosts is believed: every host must join anew or be
proven to run nothing, and nothing is granted until all are. All plans are disarmed, open runs are ended as failed. Indexes go on
far above all that was ever used.

Afterwards: start this monitor, apply your newest files, start the others with empty data directories and --join, and add them:
holter monitor add NAME. The former files stay in the data directory, in before-….`

func newMonitorRecoverCommand(a *app) *cobra.Command {
	var config string
	var rescue node.Rescue
	cmd := &cobra.Command{
		Use: "recover --config FILE --reason TEXT", Short: "Go on with this monitor alone, when the quorum is lost for good", Args: exactly(),
		Long: recoverLong, Example: "  holter monitor recover --config m2.yaml --reason \"the disks of m1 and m3 are gone\"",
		RunE: func(*cobra.Command, []string) error {
			c, err := a.rescued(config, &rescue, "to recover a cluster")
			if err != nil {
				return err
			}
			if resumed, err := node.ResumeRecovery(c); err != nil || resumed {
				if err == nil {
					a.printf("the recovery that was interrupted is done; start %s now\n", c.Name)
				}
				return err
			}
			held, err := node.ReadCopy(c)
			if err != nil {
				return notStarted(err)
			}
			if held.State.Cluster == "" {
				return withExit(console.ExitRefused, fmt.Errorf("%s has never been in a cluster: there is nothing to recover; nothing was changed", c.Name))
			}
			what := fmt.Sprintf("%s goes on alone from #%d, of %s. What the others had beyond it is lost; they must never be started again.",
				held.ID, held.Last, held.State.At.UTC().Format(time.RFC3339))
			if err := a.typed(c.Name, "recover from its copy", what); err != nil {
				return err
			}
			recovered, err := node.Recover(c, held, rescue)
			if err != nil {
				return notStarted(err)
			}
			a.printf("%s goes on alone, at #%d; the copy went up to #%d\n", recovered.ID, recovered.Index, recovered.From)
			a.printf("the former files are in %s\n", recovered.Former)
			a.showNext(c)
			return nil
		},
	}
	rescueFlags(cmd, &rescue)
	return withConfig(cmd, &config)
}

func rescueFlags(cmd *cobra.Command, rescue *node.Rescue) {
	cmd.Flags().Uint64Var(&rescue.Above, "above", 0, "go on above this index: for agents that say they know a higher one")
}

// rescued checks what is the same for a recovery and a restore: a reason, and that no other monitor runs.
func (a *app) rescued(config string, rescue *node.Rescue, act string) (node.MonitorConfig, error) {
	if a.flags.reason == "" {
		return node.MonitorConfig{}, usage("%s needs --reason; nothing was changed", act)
	}
	rescue.By, rescue.Reason = localBy+a.user, a.flags.reason
	c, err := node.ReadMonitorConfig(config)
	if err != nil {
		return c, withExit(console.ExitInvalid, err)
	}
	if alive := node.Answering(c); len(alive) > 0 {
		return c, withExit(console.ExitRefused, fmt.Errorf(
			"%s still runs: two clusters would command the same hosts; stop it for good, or let it be part of a quorum; nothing was changed",
			strings.Join(alive, ", ")))
	}
	return c, nil
}

// showNext says what is to be done after a recovery or restore.
func (a *app) showNext(c node.MonitorConfig) {
	a.printf("\nnext:\n  holter monitor --config …                      start %s\n", c.Name)
	a.printf("  holter apply -f …                              your newest files; until then no host is believed\n")
	a.printf("  holter status                                  shows which hosts are waited for\n")
	for name := range c.Monitors {
		if name != c.Name {
			a.printf("  holter monitor --config … --join               start the others with empty data directories, then: holter monitor add NAME\n")
			break
		}
	}
	a.printf("  holter plan arm …                              every plan is disarmed\n")
}
