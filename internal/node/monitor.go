package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/holter-ha/holter/actions/fence"
	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/audit"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/monitor"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/raftstore"
)

const (
	stopLimit = 5 * time.Second
	lookLimit = time.Second
)

// MonitorNode is one monitor process.
type MonitorNode struct {
	config  MonitorConfig
	version string
	log     zerolog.Logger
	server  *bus.Server // nil with a dialled NATS
	conn    *bus.Conn
	audit   *audit.Log
	store   *raftstore.Store
	monitor *monitor.Monitor
	api     net.Listener
	socket  net.Listener // nil without TLS

	secured *secured                        // nil without TLS
	nkey    string                          // public: by which a dialled NATS knows this monitor; empty without TLS
	admits  atomic.Pointer[raftstore.Store] // store, once it is open: agents come in before
}

// StartMonitor opens every port and the data directory of a monitor. What it returns must be Run.
func StartMonitor(c MonitorConfig, version string, log zerolog.Logger) (*MonitorNode, error) {
	n := &MonitorNode{config: c, version: version, log: log.With().Str("monitor", c.Name).Logger()}
	if err := n.open(); err != nil {
		n.close()
		return nil, err
	}
	options := monitor.Options{
		Name: c.Name, ID: n.store.ID(), Taken: n.store.Taken(), Monitors: names(c.Monitors), Version: version, Fencer: fencer{fence.New(fence.Options{})}, Trouble: n.store.Trouble, Logger: n.log,
	}
	if n.secured != nil {
		options.Expires = n.secured.party.Expires
	}
	n.monitor = monitor.New(n.store, n.conn, Boottime, options)
	return n, nil
}

func (n *MonitorNode) open() (err error) {
	own := n.config.Monitors[n.config.Name]
	if n.secured, err = loadSecured(n.config); err != nil {
		return err
	}
	if n.api, err = listen("the API", join(own.Address, own.API)); err != nil {
		return err
	}
	stream, err := n.listenRaft(join(own.Address, own.Raft))
	if err != nil {
		return err
	}
	if err := n.startBus(); err != nil {
		return errors.Join(err, stream.Close())
	}
	if n.audit, err = audit.Open(audit.Options{Monitor: n.config.Name, Dir: n.config.DataDir, Logger: n.log}); err != nil {
		return errors.Join(err, stream.Close())
	}
	if n.store, err = raftstore.Open(n.storeOptions(stream)); err != nil {
		return err
	}
	n.admits.Store(n.store)
	n.socket, err = n.listenSocket()
	return err
}

func listen(whom, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for %s: %s is in use by another program: %w", whom, address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", whom, err)
	}
	return l, nil
}

// startBus starts the embedded NATS and attaches to it, or dials the user's own.
func (n *MonitorNode) startBus() (err error) {
	options := bus.Options{Name: "monitor-" + n.config.Name, URLs: n.config.NATS.URL.List(), Logger: n.log}
	if len(options.URLs) == 0 {
		own := n.config.Monitors[n.config.Name]
		server := bus.ServerOptions{Name: n.config.Name, Host: own.Address, Port: own.NATS, Cluster: "holter", Logger: n.log}
		if len(n.config.Monitors) > 1 {
			server.RouteHost, server.RoutePort = own.Address, own.Routes
			for _, name := range names(n.config.Monitors) {
				server.Routes = append(server.Routes, join(n.config.Monitors[name].Address, n.config.Monitors[name].Routes))
			}
		}
		n.secureBus(&server)
		if n.server, err = bus.StartServer(server); err != nil {
			return err
		}
		options.InProcess = n.server
	} else if n.secured != nil {
		options.TLS = n.secured.party.Client()
		if options.NKey, err = monitorNKey(n.config.TLS.Dir); err != nil {
			return err
		}
		if n.nkey, err = options.NKey.PublicKey(); err != nil {
			return err
		}
	}
	n.conn, err = bus.Dial(options)
	return err
}

func (n *MonitorNode) storeOptions(stream raft.StreamLayer) raftstore.Options {
	peers := map[string]string{}
	for name, a := range n.config.Monitors {
		peers[name] = join(a.Address, a.Raft)
	}
	minFree, _ := size(n.config.Disk.MinFree) // checked with the config
	ballast, _ := size(n.config.Disk.Ballast)
	admin := ""
	if n.secured != nil {
		admin = firstAdmin
	}
	return raftstore.Options{
		Admin: admin, Name: n.config.Name, Dir: n.config.DataDir, Stream: stream, Peers: peers,
		Log: n.log, Observer: n.audit,
		MinFree: minFree, Ballast: max(ballast, 0), Join: n.config.Join,
	}
}

// Run is the monitor's life: until ctx ends or a part of it fails.
func (n *MonitorNode) Run(ctx context.Context) error {
	defer n.close()
	server, listener := n.serveAPI()
	outside, err := n.mount(server)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.monitor.Run(ctx) })
	group.Go(func() error { return Greet(ctx, n.config.Name, n.store, n.conn) })
	group.Go(func() error { return server.Serve(ctx, listener) })
	group.Go(func() error { return outside.stream.Run(ctx) })
	group.Go(func() error { return outside.notifier.Run(ctx) })
	group.Go(func() error {
		return tellSystemd(ctx, n.monitor.Alive, func(err error) { n.log.Warn().Err(err).Msg("systemd was not told") })
	})
	if n.secured != nil {
		group.Go(func() error { return server.Serve(ctx, n.socket) })
		group.Go(func() error { return n.renewOwn(ctx) })
		if n.server != nil {
			group.Go(func() error { return n.review(ctx) })
		}
	}
	n.log.Info().Str("api", n.config.apiURL(n.config.Name)).Bool("tls", n.secured != nil).Str("version", n.version).Msg("monitor started")
	err = group.Wait()
	n.log.Info().Err(err).Msg("monitor stopped")
	return err
}

// close stops what was started, the last first: leadership goes over before the bus goes down.
func (n *MonitorNode) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if n.store != nil {
		if err := n.store.Shutdown(ctx); err != nil {
			n.log.Warn().Err(err).Msg("log was not closed in time")
		}
	}
	if n.audit != nil {
		if err := n.audit.Close(ctx); err != nil {
			n.log.Warn().Err(err).Msg("audit file was not closed in time")
		}
	}
	if n.conn != nil {
		n.conn.Close()
	}
	if n.server != nil {
		n.server.Shutdown()
	}
	if n.socket != nil {
		_ = n.socket.Close() // closed already after Run
	}
	if n.api != nil {
		_ = n.api.Close() // closed already after Run
	}
}

// Look implements console.Monitor.
func (n *MonitorNode) Look() console.Look {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	picture, err := n.monitor.Picture(ctx)
	if err != nil {
		n.log.Warn().Err(err).Msg("picture was not made in time")
		picture = &planner.Picture{At: n.store.State().At}
	}
	info := n.store.Info()
	look := console.Look{
		Self: n.config.Name, State: n.store.State(), Now: picture.At, Picture: picture, Leader: info.Leader, Leading: info.Leading,
		Term: info.Term, LeaderContact: info.Contact, Members: []console.Member{}, Version: n.version,
	}
	if _, ok := n.config.Monitors[info.Leader]; ok {
		look.LeaderAPI = n.config.apiURL(info.Leader)
	}
	for _, name := range names(n.config.Monitors) {
		member := console.Member{Name: name, API: n.config.apiURL(name), Suffrage: "nonvoter"}
		if slices.ContainsFunc(info.Members, func(m raftstore.Member) bool { return m.Name == name && m.Voter }) {
			member.Suffrage = "voter"
		}
		look.Members = append(look.Members, member)
	}
	return look
}

// Propose implements console.Monitor.
func (n *MonitorNode) Propose(ctx context.Context, e planner.Entry) (uint64, error) {
	return n.monitor.Propose(ctx, e)
}

// State is the newest state that this monitor has applied.
func (n *MonitorNode) State() *planner.State { return n.store.State() }

// Watch implements console.Monitor.
func (n *MonitorNode) Watch() (changed <-chan struct{}, stop func()) { return n.store.Watch() }
