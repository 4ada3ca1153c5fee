package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/setup"
)

const joinLong = `join enrols the agent of this host with a one-time token of "holter agent invite HOST". The agent's keys are made here and
never leave this host; the token tells by a fingerprint whom to trust. It writes agent.yaml and the folder tls, both or none.

TOKEN may be -: it is read from standard input then, and no list of processes shows it.`

// defaultDir is where an agent's config file is.
const defaultDir = "/etc/holter"

// maxToken is how much is read of standard input for a token.
const maxToken = 8 << 10

// newJoinCommand enrols the agent of this host.
func newJoinCommand(a *app) *cobra.Command {
	o := setup.JoinOptions{Say: a.say}
	cmd := &cobra.Command{
		Use: "join TOKEN|-", Short: "Enrol the agent of this host", Long: joinLong,
		Example: "  holter join - < token\n  holter join --replace -", Args: exactly("TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			token := args[0]
			if token == "-" {
				text, err := io.ReadAll(io.LimitReader(a.in, maxToken))
				if err != nil {
					return err
				}
				token = string(text)
			}
			o.Now = a.now()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			joined, err := setup.Join(ctx, token, o)
			if err != nil {
				return setupError(err)
			}
			if a.asJSON() {
				return a.printDoc(console.Doc[setup.Joined]{Meta: console.Meta{APIVersion: console.APIVersion, Kind: "Joined"}, Item: joined})
			}
			a.printf("this host is %s; its certificate is good until %s and renews itself\n", joined.Host, joined.Expires.UTC().Format("2006-01-02"))
			a.say("next: systemctl enable --now holter-guard holter-agent")
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", defaultDir, "where agent.yaml and the folder tls are written")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "enrol anew with new keys; agent.yaml stays as it is")
	return cmd
}
