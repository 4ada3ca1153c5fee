package bus

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/wire"
)

// TestRoutesOverTLS lets an agent at one server be heard by the monitor in another.
func TestRoutesOverTLS(t *testing.T) {
	e := newEstate(t)
	first := e.server("m1")
	o := e.options("m2")
	o.Routes = []string{first.RouteAddr()}
	second := startServer(t, o)
	agent := dialPair(t, as2(e, "east-1", first))
	monitor := dial(t, Options{Name: "m2", InProcess: second})
	heard := subscribe(t, monitor, wire.AllBeats())
	beatUntil(t, heard, "over there", 2, func() { agent.Beat(wire.BeatSubject("east-1"), []byte("over there")) })
	commands := subscribe(t, agent, wire.CommandSubject("east-1"))
	beatUntil(t, commands, "and back", 2, func() {
		if err := monitor.Publish(wire.CommandSubject("east-1"), []byte("and back")); err != nil {
			t.Error(err)
		}
	})
}

// TestRoutesAreForMonitors joins a cluster with servers that are no monitor's.
func TestRoutesAreForMonitors(t *testing.T) {
	e := newEstate(t)
	party, _ := e.agent("east-1")
	foreign := newEstate(t)
	unchecked := func(p *identity.Party) *tls.Config {
		config := p.Peer()
		config.VerifyConnection, config.InsecureSkipVerify = nil, true // it trusts everybody, so that only its victim can refuse
		return config
	}
	late := e.card(e.issuer, identity.ID{Kind: identity.Monitor, Name: "m2"}, time.Now().Add(-identity.LeafLife-time.Hour))
	for name, test := range map[string]struct {
		route *tls.Config
		want  string
	}{
		"an agent's":       {unchecked(party), "the certificate is of agent east-1"},
		"a user's":         {unchecked(e.party(identity.User, "ann")), "the certificate is of user ann"},
		"a foreign's":      {unchecked(foreign.party(identity.Monitor, "m2")), "unknown authority"},
		"an expired":       {unchecked(late), "expired"},
		"without any":      {nil, "TLS"},
		"of a new monitor": {unchecked(e.party(identity.Monitor, "m2")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			victim := newEstate(t)
			victim.root, victim.issuer = e.root, e.issuer
			s := victim.server("m1")
			thief := ServerOptions{
				Name: "m2", Host: "127.0.0.1", Port: AnyPort, RouteHost: "127.0.0.1", RoutePort: AnyPort, Cluster: "test",
				Routes: []string{s.RouteAddr()}, Logger: zerolog.Nop(),
			}
			if test.route != nil {
				thief.TLS, thief.RouteTLS, thief.Admit = e.party(identity.Monitor, "m2").Server(identity.Agent), test.route, e.admit
			}
			startServer(t, thief)
			if test.want == "" { // the test would see one that comes in
				eventually(t, "a monitor comes in", func() bool { return s.nats.NumRoutes() > 0 })
				return
			}
			victim.log.want(t, "rid:", "127.0.0.1:", test.want)
			if n := s.nats.NumRoutes(); n != 0 {
				t.Errorf("%d routes came in", n)
			}
		})
	}
}

// TestRouteGate holds the second door: TLS that lets in whom it should not.
func TestRouteGate(t *testing.T) {
	e := newEstate(t)
	o := e.options("m1")
	o.RouteTLS.VerifyConnection = nil
	s := startServer(t, o)
	party, _ := e.agent("east-1")
	thief := e.options("m2")
	thief.RouteTLS = party.Peer()
	thief.Logger = zerolog.Nop()
	thief.Routes = []string{s.RouteAddr()}
	startServer(t, thief)
	e.log.want(t, "bus route refused", `"certificate":"agent east-1"`, "only monitors are served here", `"address":"127.0.0.1:`)
	if n := s.nats.NumRoutes(); n != 0 {
		t.Errorf("%d routes came in", n)
	}
}

// TestClientsDoNotEnterByTheRoutePort holds that an agent cannot do over the other port what it may not over its own, and that
// no other port is open.
func TestClientsDoNotEnterByTheRoutePort(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	party, _ := e.agent("east-1")
	c, err := tls.Dial("tcp", s.RouteAddr(), party.Client())
	if err == nil { // in TLS 1.3 the caller hears of the refusal when it reads
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("got %v, want the certificate to be refused", err)
	}
	e.log.want(t, "the certificate is of agent east-1", "rid:", "127.0.0.1:")
	ports := s.nats.PortsInfo(patience)
	if len(ports.Nats) != 1 || len(ports.Cluster) != 1 || len(ports.WebSocket)+len(ports.Monitoring)+len(ports.Profile) > 0 ||
		s.nats.GatewayAddr() != nil {
		t.Errorf("the server listens for more than clients and other servers: %+v", ports)
	}
}
