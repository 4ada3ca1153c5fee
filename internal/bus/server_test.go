package bus

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

// listen takes a port of 127.0.0.1, or a free one for port 0.
func listen(t *testing.T, port int) (l net.Listener, taken int) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed before in some tests
	return l, l.Addr().(*net.TCPAddr).Port
}

func TestPortInUse(t *testing.T) {
	_, taken := listen(t, 0)
	l, free := listen(t, 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		clients, routes int
		want            string
	}{
		{taken, free, "start bus server m1: listen for clients: "},
		{free, taken, "start bus server m1: listen for other servers: "},
	} {
		s, err := StartServer(ServerOptions{
			Name: "m1", Host: "127.0.0.1", Port: test.clients, RouteHost: "127.0.0.1", RoutePort: test.routes, Cluster: "test",
		})
		if s != nil || !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s…address already in use", err, test.want)
		}
		left, _ := listen(t, free) // fails if the other half was started
		if err := left.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerRefusesOptions(t *testing.T) {
	for _, test := range []struct {
		o    ServerOptions
		want string
	}{
		{ServerOptions{Port: AnyPort}, "no host and port for clients"},
		{ServerOptions{Host: "127.0.0.1"}, "no host and port for clients"},
		{ServerOptions{DontListen: true, RoutePort: AnyPort, Cluster: "test"}, "no host for other servers, or no name of the cluster"},
		{ServerOptions{DontListen: true, RoutePort: AnyPort, RouteHost: "127.0.0.1"}, "no host for other servers, or no name of the cluster"},
		{ServerOptions{DontListen: true, Routes: []string{"m2"}}, `route "m2", want host:port: `},
	} {
		test.o.Name = "m1"
		_, err := StartServer(test.o)
		if want := "start bus server m1: " + test.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", test.o, err, want)
		}
	}
}

func TestServerLog(t *testing.T) {
	var out bytes.Buffer
	l := &serverLog{log: zerolog.New(&out)}
	l.Noticef("Server is %s", "ready")
	l.Errorf("route %d", 7)
	if got := l.fatal(); got != "" {
		t.Errorf("got fatal %q before there was one", got)
	}
	l.Fatalf("port %d", 9)
	want := `{"level":"debug","line":"Server is ready","message":"nats server reported"}
{"level":"warn","line":"route 7","message":"nats server reported"}
{"level":"error","line":"port 9","message":"nats server reported"}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if got := l.fatal(); got != "port 9" {
		t.Errorf("got fatal %q, want port 9", got)
	}
}

func TestAloneHasNoRouteAddr(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", DontListen: true})
	if got := s.RouteAddr(); got != "" {
		t.Errorf("got %q, want none", got)
	}
}
