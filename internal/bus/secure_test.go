package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/wire"
)

// TestAgentSpeaksAndHears holds that everything an agent needs goes through, over TLS, to the monitor within the server.
func TestAgentSpeaksAndHears(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	pair := dialPair(t, as2(e, "east-1", s))
	monitor := dial(t, Options{Name: "m1", InProcess: s})
	for _, subject := range wire.AgentPublishes("east-1") {
		arrived := subscribe(t, monitor, strings.Replace(subject, "east-1", "*", 1))
		beatUntil(t, arrived, subject, 1, func() {
			if err := pair.Publish(subject, []byte(subject)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, subject := range wire.AgentHears("east-1") {
		arrived := subscribe(t, pair, subject)
		beatUntil(t, arrived, subject, 2, func() {
			if err := monitor.Publish(subject, []byte(subject)); err != nil {
				t.Error(err)
			}
		})
	}
	if line, _ := e.log.find("Violation"); line != "" {
		t.Errorf("something that an agent needs was refused: %s", line)
	}
	if !strings.HasPrefix(s.ClientURL(), "tls://") {
		t.Errorf("got the URL %s, want tls", s.ClientURL())
	}
}

// as2 is as for an agent that is enrolled now.
func as2(e *estate, host string, servers ...*Server) Options {
	party, pair := e.agent(host)
	return as(party, pair, servers...)
}

// TestAgentIsKeptToItsOwn tries what the agent of one host could do to others, and to itself, with its own keys.
func TestAgentIsKeptToItsOwn(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	monitor := dial(t, Options{Name: "m1", InProcess: s})
	heard := subscribe(t, monitor, wire.Everything())
	from := &dialler{}
	nc, err := as2(e, "east-1", s).connect(nats.SetCustomDialer(from))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	who := []string{`"certificate":"agent east-1"`, from.from, ":go:east-1"} // the last is what the client calls itself

	publish := slices.Concat(wire.AgentPublishes("east-2"), wire.AgentHears("east-1"), wire.AgentHears("east-2"), []string{
		wire.ViewSubject("m1"), wire.HelloSubject("m1"), wire.ReportSubject("m1"), wire.ReadIndexSubject("m1"), wire.FencedSubject("m1"),
		"holter.v2.beat.east-1", "x", "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "_INBOX.x",
	})
	for _, subject := range publish {
		if f := tryPublish(t.Context(), nc, subject, true); !f.OK() {
			t.Error(f)
		}
	}
	var stray []string
	subscribeTo := slices.Concat(wire.AgentHears("east-2"), wire.AgentHears("*"), wire.AgentPublishes("east-1"), wire.AgentPublishes("*"), []string{
		wire.AllViews(), wire.AllHellos(), wire.AllReports(), wire.AllReadIndexes(), wire.AllFenced(),
		"holter.v1.>", "holter.v1.*.east-1", "holter.v1.command.>", "holter.>", "holter.v1.command.east-1.>", ">", "*", "*.*.*.*",
		"$SYS.>", "_INBOX.>", "_INBOX.x.*",
	})
	for _, subject := range subscribeTo {
		if f := trySubscribe(t.Context(), nc, subject, true); !f.OK() {
			t.Error(f)
		}
		if _, err := nc.QueueSubscribe(subject, "q", func(m *nats.Msg) { stray = append(stray, m.Subject) }); err != nil {
			t.Error(err)
		}
	}
	// Each violation is in the log, up to the limit of lines from one address.
	e.log.want(t, append(who, "Publish Violation", wire.BeatSubject("east-2"))...)

	// Nothing of it got through: of all that was said, the monitor hears what comes last, and so does the agent.
	got := make(chan string, 16)
	if _, err := nc.Subscribe(wire.CommandSubject("east-1"), func(m *nats.Msg) { got <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish(wire.BeatSubject("east-1"), []byte("own")); err != nil {
		t.Fatal(err)
	}
	if first := <-heard; first != "own" {
		t.Errorf("the monitor heard %q, want the agent's own beat first", first)
	}
	for _, subject := range append(wire.AgentHears("east-2"), wire.CommandSubject("east-1")) {
		if err := monitor.Publish(subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
	if first := <-got; first != wire.CommandSubject("east-1") || len(stray) > 0 {
		t.Errorf("the agent heard %q and %q, want its own command only", first, stray)
	}
}

// TestSubscriptionViolationIsLogged looks at the log of a connection of its own: the one above has used up its lines.
func TestSubscriptionViolationIsLogged(t *testing.T) {
	e := newEstate(t)
	nc, err := as2(e, "east-1", e.server("m1")).connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{wire.CommandSubject("east-2"), ">", "$SYS.>"} {
		if f := trySubscribe(t.Context(), nc, subject, true); !f.OK() {
			t.Error(f)
		}
		e.log.want(t, `"certificate":"agent east-1"`, "127.0.0.1:", "Subscription Violation", fmt.Sprintf(`\"%s\"`, subject))
	}
}

// TestRefusedAtTheDoor tries to come in with what does not belong together.
func TestRefusedAtTheDoor(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	east1, key1 := e.agent("east-1")
	_, key2 := e.agent("east-2")
	foreign := newEstate(t)
	agent := func(name string) identity.ID { return identity.ID{Kind: identity.Agent, Name: name} }
	expired := e.card(e.issuer, agent("east-1"), time.Now().Add(-identity.LeafLife-time.Hour))
	early := e.card(e.issuer, agent("east-1"), time.Now().Add(time.Hour))
	stranger, strange := e.party(identity.Agent, "east-3"), must(nkeys.CreateUser())
	own := s.gate.own
	wild := map[string]*identity.Party{}
	for _, name := range []string{"*", ">", "a.b"} {
		wild[name] = e.party(identity.Agent, name)
		e.enrol(name, enrolled{identity.SPKI(wild[name].Cert()), must(key1.PublicKey())})
	}

	for name, test := range map[string]struct {
		tls  *tls.Config
		key  nkeys.KeyPair
		sign func(nonce []byte) ([]byte, error) // instead of key
		want []string
	}{
		"no certificate": {forged(nil), key1, nil, []string{"client didn't provide a certificate"}},
		"self-signed":    {e.selfSigned("east-1"), key1, nil, []string{"unknown authority", "CN=east-1"}},
		"foreign":        {forged(foreign.party(identity.Agent, "east-1")), key1, nil, []string{"unknown authority", "CN=east-1"}},
		"expired":        {expired.Client(), key1, nil, []string{"expired", "CN=east-1"}},
		"not yet valid":  {early.Client(), key1, nil, []string{"not yet valid", "CN=east-1"}},
		"a user's":       {e.party(identity.User, "ann").Client(), key1, nil, []string{"the certificate is of user ann"}},
		"a monitor's":    {e.party(identity.Monitor, "m2").Client(), key1, nil, []string{"is no agent's", `"certificate":"monitor m2"`}},

		"another's nkey":        {east1.Client(), key2, nil, []string{"no agent is enrolled", `"certificate":"agent east-1"`, must(key2.PublicKey())}},
		"another's certificate": {e.party(identity.Agent, "east-2").Client(), key1, nil, []string{"no agent is enrolled", `"certificate":"agent east-2"`}},
		"another certificate":   {e.party(identity.Agent, "east-1").Client(), key1, nil, []string{"no agent is enrolled", `"certificate":"agent east-1"`}},
		"never enrolled":        {stranger.Client(), strange, nil, []string{"no agent is enrolled", `"certificate":"agent east-3"`}},
		"no nkey":               {east1.Client(), nil, nil, []string{"shows no nkey", `"nkey":"none"`, `"certificate":"agent east-1"`}},
		"signed by another":     {east1.Client(), key1, key2.Sign, []string{"the signature is not of the nkey", `"certificate":"agent east-1"`}},
		"signed something else": {
			east1.Client(), key1, func([]byte) ([]byte, error) { return key1.Sign([]byte("an old nonce")) },
			[]string{"the signature is not of the nkey", `"certificate":"agent east-1"`},
		},
		"not signed": {
			east1.Client(), key1, func([]byte) ([]byte, error) { return nil, nil },
			[]string{"the signature is not of the nkey", `"certificate":"agent east-1"`},
		},
		"the server's own nkey": {east1.Client(), own, nil, []string{"no agent is enrolled", `"certificate":"agent east-1"`}},
		"named *":               {wild["*"].Client(), key1, nil, []string{"is no host's", `"certificate":"agent *"`}},
		"named >":               {wild[">"].Client(), key1, nil, []string{"is no host's", `"certificate":"agent >"`}},
		"named a.b":             {wild["a.b"].Client(), key1, nil, []string{"is no host's", `"certificate":"agent a.b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s.gate.log.forgive()
			from := &dialler{}
			more := []nats.Option{nats.SetCustomDialer(from)}
			if test.sign != nil {
				more = append(more, nats.Nkey(must(test.key.PublicKey()), test.sign))
			}
			o := Options{Name: "east-1", URLs: []string{s.ClientURL()}, TLS: test.tls, NKey: test.key}
			nc, err := o.connect(more...)
			if err == nil {
				nc.Close()
				t.Fatal("it was let in")
			}
			e.log.want(t, append(test.want, from.from)...)
		})
	}
	if known := s.gate.known(); len(known) != 0 {
		t.Errorf("the gate remembers %v, want nobody who was refused", known)
	}
	for _, key := range []nkeys.KeyPair{key1, key2, own} {
		if line, _ := e.log.find(string(must(key.Seed()))); line != "" {
			t.Errorf("a secret is in the log: %s", line)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestPlaintextIsRefused speaks to a server that speaks TLS without doing so.
func TestPlaintextIsRefused(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	_, key := e.agent("east-1")
	c, err := (&dialler{}).Dial("tcp", strings.TrimPrefix(s.ClientURL(), "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	connect := fmt.Sprintf("CONNECT {\"nkey\":%q,\"verbose\":true}\r\nPUB %s 0\r\n\r\nPING\r\n", must(key.PublicKey()), wire.BeatSubject("east-1"))
	if _, err := c.Write([]byte(connect)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var answer []byte
	for buffer := make([]byte, 4096); err == nil; {
		var n int
		n, err = c.Read(buffer)
		answer = append(answer, buffer[:n]...)
	}
	if text := string(answer); strings.Contains(text, "PONG") || strings.Contains(text, "+OK") || len(s.gate.known()) > 0 {
		t.Errorf("got %q, want no answer", text)
	}
}

// TestOwnProcessNeedsTheKey comes in over a pipe without the key of the server.
func TestOwnProcessNeedsTheKey(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	_, key := e.agent("east-1")
	for name, test := range map[string]struct {
		key  nkeys.KeyPair
		more []nats.Option
		want string
	}{
		"none":            {nil, nil, "does not have the key of it"},
		"an agent's":      {key, nil, "does not have the key of it"},
		"the name of own": {nil, []nats.Option{nats.Nkey(s.gate.name, key.Sign)}, "the signature is not of the nkey"},
	} {
		s.gate.log.forgive()
		// The wrapper hides that the provider is a Server, who would give its key.
		o := Options{Name: "x", InProcess: struct{ nats.InProcessConnProvider }{s}, NKey: test.key}
		nc, err := o.connect(test.more...)
		if err == nil {
			nc.Close()
			t.Errorf("%s: it was let in", name)
		}
		e.log.want(t, "bus client refused", test.want, `"certificate":"none"`, `"address":"pipe"`)
	}
}

// TestMonitorHearsOursOnly holds that even the monitor's own connection is for Holter's subjects.
func TestMonitorHearsOursOnly(t *testing.T) {
	s := newEstate(t).server("m1")
	nc, err := (Options{Name: "m1", InProcess: s}).connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, f := range []Finding{
		trySubscribe(t.Context(), nc, wire.Everything(), false), tryPublish(t.Context(), nc, wire.CommandSubject("east-1"), false),
		trySubscribe(t.Context(), nc, ">", true), trySubscribe(t.Context(), nc, "$SYS.>", true), tryPublish(t.Context(), nc, "$SYS.REQ.SERVER.PING", true),
	} {
		if !f.OK() {
			t.Error(f)
		}
	}
}

func TestServerRefusesHalfTLS(t *testing.T) {
	e := newEstate(t)
	monitor := e.party(identity.Monitor, "m1")
	for want, change := range map[string]func(*ServerOptions){
		"TLS without Admit":                                        func(o *ServerOptions) { o.Admit = nil },
		"TLS for clients and none for other servers":               func(o *ServerOptions) { o.RouteTLS = nil },
		"TLS for routes or Admit without TLS for clients":          func(o *ServerOptions) { o.TLS = nil },
		"TLS for clients does not demand their certificates":       func(o *ServerOptions) { o.TLS = monitor.ServerToAnyone() },
		"TLS for other servers does not demand their certificates": func(o *ServerOptions) { o.RouteTLS = monitor.Client() },
	} {
		o := e.options("m1")
		change(&o)
		s, err := StartServer(o)
		if err == nil {
			s.Shutdown()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestRevokedIsGone revokes an agent that is connected, and admits it again.
func TestRevokedIsGone(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	monitor := dial(t, Options{Name: "m1", InProcess: s})
	heard := subscribe(t, monitor, wire.AllBeats())
	pair, other := dialPair(t, as2(e, "east-1", s)), dialPair(t, as2(e, "east-2", s))
	beat := func(host string, p *Pair) func() {
		return func() { p.Beat(wire.BeatSubject(host), []byte(host)) }
	}
	beatUntil(t, heard, "east-1", 2, beat("east-1", pair))
	keys := e.enrolled["east-1"]
	if n := s.Review(); n != 0 {
		t.Errorf("%d clients were disconnected while all are enrolled", n)
	}

	e.enrol("east-1", enrolled{})
	if n := s.Review(); n != 2 {
		t.Errorf("%d clients were disconnected, want both of the agent's", n)
	}
	e.log.want(t, "bus client disconnected", `"certificate":"agent east-1"`, keys.nkey, "127.0.0.1:")
	eventually(t, "the agent is cut off", func() bool { return !pair.Connected() })
	e.log.want(t, "bus client refused", `"certificate":"agent east-1"`, "no agent is enrolled")
	for len(heard) > 0 { // what was under way
		<-heard
	}
	if err := pair.Publish(wire.BeatSubject("east-1"), []byte("east-1")); !errors.Is(err, ErrDisconnected) {
		t.Errorf("publish while revoked: got %v, want ErrDisconnected", err)
	}
	beatUntil(t, heard, "east-2", 5, func() { beat("east-1", pair)(); beat("east-2", other)() })
	for len(heard) > 0 {
		if got := <-heard; got != "east-2" {
			t.Errorf("heard %q of a revoked agent", got)
		}
	}

	e.enrol("east-1", keys)
	beatUntil(t, heard, "east-1", 2, beat("east-1", pair))
}

// TestRevokedWhileEntering revokes an agent between the question whether it may come in and the answer.
func TestRevokedWhileEntering(t *testing.T) {
	e := newEstate(t)
	o := e.options("m1")
	var server atomic.Pointer[Server]
	var asked, reviewed atomic.Int32
	o.Admit = func(string, string, string) bool {
		if asked.Add(1) == 1 {
			reviewed.Store(int32(server.Load().Review()))
			return true // as of before the change
		}
		return false
	}
	s := startServer(t, o)
	server.Store(s)
	nc, err := as2(e, "east-1", s).connect()
	if err == nil {
		defer nc.Close()
		eventually(t, "the client is disconnected", func() bool { return !nc.IsConnected() })
	}
	eventually(t, "the server has no client", func() bool { return s.nats.NumClients() == 0 })
	eventually(t, "the review has disconnected the one that was entering", func() bool { return reviewed.Load() == 1 })
}

// TestGateForgets lets many clients come and go.
func TestGateForgets(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	o := as2(e, "east-1", s)
	stays := dialPair(t, as2(e, "east-2", s))
	for range 3 * firstSweep {
		nc, err := o.connect()
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		eventually(t, "the client is gone", func() bool { return s.nats.NumClients() == 2 })
		if known := len(s.gate.known()); known > firstSweep {
			t.Fatalf("the gate remembers %d clients, 2 are connected", known)
		}
	}
	s.gate.sweep()
	if known := len(s.gate.known()); known != 2 || !stays.Connected() {
		t.Errorf("the gate remembers %d clients, want the 2 that are connected", known)
	}
	e.enrol("east-2", enrolled{})
	if n := s.Review(); n != 2 {
		t.Errorf("after sweeps %d clients were disconnected, want those that stayed", n)
	}
}

// TestRefusalsAreLimited refuses one address often, and the log stays readable.
func TestRefusalsAreLimited(t *testing.T) {
	e := newEstate(t)
	s := e.server("m1")
	party, key := e.party(identity.Agent, "east-1"), must(nkeys.CreateUser())
	for range 40 {
		if nc, err := as(party, key, s).connect(); err == nil {
			nc.Close()
			t.Fatal("it was let in")
		}
	}
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	lines := 0
	for _, line := range e.log.lines {
		if strings.Contains(line, `"warn"`) {
			lines++
		}
	}
	if lines == 0 || lines > 20 {
		t.Errorf("40 refusals made %d lines, want some and few", lines)
	}
}

// TestRenewedCertificateIsTaken reconnects after the certificate was replaced, once because it had expired.
func TestRenewedCertificateIsTaken(t *testing.T) {
	e := newEstate(t)
	o := e.options("m1")
	shown := make(chan string, 64)
	inner := o.TLS.VerifyConnection
	o.TLS.VerifyConnection = func(state tls.ConnectionState) error {
		shown <- identity.Fingerprint(state.PeerCertificates[0])
		return inner(state)
	}
	s := startServer(t, o)
	id := identity.ID{Kind: identity.Agent, Name: "east-1"}
	party := e.card(e.issuer, id, time.Now().Add(-identity.LeafLife-time.Hour))
	pair, public := e.nkey()
	e.enrol("east-1", enrolled{identity.SPKI(party.Cert()), public})
	conn := dial(t, as(party, pair, s))
	if conn.Connected() {
		t.Fatal("an expired certificate was taken")
	}
	renew := func() {
		t.Helper()
		chain, err := e.issuer.Issue(id, party.Key().Public(), nil, time.Now(), identity.LeafLife)
		if err != nil {
			t.Fatal(err)
		}
		if err := party.Replace(chain); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		renew()
		for _, who := range s.gate.known() {
			if err := s.nats.DisconnectClientByID(who.id); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := <-shown, identity.Fingerprint(party.Cert()); got != want {
			t.Errorf("it showed the certificate %.8s, want the new one %.8s", got, want)
		}
		eventually(t, "the agent is connected", func() bool { return conn.Connected() && len(s.gate.known()) > 0 })
	}
}

// leaf is a client of another kind, as NATS hands one over if a server had a port for it.
type leaf struct{ server.ClientAuthentication }

func (leaf) Kind() int                   { return server.LEAF }
func (leaf) GetID() uint64               { return 1 }
func (leaf) GetOpts() *server.ClientOpts { return &server.ClientOpts{} }
func (leaf) RemoteAddress() net.Addr     { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }

func (leaf) GetTLSConnectionState() *tls.ConnectionState { return nil }

// TestGateIsForClients holds that nobody who is not a plain client gets in, whatever port NATS may open one day.
func TestGateIsForClients(t *testing.T) {
	e := newEstate(t)
	if e.server("m1").gate.Check(leaf{}) {
		t.Error("a leaf node was let in")
	}
	e.log.want(t, "bus client refused", "only clients are served here", `"address":"192.0.2.1:7"`)
}
