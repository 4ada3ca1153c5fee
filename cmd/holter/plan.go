package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/plans"
)

func newPlanCommand(a *app) *cobra.Command {
	return newNoun("plan", "Check, show, arm and disarm plans",
		newPlanLintCommand(a), newPlanListCommand(a), newPlanShowCommand(a), newPlanArmCommand(a), newPlanDisarmCommand(a),
	)
}

func newPlanListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show the plans in force", Example: "  holter plan list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			list, err := client.Plans(ctx)
			if err != nil {
				return err
			}
			if printed, err := printList(a, list, func(p console.PlanItem) string { return p.Name }); printed {
				return err
			}
			t := table{head: []string{"PLAN", "REVISION", "STARTS", "TRIGGER", "STEPS", "OWNER"}}
			for _, p := range list.Items {
				t.add(cell{text: p.Name}, cell{text: fmt.Sprintf("#%d", p.Revision)}, armedCell(p), cell{text: triggers(p.Triggers)},
					cell{text: fmt.Sprint(p.Steps)}, cell{text: orDash(p.Owner)})
			}
			t.write(a.out, a.style)
			return nil
		},
	}
}

// armedCell says how a plan starts.
func armedCell(p console.PlanItem) cell {
	switch {
	case len(p.Triggers) == 0:
		return cell{"○ by hand", roleDim}
	case p.Armed:
		return cell{"● armed", roleOK}
	}
	return cell{"◇ disarmed", roleWarn}
}

// triggers says in a word what starts a plan.
func triggers(list []plans.Trigger) string {
	var parts []string
	for _, t := range list {
		if t.HostLost != nil {
			parts = append(parts, "host.lost "+selected(*t.HostLost))
		}
	}
	return orDash(strings.Join(parts, ", "))
}

func selected(s plans.Selector) string {
	parts := append([]string{}, s.Names...)
	if s.Any {
		parts = append(parts, "any")
	}
	if len(s.Labels) > 0 {
		parts = append(parts, labels(s.Labels))
	}
	if s.Site != "" {
		parts = append(parts, "site="+s.Site)
	}
	return strings.Join(parts, " ")
}

func newPlanShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show PLAN", Short: "Print a plan as it is in force", Example: "  holter plan show orders-dr > orders-dr.yaml", Args: exactly("PLAN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			plan, err := client.Plan(ctx, args[0])
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(plan)
			}
			a.say("%s@%d, %s", plan.Item.Name, plan.Item.Revision, armedCell(plan.Item).text)
			_, err = io.WriteString(a.raw, plan.Item.Source)
			return err
		},
	}
}

func newPlanArmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "arm PLAN", Short: "Let a plan start by itself when it is triggered", Example: "  holter plan arm orders-dr", Args: exactly("PLAN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Arm(ctx, args[0], a.flags.reason)
			})
		},
	}
}

func newPlanDisarmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "disarm PLAN --reason TEXT", Short: "Keep a plan from starting by itself; open runs go on",
		Example: "  holter plan disarm orders-dr --reason CHG-8841", Args: exactly("PLAN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.reason == "" {
				return usage("to disarm a plan needs --reason; nothing was changed")
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Disarm(ctx, args[0], a.flags.reason)
			})
		},
	}
}
