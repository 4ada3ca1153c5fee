package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/wire"
)

// What a server tolerates before it gives a client or another server up.
const (
	serverPing       = time.Second
	serverPingsOut   = 2
	serverWrite      = 2 * time.Second
	routePing        = 500 * time.Millisecond
	routePingsOut    = 2
	routePool        = 3  // connections between two servers
	routeRetries     = 30 // attempts, one a second, to reach a server that is known only by hearsay
	lameDuck         = 3 * time.Second
	lameDuckGrace    = 500 * time.Millisecond
	serverReadyLimit = 10 * time.Second
)

// AnyPort as a port lets the system choose one.
const AnyPort = server.RANDOM_PORT

// ServerOptions says how an embedded server listens.
type ServerOptions struct {
	Name string // unique among the servers of a cluster

	// Clients come in on Host and Port (AnyPort for any), or only from this process if DontListen is set.
	Host       string
	Port       int
	DontListen bool

	// Other servers come in on RouteHost and RoutePort (AnyPort for any); port 0 for a server that stands alone.
	RouteHost string
	RoutePort int
	Routes    []string // host:port of every server of the cluster; this one may be among them
	Cluster   string   // name, the same on every server of the cluster

	// TLS lets in only clients that show a certificate and an nkey, and only for the subjects of their own host. It must
	// demand certificates of clients. Nil for a server that trusts whoever reaches it; then RouteTLS and Admit are nil as well.
	TLS *tls.Config
	// RouteTLS is how servers call and answer one another; it must let in monitors only.
	RouteTLS *tls.Config
	// Admit says whether the agent of a host is enrolled with exactly these keys: the SHA-256 of its certificate's public key in
	// hex, and the public part of its nkey. It is called from many goroutines and does not wait.
	Admit func(host, spki, nkey string) bool

	Logger zerolog.Logger
}

// Server is a nats-server in this process. It implements nats.InProcessConnProvider.
type Server struct {
	nats *server.Server
	gate *gate // nil without TLS
}

// StartServer starts a server and waits until it takes connections. A port that is in use is told before anything is started.
func StartServer(o ServerOptions) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("start bus server %s: %w", o.Name, err)
	}
	routes, err := o.routes()
	if err != nil {
		return nil, fmt.Errorf("start bus server %s: %w", o.Name, err)
	}
	log := &serverLog{log: o.Logger.With().Str("component", "nats").Logger()}
	opts := o.settings(routes)
	var door *gate
	if o.TLS != nil {
		if door, err = newGate(o.Admit, log); err != nil {
			return nil, fmt.Errorf("start bus server %s: %w", o.Name, err)
		}
		log.holderOf = door.holderOf
		o.secure(opts, door)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start bus server %s: %w", o.Name, err)
	}
	if door != nil {
		door.gone = func(id uint64) bool { return s.GetClient(id) == nil }
	}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	failed := log.fatal()
	if failed == "" && !s.ReadyForConnections(serverReadyLimit) {
		failed = fmt.Sprintf("not ready within %v", serverReadyLimit)
	}
	if failed != "" {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("start bus server %s: %s", o.Name, failed)
	}
	return &Server{nats: s, gate: door}, nil
}

func (o ServerOptions) settings(routes []*url.URL) *server.Options {
	opts := &server.Options{
		ServerName:          o.Name,
		Host:                o.Host,
		Port:                o.Port,
		DontListen:          o.DontListen,
		NoSigs:              true,
		MaxPayload:          wire.MaxMessage,
		PingInterval:        serverPing,
		MaxPingsOut:         serverPingsOut,
		WriteDeadline:       serverWrite,
		LameDuckDuration:    lameDuck,
		LameDuckGracePeriod: lameDuckGrace,
	}
	if o.RoutePort != 0 {
		opts.Routes = routes
		opts.Cluster = server.ClusterOpts{
			Name:           o.Cluster,
			Host:           o.RouteHost,
			Port:           o.RoutePort,
			PoolSize:       routePool,
			PingInterval:   routePing,
			MaxPingsOut:    routePingsOut,
			ConnectRetries: routeRetries,
		}
	}
	return opts
}

// check finds what NATS would replace by a default of its own, such as every address of the machine, and a port in use.
func (o ServerOptions) check() error {
	if err := o.checkTLS(); err != nil {
		return err
	}
	if !o.DontListen {
		if o.Host == "" || o.Port == 0 {
			return errors.New("no host and port for clients")
		}
		if err := probe(o.Host, o.Port); err != nil {
			return fmt.Errorf("listen for clients: %w", err)
		}
	}
	if o.RoutePort != 0 {
		if o.RouteHost == "" || o.Cluster == "" {
			return errors.New("no host for other servers, or no name of the cluster")
		}
		if err := probe(o.RouteHost, o.RoutePort); err != nil {
			return fmt.Errorf("listen for other servers: %w", err)
		}
	}
	return nil
}

// probe opens and closes a listener, so that a port in use is found while nothing is running yet.
func probe(host string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	if err != nil {
		return err
	}
	return l.Close()
}

func (o ServerOptions) routes() ([]*url.URL, error) {
	var routes []*url.URL
	for _, addr := range o.Routes {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("route %q, want host:port: %w", addr, err)
		}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: addr})
	}
	return routes, nil
}

// InProcessConn implements nats.InProcessConnProvider: it connects a client of this process without a socket.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// ClientURL is where clients reach the server.
func (s *Server) ClientURL() string { return s.nats.ClientURL() }

// RouteAddr is where other servers reach the server, as host:port; empty if it stands alone.
func (s *Server) RouteAddr() string {
	addr := s.nats.ClusterAddr()
	if addr == nil {
		return ""
	}
	return addr.String()
}

// LameDuck asks the clients to go elsewhere, one after the other, and then shuts the server down. It takes at most about
// three seconds.
func (s *Server) LameDuck() {
	s.nats.LameDuckShutdown()
	s.Shutdown()
}

// Shutdown ends the server at once and waits until it is gone. It may be called more than once.
func (s *Server) Shutdown() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}
