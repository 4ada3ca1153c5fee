package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

// serversFile is in a user's identity directory: the URLs of the monitors, one a line.
const serversFile = "servers"

// The names of what proves who asks, in the environment.
const (
	envIdentity = "HOLTER_IDENTITY"
	envToken    = "HOLTER_TOKEN"
)

// identityDir is the directory of whoever asks, empty for none.
func (a *app) identityDir() string {
	if a.flags.identity != "" {
		return a.flags.identity
	}
	return a.env(envIdentity)
}

// settleIdentity reads who asks: a certificate and whom to trust from a directory, or a token beside it.
func (a *app) settleIdentity() error {
	dir := a.identityDir()
	a.options = console.ClientOptions{User: a.user, Stale: a.flags.stale, Token: a.env(envToken), Socket: a.flags.socket}
	if dir == "" {
		return nil
	}
	if a.options.Token != "" {
		config, err := identity.Trust(dir)
		if err != nil {
			return usage("--identity: %w", err)
		}
		a.options.TLS = config
	} else {
		party, err := identity.Load(dir)
		if err != nil {
			return usage("--identity: %w", err)
		}
		a.options.TLS = party.Client()
	}
	text, err := os.ReadFile(filepath.Join(dir, serversFile))
	if err != nil && !os.IsNotExist(err) {
		return usage("--identity: %w", err)
	}
	a.known = strings.Fields(string(text))
	return nil
}

// newUserCommand is for who may do what.
func newUserCommand(a *app) *cobra.Command {
	return newNoun("user", "Say who may do what", newUserListCommand(a), newUserSetCommand(a), newUserRemoveCommand(a), newUserCertCommand(a))
}

func newUserListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show all users, what they may do, and their tokens", Example: "  holter user list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			list, err := client.Users(ctx)
			if err != nil {
				return err
			}
			if printed, err := printList(a, list, func(u console.UserItem) string { return u.Name }); printed {
				return err
			}
			t := table{head: []string{"USER", "MAY", "GROUPS", "TOKENS"}}
			for _, u := range list.Items {
				var tokens []string
				for _, token := range u.Tokens {
					tokens = append(tokens, fmt.Sprintf("%s until %s", token.ID, token.Expires.UTC().Format(time.DateOnly)))
				}
				t.add(cell{text: u.Name}, cell{text: orDash(grantWords(u.Grants))}, cell{text: orDash(strings.Join(u.Groups, ", "))}, cell{text: orDash(strings.Join(tokens, ", "))})
			}
			t.write(a.out, a.style)
			return nil
		},
	}
}

func grantWords(grants []planner.Grant) string {
	var words []string
	for _, g := range grants {
		word := string(g.Role)
		for _, site := range g.Sites {
			word += " site=" + site
		}
		for _, plan := range g.Plans {
			word += " plan=" + plan
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// parseGrant reads role, role:site=NAME or role:plan=NAME.
func parseGrant(text string) (planner.Grant, error) {
	role, limit, limited := strings.Cut(text, ":")
	g := planner.Grant{Role: planner.Role(role)}
	if !slices.Contains(planner.Roles, g.Role) {
		return g, usage("--role %q: the roles are viewer, operator, approver and admin", text)
	}
	if !limited {
		return g, nil
	}
	kind, name, ok := strings.Cut(limit, "=")
	switch {
	case ok && name != "" && kind == "site":
		g.Sites = []string{name}
	case ok && name != "" && kind == "plan":
		g.Plans = []string{name}
	default:
		return g, usage("--role %q: write role, role:site=NAME or role:plan=NAME", text)
	}
	return g, nil
}

func newUserSetCommand(a *app) *cobra.Command {
	var roles, groups []string
	cmd := &cobra.Command{
		Use: "set USER --role ROLE [--group GROUP]", Short: "Add a user, or set what one may do",
		Long: `set gives a user exactly the roles and groups that are named: viewer (look), operator (start, stop, runs, silences, fencing), approver (also apply
files, arm plans, confirm), admin (also users, agents, monitors). A role counts everywhere, or with :site=NAME or :plan=NAME there
only. The user then proves who it is by a token (holter token make) or a certificate (holter user cert).`,
		Example: "  holter user set ann --role operator\n  holter user set ci --role approver --role operator:site=ams", Args: exactly("USER"),
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, rolesHelp)
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a group whose roles count too; may be given several times")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		grants, err := parseGrants(roles)
		if err != nil {
			return err
		}
		if len(grants) == 0 && len(groups) == 0 {
			return usage("a user needs a role or a group; nothing was changed; give it with --role operator")
		}
		req := console.UserRequest{Grants: grants, Groups: groups, Reason: a.flags.reason}
		return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
			return client.SetUser(ctx, args[0], req)
		})
	}
	return cmd
}

func newUserRemoveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove USER", Short: "Remove a user, with all tokens and certificates", Example: "  holter user remove ann", Args: exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.RemoveUser(ctx, args[0], a.flags.reason)
			})
		},
	}
}

// newUserCertCommand makes the identity directory of a user.
func newUserCertCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "cert USER --dir DIR", Short: "Make a certificate for a user, in a new directory for --identity",
		Example: "  holter user cert ann --dir ann", Args: exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			made, err := identity.Make(dir, func(request []byte) (cert, root []byte, err error) {
				answer, err := client.UserCertificate(ctx, args[0], console.RenewRequest{Request: string(request)})
				return []byte(answer.Item.Certificate), []byte(answer.Item.Root), err
			}, map[string]string{serversFile: strings.Join(a.servers(), "\n") + "\n"})
			if err != nil {
				return err
			}
			a.printf("%s is the identity of user %s until %s: holter --identity %s status\n", dir, args[0], made.Cert().NotAfter.UTC().Format(time.DateOnly), dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the new directory")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // the flag was added one line above
	}
	return cmd
}

// newTokenCommand is for the tokens of programs, and of people without a certificate.
func newTokenCommand(a *app) *cobra.Command {
	return newNoun("token", "Make, show and revoke tokens of users", newTokenListCommand(a), newTokenMakeCommand(a), newTokenRevokeCommand(a))
}

func newTokenMakeCommand(a *app) *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use: "make USER", Short: "Make a token; it is shown once, and only its hash is kept",
		Long:    "make prints a token of a user. Whoever has it may do what the user may: put it in " + envToken + ", never on a command line.",
		Example: "  holter token make ci --for 720h > token", Args: exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.secret(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Secret], error) {
				return client.MakeToken(ctx, args[0], console.TokenRequest{ForMs: life.Milliseconds(), Reason: a.flags.reason})
			})
		},
	}
	cmd.Flags().DurationVar(&life, "for", 90*24*time.Hour, "how long it lasts")
	return cmd
}

// secret asks for something secret and prints it, alone on standard output.
func (a *app) secret(cmd *cobra.Command, ask func(context.Context, *console.Client) (console.Doc[console.Secret], error)) error {
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(cmd.Context())
	defer cancel()
	answer, err := ask(ctx, client)
	if err != nil {
		return err
	}
	if a.asJSON() {
		return a.printDoc(answer)
	}
	_, err = io.WriteString(a.raw, answer.Item.Secret+"\n")
	a.say("it is shown this once, and good until %s", answer.Item.Expires)
	return err
}

func newTokenRevokeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke USER [TOKEN]", Short: "Revoke a token; without its id all tokens and certificates of the user",
		Example: "  holter token revoke ci 1f2e3d4c\n  holter token revoke ann", Args: between(1, "USER", "TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := console.RevokeRequest{Reason: a.flags.reason}
			if len(args) > 1 {
				req.ID = args[1]
			}
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.RevokeTokens(ctx, args[0], req)
			})
		},
	}
}

// agentVerbs are what is done about agents from afar.
func agentVerbs(a *app) []*cobra.Command {
	return []*cobra.Command{newAgentListCommand(a), newAgentInviteCommand(a), newAgentRevokeCommand(a)}
}

func newAgentListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show which agents are enrolled or invited", Example: "  holter agent list", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			list, err := client.Agents(ctx)
			if err != nil {
				return err
			}
			if printed, err := printList(a, list, func(i console.AgentItem) string { return i.Host }); printed {
				return err
			}
			t := table{head: []string{"HOST", "ENROLLED", "INVITED UNTIL"}}
			for _, i := range list.Items {
				enrolled, invited := "-", "-"
				if !i.Enrolled.IsZero() {
					enrolled = i.Enrolled.UTC().Format(time.DateTime)
				}
				if i.Invited {
					invited = i.Expires.UTC().Format(time.DateTime)
				}
				t.add(cell{text: i.Host}, cell{text: enrolled}, cell{text: invited})
			}
			t.write(a.out, a.style)
			return nil
		},
	}
}

func newAgentInviteCommand(a *app) *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use: "invite HOST", Short: "Make a one-time token with which the agent of a host enrols",
		Example: "  holter agent invite ams-1 > token        then on ams-1:  holter join - < token", Args: exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.secret(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Secret], error) {
				return client.Invite(ctx, args[0], console.InviteRequest{ForMs: life.Milliseconds(), Reason: a.flags.reason})
			})
		},
	}
	cmd.Flags().DurationVar(&life, "for", time.Hour, "how long it may be used")
	return cmd
}

func newAgentRevokeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke HOST", Short: "Cut the agent of a host off until it enrols anew",
		Long: `revoke cuts an agent off at once: it hears no commands and is not heard, so that its host is lost, and its workloads start elsewhere once
there is evidence that they run there no more.`,
		Example: "  holter agent revoke ams-1 --reason stolen", Args: exactly("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, client *console.Client) (console.Doc[console.Done], error) {
				return client.Bar(ctx, args[0], a.flags.reason)
			})
		},
	}
}
