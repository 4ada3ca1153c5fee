package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

// The groups of verbs in the help.
const (
	groupLook    = "look"
	groupPlans   = "plans"
	groupAct     = "act"
	groupService = "service"
)

const rootLong = `holter moves workloads off hosts whose heart stops.

New here?   holter demo            three monitors, six agents, a small shop; press k to kill a host
Next:       holter status          holter help exit-codes`

// newRootCommand makes the tree of verbs.
func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "holter", Short: "Move workloads off hosts whose heart stops", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true,
		Args: noVerb, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.settle() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	flags := root.PersistentFlags()
	flags.StringSliceVarP(&a.flags.servers, "server", "s", nil, "monitors to ask, the first that answers does (HOLTER_SERVER; default "+defaultServer+")")
	flags.StringVar(&a.flags.identity, "identity", "", "directory with your certificate, key and ca.crt, as holter init and holter user cert make it ("+envIdentity+")")
	flags.StringVar(&a.flags.socket, "socket", "", "ask the monitor on this machine as root, by its holter.sock in its data_dir")
	flags.StringVarP(&a.flags.output, "output", "o", outTable, "table, json, jsonl or name")
	flags.StringVar(&a.flags.reason, "reason", "", "why, for those who read the events later")
	flags.BoolVar(&a.flags.yes, "yes", false, "answer the question for confirmation with yes")
	flags.DurationVar(&a.flags.timeout, "timeout", defaultTimeout, "how long to wait for an answer of the monitors")
	flags.BoolVar(&a.flags.stale, "stale", false, "let any monitor answer with what it last knew")
	flags.StringVar(&a.flags.color, "color", "auto", "auto, always or never")
	flags.BoolVar(&a.flags.noColor, "no-color", false, "the same as --color never")
	flags.BoolVar(&a.flags.ascii, "ascii", false, "no character beyond ASCII")
	flags.BoolVarP(&a.flags.quiet, "quiet", "q", false, "data and errors only")
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look"}, &cobra.Group{ID: groupPlans, Title: "Plans"},
		&cobra.Group{ID: groupAct, Title: "Act"}, &cobra.Group{ID: groupService, Title: "Service"},
	)
	add(root, groupLook, newStatusCommand(a), newHostsCommand(a), newWorkloadsCommand(a), newRunsCommand(a), newEventsCommand(a),
		newAuditCommand(a), newDoctorCommand(a), newWhoamiCommand(a))
	add(root, groupPlans, newApplyCommand(a), newPlanCommand(a))
	add(root, groupAct, newStartCommand(a), newStopCommand(a), newRunCommand(a), newFenceCommand(a), newHostCommand(a),
		newSilenceCommand(a))
	add(root, groupService, newInitCommand(a), newJoinCommand(a), newMonitorCommand(a), newAgentCommand(a), newGuardCommand(a),
		newUserCommand(a), newGroupCommand(a), newTokenCommand(a), newSnapshotCommand(a), newDemoCommand(a), newVersionCommand(a))
	root.AddCommand(newExitCodesTopic())
	return root
}

// add puts verbs in a group of the help.
func add(parent *cobra.Command, group string, verbs ...*cobra.Command) {
	for _, verb := range verbs {
		verb.GroupID = group
		parent.AddCommand(verb)
	}
}

// newNoun makes a command that holds nothing but verbs.
func newNoun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	noun := &cobra.Command{
		Use: name, Short: short, Args: noVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	noun.AddCommand(verbs...)
	return noun
}

// suggestWithin is how many letters a typo may differ from the verb that was meant.
const suggestWithin = 2

// noVerb refuses a verb that does not exist, and says which one may have been meant.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := &exitError{code: console.ExitUsage, err: fmt.Errorf("there is no verb %q for %s", args[0], cmd.CommandPath())}
	cmd.SuggestionsMinimumDistance = suggestWithin
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		err.hint = "did you mean: " + cmd.CommandPath() + " " + strings.Join(meant, ", ")
	}
	return err
}

// exactly demands the named arguments.
func exactly(names ...string) cobra.PositionalArgs { return between(len(names), names...) }

// between demands the first least of the named arguments and allows the others.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):least], " and "))
		case len(args) > len(names):
			return usage("%s does not know what to do with %q", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// newVersionCommand prints the version.
func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Example: "  holter version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if a.asJSON() {
				return a.printDoc(map[string]string{"version": buildVersion()})
			}
			a.printf("holter %s\n", buildVersion())
			return nil
		},
	}
}
