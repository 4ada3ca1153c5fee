package bus

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/internal/quiet"
)

// estate is an authority with its holders, and who is enrolled.
type estate struct {
	*testing.T
	root, issuer *identity.Authority
	log          *logbook

	mu       sync.Mutex
	enrolled map[string]enrolled
}

type enrolled struct{ spki, nkey string }

func newEstate(t *testing.T) *estate {
	t.Helper()
	founded := time.Now().Add(-2 * identity.LeafLife) // certificates of its members may have expired
	root, err := identity.NewRoot("test", founded)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := root.NewIssuer("m1", founded)
	if err != nil {
		t.Fatal(err)
	}
	return &estate{T: t, root: root, issuer: issuer, log: newLogbook(), enrolled: map[string]enrolled{}}
}

// card makes a holder's files with a certificate that an authority makes at a time, and loads them.
func (e *estate) card(by *identity.Authority, id identity.ID, made time.Time) *identity.Party {
	e.Helper()
	key, err := identity.NewKey()
	if err != nil {
		e.Fatal(err)
	}
	chain, err := by.Issue(id, key.Public(), []string{"127.0.0.1"}, made, identity.LeafLife)
	if err != nil {
		e.Fatal(err)
	}
	text, err := identity.EncodeKey(key)
	if err != nil {
		e.Fatal(err)
	}
	dir := e.TempDir()
	for name, content := range map[string][]byte{identity.RootFile: by.Root(), identity.CertFile: chain, identity.KeyFile: text} {
		if err := identity.WriteFile(filepath.Join(dir, name), content); err != nil {
			e.Fatal(err)
		}
	}
	party, err := identity.Load(dir)
	if err != nil {
		e.Fatal(err)
	}
	return party
}

func (e *estate) party(kind identity.Kind, name string) *identity.Party {
	e.Helper()
	return e.card(e.issuer, identity.ID{Kind: kind, Name: name}, time.Now())
}

func (e *estate) nkey() (pair nkeys.KeyPair, public string) {
	e.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		e.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		e.Fatal(err)
	}
	return pair, public
}

// agent makes and enrols the agent of a host.
func (e *estate) agent(host string) (*identity.Party, nkeys.KeyPair) {
	e.Helper()
	party := e.party(identity.Agent, host)
	pair, public := e.nkey()
	e.enrol(host, enrolled{identity.SPKI(party.Cert()), public})
	return party, pair
}

func (e *estate) enrol(host string, keys enrolled) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enrolled[host] = keys
}

func (e *estate) admit(host, spki, nkey string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.enrolled[host]
	return ok && known == enrolled{spki, nkey}
}

func (e *estate) options(name string) ServerOptions {
	e.Helper()
	monitor := e.party(identity.Monitor, name)
	return ServerOptions{
		Name: name, Host: "127.0.0.1", Port: AnyPort, RouteHost: "127.0.0.1", RoutePort: AnyPort, Cluster: "test",
		TLS: monitor.Server(identity.Agent, identity.Monitor), RouteTLS: monitor.Peer(), Admit: e.admit, Logger: zerolog.New(e.log),
	}
}

func (e *estate) server(name string) *Server {
	e.Helper()
	return startServer(e.T, e.options(name))
}

// as is the options of an agent who dials a server.
func as(party *identity.Party, pair nkeys.KeyPair, servers ...*Server) Options {
	o := Options{Name: party.ID().Name, TLS: party.Client(), NKey: pair}
	for _, s := range servers {
		o.URLs = append(o.URLs, s.ClientURL())
	}
	return o
}

// forged is a TLS configuration that trusts everybody and shows a certificate, or none.
func forged(party *identity.Party) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if party != nil {
		config.GetClientCertificate = party.Client().GetClientCertificate
	}
	return config
}

// selfSigned is a holder whose certificate is signed by its own key, with the name of an agent.
func (e *estate) selfSigned(host string) *tls.Config {
	e.Helper()
	key, err := identity.NewKey()
	if err != nil {
		e.Fatal(err)
	}
	template := *e.party(identity.Agent, host).Cert()
	template.PublicKey = key.Public()
	der, err := x509.CreateCertificate(nil, &template, &template, key.Public(), key)
	if err != nil {
		e.Fatal(err)
	}
	config := forged(nil)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}
	return config
}

// logbook is what a server wrote to its log, by line.
type logbook struct {
	mu    sync.Mutex
	lines []string
	added chan struct{} // closed and replaced at each line
}

func newLogbook() *logbook { return &logbook{added: make(chan struct{})} }

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	close(l.added)
	l.added = make(chan struct{})
	return len(b), nil
}

// find returns the first line with all parts.
func (l *logbook) find(parts ...string) (line string, added <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return line, nil
		}
	}
	return "", l.added
}

// want waits for a line with all parts, at the level of a warning.
func (l *logbook) want(t *testing.T, parts ...string) {
	t.Helper()
	limit := time.After(patience)
	for {
		line, added := l.find(parts...)
		if line != "" {
			var entry struct{ Level string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level != "warn" {
				t.Errorf("%s: level %q, %v, want a warning", line, entry.Level, err)
			}
			return
		}
		select {
		case <-added:
		case <-limit:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("no line of the log has %q:\n%s", parts, strings.Join(l.lines, ""))
		}
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// dialler is a nats.CustomDialer that remembers where it called from.
type dialler struct{ from string }

func (d *dialler) Dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, dialLimit)
	if err == nil {
		d.from = c.LocalAddr().String()
	}
	return c, err
}

// forgive forgets how many lines each address has written.
func (l *serverLog) forgive() { l.limit = quiet.Limiter{} }
