package bus

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/wire"
)

// maxShown is how much of what a stranger calls itself is written to the log.
const maxShown = 64

// gate decides who comes in, and remembers who did. An agent must show a certificate and an nkey that belong to each other: the
// replicated state says so. This process itself comes in over a pipe, with a key that the gate made and that is nowhere else.
type gate struct {
	admit func(host, spki, nkey string) bool
	own   nkeys.KeyPair
	name  string // public part of own
	// gone says that a client is connected no more. A client is known to the server before it is checked.
	gone func(id uint64) bool
	log  *serverLog

	mu      sync.Mutex // clients are checked in the goroutines of their connections; never held during a call of NATS
	clients map[uint64]caller
	sweepAt int // clients at which those that are gone are forgotten
}

// firstSweep is at how many clients the gate first looks for those that are gone.
const firstSweep = 64

// caller is who a client is.
type caller struct {
	id         uint64
	address    string
	holder     identity.ID // zero if it shows no certificate
	spki, nkey string
}

var _ server.Authentication = (*gate)(nil)

func newGate(admit func(host, spki, nkey string) bool, log *serverLog) (*gate, error) {
	own, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make the key of this process: %w", err)
	}
	name, err := own.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of this process: %w", err)
	}
	return &gate{admit: admit, own: own, name: name, log: log, clients: map[uint64]caller{}, sweepAt: firstSweep}, nil
}

// Check implements server.Authentication.
func (g *gate) Check(client server.ClientAuthentication) bool {
	who, err := g.enter(client)
	if err != nil {
		g.log.refused("bus client refused", who, err)
		return false
	}
	return true
}

// enter lets a client in with the permissions that it has, or says why not.
func (g *gate) enter(client server.ClientAuthentication) (caller, error) {
	who := caller{id: client.GetID(), nkey: client.GetOpts().Nkey}
	address := client.RemoteAddress()
	if address == nil {
		return who, errors.New("it is gone")
	}
	who.address = address.String()
	if client.Kind() != server.CLIENT {
		return who, errors.New("only clients are served here")
	}
	if address.Network() == pipeNetwork {
		return who, g.enterOwn(client, who)
	}
	cert, err := verified(client.GetTLSConnectionState())
	if err != nil {
		return who, err
	}
	if who.holder, err = identity.Holder(cert.PeerCertificates[0]); err != nil {
		return who, err
	}
	who.spki = identity.SPKI(cert.PeerCertificates[0])
	if who.holder.Kind != identity.Agent {
		return who, fmt.Errorf("a certificate of a %s is no agent's", who.holder.Kind)
	}
	if strings.ContainsAny(who.holder.Name, ".*> \t\r\n") {
		return who, errors.New("the name in the certificate is no host's")
	}
	if err := proven(client, who.nkey); err != nil {
		return who, err
	}
	// Remembered before it is asked for, so that a Review in between finds it.
	g.remember(who)
	if !g.admit(who.holder.Name, who.spki, who.nkey) {
		g.forget(who.id)
		return who, errors.New("no agent is enrolled with this certificate and this nkey, as far as this monitor knows")
	}
	client.RegisterUser(&server.User{
		Username: who.holder.String(), Permissions: permissions(wire.AgentPublishes(who.holder.Name), wire.AgentHears(who.holder.Name)),
	})
	return who, nil
}

// pipeNetwork is the network of a net.Pipe, over which connections within this process run, and nobody else's.
const pipeNetwork = "pipe"

func (g *gate) enterOwn(client server.ClientAuthentication, who caller) error {
	if who.nkey != g.name {
		return errors.New("it runs in this process and does not have the key of it")
	}
	if err := proven(client, who.nkey); err != nil {
		return err
	}
	all := []string{wire.Everything()}
	client.RegisterUser(&server.User{Username: "this monitor", Permissions: permissions(all, all)})
	return nil
}

// verified is the state of a connection whose caller showed a certificate that TLS found good.
func verified(state *tls.ConnectionState) (*tls.ConnectionState, error) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, errors.New("it shows no certificate")
	}
	return state, nil
}

// proven checks that a client has the secret part of its nkey: it signed what this server gave to this connection.
func proven(client server.ClientAuthentication, nkey string) error {
	if nkey == "" {
		return errors.New("it shows no nkey")
	}
	if !nkeys.IsValidPublicUserKey(nkey) {
		return errors.New("what it shows as an nkey is none")
	}
	public, err := nkeys.FromPublicKey(nkey)
	if err != nil {
		return errors.New("what it shows as an nkey is none")
	}
	signature, err := base64.RawURLEncoding.DecodeString(client.GetOpts().Sig)
	if err != nil {
		return errors.New("the signature of its nkey cannot be read")
	}
	if nonce := client.GetNonce(); len(nonce) == 0 || public.Verify(nonce, signature) != nil {
		return errors.New("the signature is not of the nkey that it shows")
	}
	return nil
}

func permissions(publish, subscribe []string) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
	}
}

func (g *gate) remember(who caller) {
	g.mu.Lock()
	g.clients[who.id] = who
	full := len(g.clients) >= g.sweepAt
	g.mu.Unlock()
	if full {
		g.sweep()
	}
}

func (g *gate) forget(ids ...uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.clients, id)
	}
}

// sweep forgets the clients that are gone. NATS does not tell when one goes, so the gate looks each time that it knows twice
// as many as were left the last time.
func (g *gate) sweep() {
	var gone []uint64
	for _, who := range g.known() {
		if g.gone(who.id) {
			gone = append(gone, who.id)
		}
	}
	g.forget(gone...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweepAt = max(firstSweep, 2*len(g.clients))
}

func (g *gate) known() []caller {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := make([]caller, 0, len(g.clients))
	for _, who := range g.clients {
		known = append(known, who)
	}
	return known
}

// holderOf is whose certificate a client came in with; zero if it is not known.
func (g *gate) holderOf(id uint64) identity.ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clients[id].holder
}

// routeGate lets in the servers of other monitors. TLS has refused all others before; this is a second door.
type routeGate struct{ log *serverLog }

var _ server.Authentication = routeGate{}

// Check implements server.Authentication.
func (g routeGate) Check(client server.ClientAuthentication) bool {
	who := caller{id: client.GetID()}
	if address := client.RemoteAddress(); address != nil {
		who.address = address.String()
	}
	state, err := verified(client.GetTLSConnectionState())
	if err == nil {
		who.holder, err = identity.Holder(state.PeerCertificates[0])
	}
	if err == nil && (who.holder.Kind != identity.Monitor || client.Kind() != server.ROUTER) {
		err = errors.New("only monitors are served here")
	}
	if err != nil {
		g.log.refused("bus route refused", who, err)
	}
	return err == nil
}

// describe writes who a caller is to a line of the log.
func (c caller) describe(event *zerolog.Event) {
	certificate, nkey := "none", "none"
	if c.holder.Name != "" {
		certificate = shown(c.holder.String())
	}
	if c.nkey != "" {
		nkey = shown(c.nkey)
	}
	event.Str("certificate", certificate).Str("nkey", nkey).Str("address", c.address)
}

func shown(text string) string {
	if len(text) > maxShown {
		return text[:maxShown] + "…"
	}
	return text
}

// source is the part of an address by which the log tells callers apart: without the port.
func source(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
