package node

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/raftstore"
)

const (
	// renewEvery is how often a process looks whether its certificate is due. One that is due has a month left.
	renewEvery = time.Hour
	// socketFile is where root on a monitor's machine reaches its API, in the data directory.
	socketFile = "holter.sock"
	// firstAdmin is the user that a secured cluster begins with; holter init makes its certificate.
	firstAdmin = "admin"
)

// TLSConfig names the directory of a process's certificate and keys; none: no TLS, and loopback addresses only.
type TLSConfig struct {
	Dir string `yaml:"dir"`
}

// beside completes a directory that is not absolute: it is looked for beside the config file.
func (c *TLSConfig) beside(config string) {
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(filepath.Dir(config), c.Dir)
	}
}

// secured is what a monitor of a secured cluster proves itself and signs others with.
type secured struct {
	party  *identity.Party
	issuer *identity.Authority
}

// loadSecured reads a monitor's certificates; nil without TLS.
func loadSecured(c MonitorConfig) (*secured, error) {
	dir := c.TLS.Dir
	if dir == "" {
		return nil, nil //nolint:nilnil // no TLS, no certificates
	}
	party, err := identity.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: tls.dir: %w", ErrConfig, err)
	}
	if want := (identity.ID{Kind: identity.Monitor, Name: c.Name}); party.ID() != want {
		return nil, fmt.Errorf("%w: tls.dir: the certificate in %s is of %s, this is %s", ErrConfig, dir, party.ID(), want)
	}
	issuer, err := identity.LoadAuthority(
		filepath.Join(dir, identity.IssuerFile), filepath.Join(dir, identity.IssuerKeyFile), filepath.Join(dir, identity.RootFile))
	if err != nil {
		return nil, fmt.Errorf("%w: tls.dir: %w", ErrConfig, err)
	}
	return &secured{party: party, issuer: issuer}, nil
}

// sign makes a certificate for somebody who has proven to be entitled to it.
func (s *secured) sign(id identity.ID, public crypto.PublicKey) ([]byte, error) {
	life := identity.LeafLife
	if id.Kind == identity.User {
		life = identity.UserLife
	}
	return s.issuer.Issue(id, public, nil, time.Now(), life)
}

// renewOwn keeps the monitor's own certificate from expiring.
func (n *MonitorNode) renewOwn(ctx context.Context) error {
	own := n.config.Monitors[n.config.Name]
	return every(ctx, renewEvery, func() {
		party := n.secured.party
		if !party.Due(time.Now()) {
			return
		}
		cert, err := n.secured.issuer.Issue(party.ID(), party.Key().Public(), []string{own.Address}, time.Now(), identity.LeafLife)
		if err == nil {
			err = party.Replace(cert)
		}
		logRenewal(n.log, party, err)
	})
}

// every does something now and then again and again until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// listenRaft listens for the other monitors.
func (n *MonitorNode) listenRaft(address string) (raft.StreamLayer, error) {
	if n.secured == nil {
		return raftstore.ListenTCP(address)
	}
	return raftstore.ListenTLS(address, raftstore.TLSOptions{
		Server: n.secured.party.Server(identity.Monitor), Client: n.secured.party.Client(), Logger: n.log,
	})
}

// secureBus lets in only monitors, and agents that are enrolled.
func (n *MonitorNode) secureBus(o *bus.ServerOptions) {
	if n.secured == nil {
		return
	}
	o.TLS = n.secured.party.Server(identity.Agent)
	if o.RoutePort != 0 {
		o.RouteTLS = n.secured.party.Peer()
	}
	o.Admit = n.enrolled
}

// enrolled says whether the agent of a host is enrolled with these keys, as far as this monitor knows yet.
func (n *MonitorNode) enrolled(host, spki, nkey string) bool {
	store := n.admits.Load()
	if store == nil {
		return false
	}
	enrolment, _ := store.State().Enrolments.Get(host)
	return enrolment.NKey != "" && enrolment.NKey == nkey && identity.SameHash(enrolment.SPKI, spki)
}

// review cuts agents off whose enrolment has ended.
func (n *MonitorNode) review(ctx context.Context) error {
	changed, stop := n.store.Watch()
	defer stop()
	last := n.store.State().Enrolments
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		if now := n.store.State().Enrolments; now != last {
			last = now
			n.server.Review()
		}
	}
}

// serveAPI makes the API, and the listener that secures it.
func (n *MonitorNode) serveAPI() (*console.Server, net.Listener) {
	if n.secured == nil {
		return console.NewServer(n, n.log), n.api
	}
	security := console.Security{Peer: n.secured.party.Client(), Sign: n.secured.sign, Root: n.secured.issuer.Root(), NATS: n.config.NATS.URL.List()}
	for _, name := range names(n.config.Monitors) {
		a := n.config.Monitors[name]
		security.API = append(security.API, n.config.apiURL(name))
		if n.server != nil {
			security.NATS = append(security.NATS, "tls://"+join(a.Address, a.NATS))
		}
	}
	return console.NewSecureServer(n, n.log, security), tls.NewListener(n.api, n.secured.party.ServerToAnyone())
}

// listenSocket opens the way of root on this machine; nil without TLS, where everybody may do everything.
func (n *MonitorNode) listenSocket() (net.Listener, error) {
	if n.secured == nil {
		return nil, nil //nolint:nilnil // as said
	}
	path := filepath.Join(n.config.DataDir, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // the log's lock says that no other monitor uses it
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on the socket: %w", err), l.Close())
	}
	return l, nil
}

// partyOf reads an agent's certificate and nkey; nil without TLS.
func partyOf(c AgentConfig, o *bus.Options) (*identity.Party, error) {
	if c.TLS.Dir == "" {
		return nil, nil //nolint:nilnil // no TLS, no certificate
	}
	party, err := identity.Load(c.TLS.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: tls.dir: %w", ErrConfig, err)
	}
	if want := (identity.ID{Kind: identity.Agent, Name: c.Name}); party.ID() != want {
		return nil, fmt.Errorf("%w: tls.dir: the certificate in %s is of %s, this is %s", ErrConfig, c.TLS.Dir, party.ID(), want)
	}
	o.TLS = party.Client()
	if o.NKey, err = identity.LoadNKey(c.TLS.Dir); err != nil {
		return nil, fmt.Errorf("%w: tls.dir: %w", ErrConfig, err)
	}
	return party, nil
}

// renew keeps the agent's certificate from expiring: the monitors sign the same key anew.
func (n *AgentNode) renew(ctx context.Context) error {
	if n.party == nil {
		return nil
	}
	client := console.NewClient(n.servers, console.ClientOptions{TLS: n.party.Client()})
	defer client.Close()
	return every(ctx, renewEvery, func() {
		if !n.party.Due(time.Now()) {
			return
		}
		logRenewal(n.log, n.party, renewOnce(ctx, client, n.party))
	})
}

// logRenewal says what came of a renewal. One that failed is tried again in an hour.
func logRenewal(log zerolog.Logger, party *identity.Party, err error) {
	if err != nil {
		log.Warn().Err(err).Time("expires", party.Expires()).Msg("own certificate was not renewed")
		return
	}
	log.Info().Time("expires", party.Expires()).Msg("own certificate was renewed")
}

func renewOnce(ctx context.Context, client *console.Client, party *identity.Party) error {
	request, err := identity.NewRequest(party.Key())
	if err != nil {
		return err
	}
	renewed, err := client.Renew(ctx, console.RenewRequest{Request: string(request)})
	if err != nil {
		return err
	}
	return party.Replace([]byte(renewed.Item.Certificate))
}
