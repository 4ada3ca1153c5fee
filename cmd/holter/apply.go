package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/plans"
)

func newApplyCommand(a *app) *cobra.Command {
	var paths []string
	var ifMatch uint64
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR|-", Short: "Set inventory and plans from files, all or nothing; starts nothing",
		Long: `Set inventory and plans from files: all of them or, when one has a mistake, none.

Applying starts nothing and stops nothing. A new plan is disarmed: it starts only by hand until it is armed.
Hosts and workloads that the inventory no longer names are removed, plans that no file names stay.`,
		Example: "  holter apply -f inventory.yaml -f orders-dr.yaml --reason CHG-8850\n  holter apply -f prod/",
		Args:    exactly(),
	}
	cmd.Flags().StringArrayVarP(&paths, "file", "f", nil, "file, directory of .yaml files, or - for standard input; may be given several times")
	cmd.Flags().Uint64Var(&ifMatch, "if-match", 0, "the revision that the files were made for; when another one is in force nothing is changed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(paths) == 0 {
			return usage("which files? name them with -f; nothing was changed")
		}
		files, err := readFiles(paths, a.in)
		if err != nil {
			return err
		}
		request := console.ApplyRequest{Reason: a.flags.reason}
		if cmd.Flags().Changed("if-match") {
			request.IfMatch = &ifMatch
		}
		for _, f := range files {
			request.Files = append(request.Files, console.File{Name: f.Name, Text: string(f.Text)})
		}
		client := a.client()
		defer client.Close()
		ctx, cancel := a.asking(cmd.Context())
		defer cancel()
		applied, err := client.Apply(ctx, request)
		if err != nil {
			return err
		}
		if a.asJSON() {
			return a.printDoc(applied)
		}
		a.showApplied(applied.Item)
		return nil
	}
	return cmd
}

// shownChanges is how many changes are named one by one.
const shownChanges = 20

// showApplied says what was changed, and that nothing was started.
func (a *app) showApplied(applied console.Applied) {
	if len(applied.Warnings) > 0 {
		a.say("%s\n", (&plans.Mistakes{List: applied.Warnings}).Error())
	}
	if len(applied.Changes) == 0 {
		a.printf("nothing to change: revision #%d is as in the files\n", applied.Revision)
		a.sayArmed(applied)
		return
	}
	for _, change := range applied.Changes[:min(len(applied.Changes), shownChanges)] {
		a.printf(" %s %s %s\n", a.style.paint(changeRole(change.Sign), change.Sign), change.Kind, change.Name)
	}
	if more := len(applied.Changes) - shownChanges; more > 0 {
		a.printf(" …%d more\n", more)
	}
	a.printf("revision #%d: %s. Nothing was started or stopped.\n", applied.Revision, changeCount(applied))
	a.sayArmed(applied)
}

func (a *app) sayArmed(applied console.Applied) {
	for _, plan := range applied.Disarmed {
		a.say("plan %s is disarmed, it starts only by hand until: holter plan arm %s", plan, plan)
	}
	if len(applied.Armed) > 0 {
		a.say("armed, may start by itself: %s", strings.Join(applied.Armed, " "))
	}
}

func changeRole(sign string) role {
	switch sign {
	case "+":
		return roleOK
	case "-":
		return roleError
	}
	return roleWarn
}

func changeCount(applied console.Applied) string {
	count := map[string]int{}
	for _, change := range applied.Changes {
		count[change.Sign]++
	}
	return fmt.Sprintf("%d added, %d changed, %d removed, %d unchanged", count["+"], count["~"], count["-"], applied.Unchanged)
}
