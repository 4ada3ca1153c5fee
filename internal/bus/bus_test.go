package bus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/wire"
)

// patience is how long a test waits for what must come, before it fails.
const patience = 20 * time.Second

func startServer(t *testing.T, o ServerOptions) *Server {
	t.Helper()
	s, err := StartServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// startCluster starts n servers on ports that the system chooses. All know the first one's address, and hear of the others.
func startCluster(t *testing.T, n int) []*Server {
	t.Helper()
	var servers []*Server
	var routes []string
	for i := range n {
		s := startServer(t, ServerOptions{
			Name: fmt.Sprintf("m%d", i+1), Host: "127.0.0.1", Port: AnyPort,
			RouteHost: "127.0.0.1", RoutePort: AnyPort, Routes: routes, Cluster: "test", Logger: zerolog.Nop(),
		})
		if i == 0 {
			routes = []string{s.RouteAddr()}
		}
		servers = append(servers, s)
	}
	return servers
}

func dial(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func dialPair(t *testing.T, o Options) *Pair {
	t.Helper()
	p, err := DialPair(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// subscriber is what Conn and Pair offer to the monitor and the agent.
type subscriber interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
}

var (
	_ subscriber = (*Conn)(nil)
	_ subscriber = (*Pair)(nil)
)

// subscribe returns a channel with what arrives on a subject, once the servers of s know that it listens.
func subscribe(t *testing.T, s subscriber, subject string) <-chan string {
	t.Helper()
	arrived := make(chan string, 4096)
	if _, err := s.Subscribe(subject, func(_ string, data []byte) { arrived <- string(data) }); err != nil {
		t.Fatal(err)
	}
	switch s := s.(type) {
	case *Conn:
		flush(t, s)
	case *Pair:
		flush(t, s.conns[0])
		flush(t, s.conns[1])
	}
	return arrived
}

// flush waits until the server has what was sent.
func flush(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.nats.Flush(); err != nil {
		t.Fatal(err)
	}
}

// beatUntil calls beat every few milliseconds, as an agent would, until want has arrived as often as wanted.
func beatUntil(t *testing.T, arrived <-chan string, want string, times int, beat func()) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for times > 0 {
		select {
		case got := <-arrived:
			if got == want {
				times--
			}
		case <-tick.C:
			beat()
		case <-limit:
			t.Fatalf("%q did not arrive within %v", want, patience)
		}
	}
}

func TestBeatCrossesServers(t *testing.T) {
	servers := startCluster(t, 3)
	monitor := dial(t, Options{Name: "m3", InProcess: servers[2]})
	agent := dial(t, Options{Name: "east-1", URLs: []string{servers[1].ClientURL()}})
	arrived := subscribe(t, monitor, wire.AllBeats())
	beatUntil(t, arrived, "beat", 1, func() {
		if err := agent.Publish(wire.BeatSubject("east-1"), []byte("beat")); err != nil {
			t.Error(err)
		}
	})
}

// TestPairOutlivesServer stops the server of one of a pair's connections, and not a single beat may be missing.
func TestPairOutlivesServer(t *testing.T) {
	servers := startCluster(t, 3)
	at := map[string]*Server{}
	var urls []string
	for _, s := range servers {
		at[s.nats.Name()] = s
		urls = append(urls, s.ClientURL())
	}
	pair := dialPair(t, Options{Name: "east-1", URLs: urls})
	first, second := pair.conns[0].nats.ConnectedServerName(), pair.conns[1].nats.ConnectedServerName()
	if first == second {
		t.Fatalf("both connections are at %s, want them apart", first)
	}
	third := slices.IndexFunc(servers, func(s *Server) bool { return s != at[first] && s != at[second] })
	monitor := dial(t, Options{Name: "m", InProcess: servers[third]})
	arrived := subscribe(t, monitor, wire.AllBeats())
	// The servers may still be telling each other who listens.
	for i, c := range pair.conns {
		way := fmt.Sprintf("over %d", i)
		beatUntil(t, arrived, way, 1, func() {
			if err := c.Publish(wire.BeatSubject("east-1"), []byte(way)); err != nil {
				t.Error(err)
			}
		})
	}
	for seq := range 100 {
		if seq == 20 {
			at[first].Shutdown()
		}
		want := fmt.Sprint(seq)
		pair.Beat(wire.BeatSubject("east-1"), []byte(want))
		beatUntil(t, arrived, want, 1, func() {})
	}
}

func TestPairWithOneServer(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", Host: "127.0.0.1", Port: AnyPort})
	monitor := dial(t, Options{Name: "m1", InProcess: s})
	pair := dialPair(t, Options{Name: "east-1", URLs: []string{s.ClientURL()}})
	arrived := subscribe(t, monitor, wire.AllBeats())
	pair.Beat(wire.BeatSubject("east-1"), []byte("1"))
	beatUntil(t, arrived, "1", 2, func() {}) // once over each connection
	commands := subscribe(t, pair, wire.CommandSubject("east-1"))
	if err := monitor.Publish(wire.CommandSubject("east-1"), []byte("stop")); err != nil {
		t.Fatal(err)
	}
	beatUntil(t, commands, "stop", 2, func() {}) // once from each connection
}

// TestPairPublishTakesTheSecond publishes while the first connection has no server.
func TestPairPublishTakesTheSecond(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", Host: "127.0.0.1", Port: AnyPort})
	monitor := dial(t, Options{Name: "m1", InProcess: s})
	pair := dialPair(t, Options{Name: "east-1", URLs: []string{s.ClientURL()}})
	arrived := subscribe(t, monitor, wire.AllResults())
	pair.conns[0].nats.Close()
	if err := pair.Publish(wire.ResultSubject("east-1"), []byte("done")); err != nil {
		t.Fatal(err)
	}
	beatUntil(t, arrived, "done", 1, func() {})
}

// TestForeignServer dials a nats-server that is not ours and has its own defaults.
func TestForeignServer(t *testing.T) {
	foreign, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	foreign.Start()
	t.Cleanup(func() { foreign.Shutdown(); foreign.WaitForShutdown() })
	if !foreign.ReadyForConnections(patience) {
		t.Fatal("the foreign server is not ready")
	}
	monitor := dial(t, Options{Name: "m1", URLs: []string{foreign.ClientURL()}})
	pair := dialPair(t, Options{Name: "east-1", URLs: []string{foreign.ClientURL()}})
	arrived := subscribe(t, monitor, wire.AllBeats())
	beatUntil(t, arrived, "1", 1, func() { pair.Beat(wire.BeatSubject("east-1"), []byte("1")) })
}

func TestLameDuckSendsClientsAway(t *testing.T) {
	servers := startCluster(t, 2)
	monitor := dial(t, Options{Name: "m2", InProcess: servers[1]})
	agent := dial(t, Options{Name: "east-1", URLs: []string{servers[0].ClientURL(), servers[1].ClientURL()}})
	arrived := subscribe(t, monitor, wire.AllBeats())
	servers[0].LameDuck()
	beatUntil(t, arrived, "1", 1, func() {
		// An error is a beat that was not sent; the next one may be.
		_ = agent.Publish(wire.BeatSubject("east-1"), []byte("1"))
	})
	if got := agent.nats.ConnectedServerName(); got != "m2" {
		t.Errorf("the agent is at %q, want m2", got)
	}
}
