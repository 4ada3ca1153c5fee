package bus

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/holter-ha/holter/internal/identity"
)

// bad is what a probe found wrong.
func bad(found []Finding) []string {
	var wrong []string
	for _, f := range found {
		if !f.OK() {
			wrong = append(wrong, f.String())
		}
	}
	return wrong
}

func TestProbeOfOurServer(t *testing.T) {
	e := newEstate(t)
	found := Probe(t.Context(), as2(e, "east-1", e.server("m1")), "east-1")
	if wrong := bad(found); len(wrong) > 0 || len(found) < 50 {
		t.Errorf("%d tries, wrong: %q", len(found), wrong)
	}
}

// TestProbeFindsAnOpenServer probes a NATS that lets everybody do everything.
func TestProbeFindsAnOpenServer(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", Host: "127.0.0.1", Port: AnyPort})
	found := Probe(t.Context(), Options{Name: "east-1", URLs: []string{s.ClientURL()}}, "east-1")
	for _, f := range found {
		// Only what no server lets through is refused.
		if f.Err != nil || f.OK() == f.Want {
			t.Errorf("got %s", f)
		}
	}
	text := strings.Join(bad(found), "\n")
	for _, want := range []string{
		"publish on holter.v1.beat._probe: allowed, must be refused", "subscribe to >: allowed, must be refused",
		"publish on holter.v1.ack.east-1: allowed, must be refused", "connect without an nkey: allowed, must be refused",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestProbeWithoutServer(t *testing.T) {
	found := Probe(t.Context(), Options{Name: "east-1", URLs: []string{"nats://127.0.0.1:1"}}, "east-1")
	if len(found) != 1 || found[0].OK() || !strings.HasPrefix(found[0].String(), "connect as the agent of east-1: could not be tried: ") {
		t.Errorf("got %v", found)
	}
}

// foreignServer starts a nats-server with a configuration of its owner's.
func foreignServer(t *testing.T, config string) *server.Server {
	t.Helper()
	opts := &server.Options{}
	if err := opts.ProcessConfigString(config); err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.NoLog, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the foreign server is not ready")
	}
	return s
}

// TestACL gives what ACL writes to a nats-server, and finds by trying that it means what it should.
func TestACL(t *testing.T) {
	key1, key2, monitors := must(nkeys.CreateUser()), must(nkeys.CreateUser()), must(nkeys.CreateUser())
	text := ACL(map[string]string{"m1": must(monitors.PublicKey())}, map[string]string{"east-1": must(key1.PublicKey()), "east-2": must(key2.PublicKey())})
	s := foreignServer(t, text)
	for host, key := range map[string]nkeys.KeyPair{"east-1": key1, "east-2": key2} {
		if wrong := bad(Probe(t.Context(), Options{Name: host, URLs: []string{s.ClientURL()}, NKey: key}, host)); len(wrong) > 0 {
			t.Errorf("%s: %q", host, wrong)
		}
	}
	// The keys of one agent with the name of another: all that is its own is wrong.
	wrong := bad(Probe(t.Context(), Options{Name: "east-2", URLs: []string{s.ClientURL()}, NKey: key1}, "east-2"))
	if len(wrong) != 10 {
		t.Errorf("another's keys: got %q, want the 10 subjects of the agent to be refused", wrong)
	}
	monitor := dial(t, Options{Name: "m1", URLs: []string{s.ClientURL()}, NKey: monitors})
	agent := dialPair(t, Options{Name: "east-1", URLs: []string{s.ClientURL()}, NKey: key1})
	heard := subscribe(t, monitor, "holter.v1.beat.*")
	beatUntil(t, heard, "1", 1, func() { agent.Beat("holter.v1.beat.east-1", []byte("1")) })
}

// TestProbeWithPassword probes a NATS that knows its users by password: who has none is a stranger.
func TestProbeWithPassword(t *testing.T) {
	s := foreignServer(t, `authorization { user: "a", password: "p" }`)
	found := Probe(t.Context(), Options{Name: "east-1", URLs: []string{strings.Replace(s.ClientURL(), "nats://", "nats://a:p@", 1)}}, "east-1")
	last := found[len(found)-1]
	if last.Tried != "connect without an nkey" || !last.OK() {
		t.Errorf("got %s, want a stranger to be refused", last)
	}
}

// TestACLHasGaps holds that a configuration with keys to be filled in is refused, rather than open.
func TestACLHasGaps(t *testing.T) {
	text := ACL(map[string]string{"m1": ""}, map[string]string{"east-1": ""})
	for _, want := range []string{`"NKEY_OF_MONITOR_m1"`, `"NKEY_OF_east-1"`, "# the agent of east-1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(text); err == nil {
		t.Error("NATS takes it with the gaps")
	}
}

// TestProbeNeedsTLS holds that a probe shows the certificate that it was given.
func TestProbeNeedsTLS(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	o := as2(e, "east-1", s)
	o.TLS = e.party(identity.Agent, "east-1").Client() // of another key
	if found := Probe(t.Context(), o, "east-1"); len(found) != 1 || found[0].Err == nil {
		t.Errorf("got %v, want that it does not come in", found)
	}
}
