package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

const rolesHelp = "a role, everywhere or with :site=NAME or :plan=NAME; may be given several times"

// newGroupCommand is for roles that several users share.
func newGroupCommand(a *app) *cobra.Command {
	return newNoun("group", "Say what the users of a group may do", newGroupListCommand(a), newGroupSetCommand(a), newGroupRemoveCommand(a))
}

func newGroupListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show all groups, what they may do, and who is in them", Example: "  holter group list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			list, err := client.Groups(ctx)
			if err != nil {
				return err
			}
			if printed, err := printList(a, list, func(g console.GroupItem) string { return g.Name }); printed {
				return err
			}
			t := table{head: []string{"GROUP", "MAY", "USERS"}}
			for _, g := range list.Items {
				t.add(cell{text: g.Name}, cell{text: orDash(grantWords(g.Grants))}, cell{text: orDash(strings.Join(g.Users, ", "))})
			}
			t.write(a.out, a.style)
			return nil
		},
	}
}

func newGroupSetCommand(a *app) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "set GROUP --role ROLE", Short: "Add a group, or set what its users may do",
		Long:    "set gives a group exactly the roles that are named; holter user set says what each role may do, and puts users into groups.",
		Example: "  holter group set on-call --role operator\n  holter user set ann --role viewer --group on-call", Args: exactly("GROUP"),
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, rolesHelp)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		grants, err := parseGrants(roles)
		if err != nil {
			return err
		}
		if len(grants) == 0 {
			return usage("a group needs a role; nothing was changed; give it with --role operator")
		}
		return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
			return client.SetGroup(ctx, args[0], console.GroupRequest{Grants: grants, Reason: a.flags.reason})
		})
	}
	return cmd
}

func newGroupRemoveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove GROUP", Short: "Remove a group that no user is in", Example: "  holter group remove on-call", Args: exactly("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.RemoveGroup(ctx, args[0], a.flags.reason)
			})
		},
	}
}

func parseGrants(texts []string) (grants []planner.Grant, err error) {
	for _, text := range texts {
		grant, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		grants = append(grants, grant)
	}
	return grants, nil
}

func newTokenListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list [USER]", Short: "Show tokens without their secrets: your own, or as an admin everybody's",
		Example: "  holter token list ci", Args: between(0, "USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			users, err := client.Users(ctx)
			if err != nil {
				return err
			}
			list := console.List[ownedToken]{Meta: users.Meta, Items: []ownedToken{}}
			list.Kind = "Tokens"
			for _, u := range users.Items {
				for _, token := range u.Tokens {
					if len(args) == 0 || args[0] == u.Name {
						list.Items = append(list.Items, ownedToken{u.Name, token})
					}
				}
			}
			if printed, err := printList(a, list, func(t ownedToken) string { return t.ID }); printed {
				return err
			}
			t := table{head: []string{"TOKEN", "USER", "MADE", "BY", "UNTIL"}}
			for _, i := range list.Items {
				t.add(cell{text: i.ID}, cell{text: i.User}, cell{text: i.Made.UTC().Format(time.DateTime)}, cell{text: i.By}, cell{text: i.Expires.UTC().Format(time.DateTime)})
			}
			t.write(a.out, a.style)
			return nil
		},
	}
}

// ownedToken is a token with whose it is.
type ownedToken struct {
	User string `json:"user"`
	console.TokenItem
}

func newWhoamiCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are to the cluster, and what you may do", Example: "  holter whoami", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			me, err := client.Whoami(ctx)
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(me)
			}
			may := orDash(grantWords(me.Item.Grants))
			if me.Item.All {
				may = "everything"
			}
			a.printf("%s, from %s; may: %s\n", me.Item.By, me.Item.From, may)
			return nil
		},
	}
}
