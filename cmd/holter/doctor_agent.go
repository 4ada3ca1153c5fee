package main

import (
	"context"
	"fmt"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/node"
)

// maxTries is how many wrong permissions of one server are told one by one.
const maxTries = 5

// triedAgent is what NATS let an agent do.
type triedAgent struct {
	host    string
	servers []node.Tried
}

// tryAgent tries with the keys of this host's agent what NATS lets it do.
func tryAgent(ctx context.Context, config string) (*triedAgent, error) {
	c, err := node.ReadAgentConfig(config)
	if err != nil {
		return nil, withExit(console.ExitInvalid, err)
	}
	tried, err := node.TryPermissions(ctx, c)
	if err != nil {
		return nil, notStarted(err)
	}
	return &triedAgent{host: c.Name, servers: tried}, nil
}

// permissions says whether NATS holds agents to their own subjects.
func (f *doctorFacts) permissions() []console.Finding {
	var list []console.Finding
	add := func(grade console.Grade, about, text, do string) {
		list = append(list, console.Finding{Check: console.CheckPermissions, Grade: grade, About: about, Text: text, Do: do})
	}
	const acl = "its owner gives it: holter monitor acl"
	if f.agent != nil {
		for _, server := range f.agent.servers {
			if len(server.Wrong) == 0 {
				add(console.GradeOK, f.agent.host, fmt.Sprintf("NATS at %s lets the agent of %s do what it must and nothing else (%d tries)", server.Server, f.agent.host, server.Tries), "")
			}
			for i, wrong := range server.Wrong {
				if i == maxTries {
					add(console.GradeCritical, f.agent.host, fmt.Sprintf("NATS at %s: and %d more of %d tries", server.Server, len(server.Wrong)-i, server.Tries), acl)
					break
				}
				add(console.GradeCritical, f.agent.host, fmt.Sprintf("NATS at %s, as the agent of %s: %s", server.Server, f.agent.host, wrong), "")
			}
		}
		return list
	}
	for _, m := range f.monitors {
		if m.self.Item.NATS.Foreign {
			add(console.GradeNote, "NATS", "NATS is not embedded: whether it holds agents to their own subjects is tried on a host, by holter doctor --agent FILE", "")
			break
		}
	}
	return list
}
