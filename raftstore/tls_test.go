package raftstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// patience is how long a test on real time waits for what must come, before it fails.
const patience = 20 * time.Second

// founded is so long ago that certificates may have expired since.
var founded = time.Now().Add(-2 * identity.LeafLife)

func newRoot(t *testing.T) *identity.Authority {
	t.Helper()
	root, err := identity.NewRoot("test", founded)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// card is a holder with a certificate that was made at a time.
func card(t *testing.T, by *identity.Authority, kind identity.Kind, name string, made time.Time) *identity.Party {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := by.Issue(identity.ID{Kind: kind, Name: name}, key.Public(), []string{"127.0.0.1"}, made, identity.LeafLife)
	if err != nil {
		t.Fatal(err)
	}
	text, err := identity.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, content := range map[string][]byte{identity.RootFile: by.Root(), identity.CertFile: chain, identity.KeyFile: text} {
		if err := identity.WriteFile(filepath.Join(dir, file), content); err != nil {
			t.Fatal(err)
		}
	}
	party, err := identity.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return party
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// logged is what was written to a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// want waits for a line with all parts.
func (l *logged) want(t *testing.T, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a line with %q", parts), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for line := range strings.Lines(l.text.String()) {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				return true
			}
		}
		return false
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// listenTLS listens as a monitor.
func listenTLS(t *testing.T, root *identity.Authority, name string, log io.Writer) raft.StreamLayer {
	t.Helper()
	party := card(t, root, identity.Monitor, name, time.Now())
	layer, err := ListenTLS("127.0.0.1:0", TLSOptions{
		Server: party.Server(identity.Monitor), Client: party.Client(), Logger: zerolog.New(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layer.Close() })
	return layer
}

// trio starts three monitors that speak TLS, and returns once one leads.
func trio(t *testing.T, root *identity.Authority, log io.Writer) (stores []*Store, leader *Store) {
	t.Helper()
	dir, peers, layers := t.TempDir(), map[string]string{}, map[string]raft.StreamLayer{}
	for _, name := range []string{"m1", "m2", "m3"} {
		layers[name] = listenTLS(t, root, name, log)
		peers[name] = layers[name].Addr().String()
	}
	for name, layer := range layers {
		s, err := Open(Options{
			Name: name, Dir: filepath.Join(dir, name), Stream: layer, Peers: peers, MinFree: -1,
			Log: zerolog.New(log), Die: func(err error) { t.Errorf("died: %v", err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		})
		stores = append(stores, s)
	}
	for _, to := range stores {
		for _, from := range stores {
			if err := to.ObserveHello(from.Hello()); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "somebody leads", func() bool {
		for _, s := range stores {
			if s.Leading() {
				leader = s
			}
		}
		return leader != nil
	})
	return stores, leader
}

// agreed proposes an entry and waits until all have it.
func agreed(t *testing.T, stores []*Store, e planner.Event) {
	t.Helper()
	var index uint64
	eventually(t, "an entry is accepted", func() bool {
		for _, s := range stores {
			if !s.Leading() {
				continue
			}
			var err error
			if index, err = s.Propose(t.Context(), planner.Entry{At: time.Now().UTC(), By: "test", Event: e}); err == nil {
				return true
			}
		}
		return false
	})
	eventually(t, "all have the entry", func() bool {
		for _, s := range stores {
			if s.State().Index < index {
				return false
			}
		}
		return true
	})
}

// intruder calls a monitor and says what raft would say, and returns what came of it.
func intruder(t *testing.T, address, id string, config *tls.Config) (from string, err error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	from = c.LocalAddr().String()
	_ = c.SetDeadline(time.Now().Add(patience))
	if config != nil {
		c = tls.Client(c, config)
	}
	const requestVote = 1
	if _, err := c.Write(append([]byte(greeting+id+"\n"), requestVote)); err != nil {
		return from, err
	}
	_, err = c.Read(make([]byte, 1))
	return from, err
}

// TestTLSCluster elects and replicates over TLS, while others try to join in.
func TestTLSCluster(t *testing.T) {
	root, other := newRoot(t), newRoot(t)
	var log logged
	stores, leader := trio(t, root, &log)
	agreed(t, stores, planner.FilesApplied{Set: plans.Set{Plans: []*plans.Plan{{Name: "p"}}}})

	address, id := leader.opts.Peers[leader.opts.Name], leader.dir.id
	anybody := func(p *identity.Party) *tls.Config {
		config := p.Client()
		config.InsecureSkipVerify, config.VerifyConnection = true, nil
		return config
	}
	own := anybody(card(t, root, identity.Monitor, "m2", time.Now()))
	own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return selfSigned(t, root), nil }
	for name, test := range map[string]struct {
		config            *tls.Config
		certificate, want string
	}{
		"plaintext":      {nil, "none", "does not look like a TLS handshake"},
		"no certificate": {&tls.Config{InsecureSkipVerify: true}, "none", "didn't provide a certificate"},
		"self-signed":    {own, "m2", "unknown authority"},
		"foreign":        {anybody(card(t, other, identity.Monitor, "m2", time.Now())), "m2", "unknown authority"},
		"expired":        {anybody(card(t, root, identity.Monitor, "m2", time.Now().Add(-identity.LeafLife-time.Hour))), "m2", "expired"},
		"an agent's":     {anybody(card(t, root, identity.Agent, "east-1", time.Now())), "east-1", "the certificate is of agent east-1"},
		"a user's":       {anybody(card(t, root, identity.User, "ann", time.Now())), "ann", "the certificate is of user ann"},
	} {
		from, err := intruder(t, address, id, test.config)
		if err == nil {
			t.Errorf("%s: got an answer", name)
		}
		log.want(t, "monitor connection refused", from, `"certificate":"`+test.certificate+`"`, test.want)
	}
	agreed(t, stores, planner.PlanArmed{Plan: "p"})

	// Those who say nothing do not keep a new leader from being heard.
	for _, s := range stores {
		silent(t, s.opts.Peers[s.opts.Name], 5)
	}
	term := leader.Info().Term
	if err := leader.Transfer(t.Context()); err != nil {
		t.Fatal(err)
	}
	agreed(t, stores, planner.PlanDisarmed{Plan: "p"})
	if now := stores[0].Info().Term; now == term {
		t.Errorf("the term is still %d after the leader changed", now)
	}
}

// selfSigned is a certificate of a monitor by its own key.
func selfSigned(t *testing.T, root *identity.Authority) *tls.Certificate {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	template := *card(t, root, identity.Monitor, "m2", time.Now()).Cert()
	template.PublicKey = key.Public()
	der, err := x509.CreateCertificate(nil, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// silent opens connections from an address of its own, and says nothing.
func silent(t *testing.T, address string, n int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range n {
		c, err := dialer.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// TestSilentCallersDoNotBlock fills a monitor with callers who say nothing. Another is heard meanwhile, and they are hung up on.
func TestSilentCallersDoNotBlock(t *testing.T) {
	root := newRoot(t)
	var log logged
	server, client := listenTLS(t, root, "m1", &log), listenTLS(t, root, "m2", &log)
	heard := make(chan string, 100)
	go func() { // as raft does
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				b, _ := io.ReadAll(c)
				_ = c.Close()
				heard <- string(b)
			}()
		}
	}()
	conns := silent(t, server.Addr().String(), maxHandshakes)
	for _, c := range silent(t, server.Addr().String(), 3) {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a caller too many got an answer")
		}
	}
	log.want(t, "monitor connection refused", "too many callers", "127.0.0.2:")
	c, err := client.Dial(raft.ServerAddress(server.Addr().String()), patience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := <-heard; got != "hello" {
		t.Errorf("heard %q first, want who has something to say", got)
	}
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("a silent caller: got %v, want it to be hung up on", err)
		}
	}
	log.want(t, "monitor connection refused", `"certificate":"none"`, "127.0.0.2:", "deadline")
	for i := range 2 * maxHandshakes { // who has shown a certificate takes no such place
		c, err := client.Dial(raft.ServerAddress(server.Addr().String()), patience)
		if err != nil {
			t.Fatalf("the %d-th connection that stays: %v", i+1, err)
		}
		defer func() { _ = c.Close() }()
	}
	layer := server.(*overTLS)
	eventually(t, "no handshake is counted", func() bool {
		layer.mu.Lock()
		defer layer.mu.Unlock()
		return len(layer.pending) == 0
	})
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // a net.Conn's own
	return ok && timeout.Timeout()
}

// TestDialKnowsWhoAnswers calls servers that are not the monitor at that address.
func TestDialKnowsWhoAnswers(t *testing.T) {
	root, other := newRoot(t), newRoot(t)
	client := listenTLS(t, root, "m1", io.Discard)
	answer := func(p *identity.Party) string {
		config := p.Server(identity.Monitor)
		config.ClientAuth, config.VerifyConnection = tls.NoClientCert, nil
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
			}
		}()
		return l.Addr().String()
	}
	good := answer(card(t, root, identity.Monitor, "m2", time.Now()))
	_, port, _ := net.SplitHostPort(good)
	for name, test := range map[string]struct{ address, want string }{
		"a monitor":       {good, ""},
		"at another name": {"localhost:" + port, "certificate is not valid for any names"},
		"foreign":         {answer(card(t, other, identity.Monitor, "m2", time.Now())), "unknown authority"},
		"an agent":        {answer(card(t, root, identity.Agent, "east-1", time.Now())), "doesn't contain any IP SANs"},
		"an expired":      {answer(card(t, root, identity.Monitor, "m2", time.Now().Add(-identity.LeafLife-time.Hour))), "expired"},
	} {
		c, err := client.Dial(raft.ServerAddress(test.address), patience)
		if err == nil {
			_ = c.Close()
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	// Who does not answer costs no more than the time allowed.
	quiet, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = quiet.Close() }()
	if _, err := client.Dial(raft.ServerAddress(quiet.Addr().String()), 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("who does not answer: got %v, want a deadline", err)
	}
}

func TestListenTLSRefuses(t *testing.T) {
	party := card(t, newRoot(t), identity.Monitor, "m1", time.Now())
	taken := listen(t).Addr().String()
	trusting := party.Client()
	trusting.InsecureSkipVerify = true
	for _, test := range []struct {
		address string
		o       TLSOptions
		want    string
	}{
		{taken, TLSOptions{Server: party.Server(identity.Monitor), Client: party.Client()}, "is in use by another program"},
		{"127.0.0.1:0", TLSOptions{Server: party.ServerToAnyone(), Client: party.Client()}, "does not demand certificates"},
		{"127.0.0.1:0", TLSOptions{Server: party.Server(identity.Monitor), Client: trusting}, "does not demand certificates"},
		{"127.0.0.1:0", TLSOptions{}, "does not demand certificates"},
		{"nonsense", TLSOptions{Server: party.Server(identity.Monitor), Client: party.Client()}, "missing port in address"},
	} {
		layer, err := ListenTLS(test.address, test.o)
		if err == nil {
			_ = layer.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.address, err, test.want)
		}
	}
}
