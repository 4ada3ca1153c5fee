package bus

import (
	"crypto/tls"
	"errors"

	"github.com/nats-io/nats-server/v2/server"
)

// What a server with TLS allows to those who are, or are not yet, known to it. An agent has two connections with four
// subscriptions each, a monitor one with ten.
const (
	maxClients     = 16 << 10
	maxSubs        = 32   // of one client
	maxControlLine = 2048 // bytes; the longest of ours is a CONNECT of about 500
	handshakeLimit = 2.0  // seconds, for TLS and then again for who it is
)

// checkTLS finds what would leave a door open.
func (o ServerOptions) checkTLS() error {
	demands := func(config *tls.Config) bool { return config.ClientAuth == tls.RequireAndVerifyClientCert }
	switch {
	case o.TLS == nil && (o.RouteTLS != nil || o.Admit != nil):
		return errors.New("TLS for routes or Admit without TLS for clients")
	case o.TLS == nil:
		return nil
	case o.Admit == nil:
		return errors.New("TLS without Admit")
	case !demands(o.TLS):
		return errors.New("TLS for clients does not demand their certificates")
	case o.RoutePort != 0 && o.RouteTLS == nil:
		return errors.New("TLS for clients and none for other servers")
	case o.RouteTLS != nil && !demands(o.RouteTLS):
		return errors.New("TLS for other servers does not demand their certificates")
	}
	return nil
}

// secure puts the gate before clients and other servers. Leaf nodes, gateways, websockets and MQTT have no port at all.
func (o ServerOptions) secure(opts *server.Options, door *gate) {
	opts.TLSConfig = o.TLS
	opts.TLSTimeout = handshakeLimit
	opts.AuthTimeout = handshakeLimit
	opts.CustomClientAuthentication = door
	opts.AlwaysEnableNonce = true
	opts.MaxConn = maxClients
	opts.MaxSubs = maxSubs
	opts.MaxControlLine = maxControlLine
	if o.RoutePort != 0 {
		opts.Cluster.TLSConfig = o.RouteTLS
		opts.Cluster.TLSTimeout = handshakeLimit
		opts.CustomRouterAuthentication = routeGate{door.log}
	}
}

// Review disconnects every agent that Admit does not let in any more. It does not wait for them, and returns how many it
// disconnected. Call it when what Admit says may have changed.
func (s *Server) Review() int {
	if s.gate == nil {
		return 0
	}
	revoked := 0
	for _, who := range s.gate.known() {
		if s.gate.admit(who.holder.Name, who.spki, who.nkey) {
			continue
		}
		// It fails only if the client is gone already.
		if s.nats.DisconnectClientByID(who.id) == nil {
			revoked++
			s.gate.log.refused("bus client disconnected", who, errRevoked)
		}
		s.gate.forget(who.id)
	}
	return revoked
}

var errRevoked = errors.New("no agent is enrolled with this certificate and this nkey any more")
