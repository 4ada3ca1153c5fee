package node

import (
	"context"
	"net/url"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/bus"
)

// Tried is what one NATS server let an agent do.
type Tried struct {
	Server string // host:port
	Tries  int
	Wrong  []string // each try that did not come to what it must
}

// TryPermissions tries, at each server of an agent's config and with its keys, what an agent may do and must not. A live agent is not
// disturbed.
func TryPermissions(ctx context.Context, c AgentConfig) ([]Tried, error) {
	o := bus.Options{Name: c.Name + "/doctor", Logger: zerolog.Nop()}
	if _, err := partyOf(c, &o); err != nil {
		return nil, err
	}
	var all []Tried
	for _, text := range c.NATS.URL.List() {
		o.URLs = []string{text}
		t := Tried{Server: text}
		if u, err := url.Parse(text); err == nil {
			t.Server = u.Host
		}
		for _, f := range bus.Probe(ctx, o, c.Name) {
			t.Tries++
			if !f.OK() {
				t.Wrong = append(t.Wrong, f.String())
			}
		}
		all = append(all, t)
	}
	return all, nil
}
