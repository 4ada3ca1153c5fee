package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/internal/identity"
)

// monitorNKey is the nkey by which a NATS that is not embedded knows a monitor. It is made when it is first asked for.
func monitorNKey(dir string) (nkeys.KeyPair, error) {
	pair, err := identity.LoadNKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = identity.NewNKey(dir); err == nil {
			pair, err = identity.LoadNKey(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: tls.dir: %w", ErrConfig, err)
	}
	return pair, nil
}

// MonitorNKeys are the public nkeys of the monitors that a config lists, as far as this machine has them: the others are empty.
func MonitorNKeys(c MonitorConfig) (map[string]string, error) {
	keys := map[string]string{}
	for name := range c.Monitors {
		keys[name] = ""
	}
	if c.TLS.Dir == "" {
		return nil, fmt.Errorf("%w: there is no tls.dir: without TLS nobody has an nkey, and NATS cannot tell who is who", ErrConfig)
	}
	pair, err := monitorNKey(c.TLS.Dir)
	if err != nil {
		return nil, err
	}
	keys[c.Name], err = pair.PublicKey()
	return keys, err
}

// ACL writes who may do what as part of a NATS's configuration, by the public nkeys of monitors and hosts.
func ACL(monitors, agents map[string]string) string { return bus.ACL(monitors, agents) }

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
