package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/plans"
)

func newPlanLintCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "lint FILE|DIR|-…", Short: "Check inventory and plan files, without any server",
		Long: `Check inventory and plan files, without any server. All mistakes at once; exit code 3 when there is an error.

Names of hosts and workloads are checked when the inventory is among the files.`,
		Example: "  holter plan lint orders-dr.yaml inventory.yaml\n  holter plan lint prod/ -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s needs files", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := readFiles(args, a.in)
			if err != nil {
				return err
			}
			set, mistakes := plans.Lint(files, nil)
			if err := a.showMistakes(mistakes, len(files)); err != nil {
				return err
			}
			if set == nil {
				return ended(console.ExitInvalid)
			}
			return nil
		},
	}
}

// showMistakes shows what is wrong with files, as data.
func (a *app) showMistakes(mistakes []plans.Mistake, files int) error {
	if mistakes == nil {
		mistakes = []plans.Mistake{}
	}
	list := console.List[plans.Mistake]{Meta: console.Meta{APIVersion: console.APIVersion, Kind: "MistakeList"}, Items: mistakes}
	printed, err := printList(a, list, func(m plans.Mistake) string { return fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Col) })
	switch {
	case printed:
		return err
	case len(mistakes) > 0:
		a.printf("%s\n", (&plans.Mistakes{List: mistakes}).Error())
	case files == 1:
		a.say("1 file is valid")
	default:
		a.say("%d files are valid", files)
	}
	return nil
}
