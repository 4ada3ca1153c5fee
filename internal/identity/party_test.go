package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/internal/identity"
)

// longAgo is when authorities were made: before the certificates that have expired by now.
var longAgo = time.Now().Add(-2 * identity.LeafLife)

// world is a root and one issuer of it.
type world struct{ root, issuer *identity.Authority }

func newWorld(t *testing.T) world {
	t.Helper()
	root, err := identity.NewRoot("test", longAgo)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := root.NewIssuer("m1", longAgo)
	if err != nil {
		t.Fatal(err)
	}
	return world{root, issuer}
}

var (
	m1   = identity.ID{Kind: identity.Monitor, Name: "m1"}
	m2   = identity.ID{Kind: identity.Monitor, Name: "m2"}
	a1   = identity.ID{Kind: identity.Agent, Name: "a1"}
	a2   = identity.ID{Kind: identity.Agent, Name: "a2"}
	ann  = identity.ID{Kind: identity.User, Name: "ann"}
	here = []string{"127.0.0.1"}
)

// party makes the files of a holder, and loads them.
func (w world) party(t *testing.T, id identity.ID, addresses []string, made time.Time) *identity.Party {
	t.Helper()
	dir := t.TempDir()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := identity.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := w.issuer.Issue(id, key.Public(), addresses, made, identity.LeafLife)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, identity.KeyFile), secret)
	write(t, filepath.Join(dir, identity.CertFile), cert)
	write(t, filepath.Join(dir, identity.RootFile), w.issuer.Root())
	p, err := identity.Load(dir)
	if err != nil {
		t.Fatalf("load %s: %v", id, err)
	}
	return p
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := identity.WriteFile(path, content); err != nil {
		t.Fatal(err)
	}
}

// meet lets a client call a server over a socket, and returns what each of them says of it.
func meet(t *testing.T, server, client *tls.Config) (ofServer, ofClient error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer func() { _ = conn.Close() }()
		secured := tls.Server(conn, server)
		if err := secured.HandshakeContext(t.Context()); err != nil {
			served <- err
			return
		}
		_, err = secured.Write([]byte("hello"))
		served <- errors.Join(err, secured.Close())
	}()
	conn, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err == nil {
		var got []byte
		if got, err = io.ReadAll(conn); err == nil && string(got) != "hello" {
			t.Errorf("the client read %q", got)
		}
		_ = conn.Close()
	}
	return <-served, err
}

func meetsWell(t *testing.T, name string, server, client *tls.Config) {
	t.Helper()
	if s, c := meet(t, server, client); s != nil || c != nil {
		t.Errorf("%s: the server says %v, the client %v; want no error", name, s, c)
	}
}

// refuses wants one side to refuse, for a reason.
func refuses(t *testing.T, name, why string, got error) {
	t.Helper()
	if got == nil || !strings.Contains(got.Error(), why) {
		t.Errorf("%s: got %v, want an error with %q", name, got, why)
	}
}

func TestMutualTLS(t *testing.T) {
	w := newWorld(t)
	monitor, other := w.party(t, m1, here, time.Now()), w.party(t, m2, here, time.Now())
	agent, user := w.party(t, a1, nil, time.Now()), w.party(t, ann, nil, time.Now())
	meetsWell(t, "a monitor to a monitor", monitor.Server(identity.Monitor), other.Client())
	meetsWell(t, "an agent to a monitor", monitor.Server(identity.Agent), agent.Client())
	meetsWell(t, "a user to a monitor", monitor.Server(identity.User, identity.Agent), user.Client())
	meetsWell(t, "a user to whoever may call", monitor.ServerToAnyone(), user.Client())
	meetsWell(t, "nobody to whoever may call", monitor.ServerToAnyone(), identity.Anonymous(identity.Fingerprint(monitor.Root())))
	peer := other.Peer()
	peer.ServerName = "127.0.0.1"
	meetsWell(t, "peers", monitor.Peer(), peer)

	named := w.party(t, m1, []string{"m1.example"}, time.Now())
	config := agent.Client()
	config.ServerName = "m1.example"
	meetsWell(t, "by name", named.Server(), config)
}

func TestServerRefuses(t *testing.T) {
	w := newWorld(t)
	monitor := w.party(t, m1, here, time.Now())
	user := w.party(t, ann, nil, time.Now())
	server, _ := meet(t, monitor.Server(identity.Monitor), user.Client())
	refuses(t, "a user on a port for monitors", "is of user ann", server)
	agent := w.party(t, a1, nil, time.Now())
	server, _ = meet(t, monitor.Peer(), agent.Client())
	refuses(t, "an agent on a port for peers", "is of agent a1", server)
	expired := w.party(t, a1, nil, time.Now().Add(-identity.LeafLife-time.Hour))
	server, _ = meet(t, monitor.Server(identity.Agent), expired.Client())
	refuses(t, "expired", "expired", server)
	server, _ = meet(t, monitor.ServerToAnyone(), expired.Client())
	refuses(t, "expired, where a certificate is not needed", "expired", server)

	foreign := newWorld(t).party(t, a1, nil, time.Now())
	config := foreign.Client()
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AddCert(monitor.Root())
	server, _ = meet(t, monitor.Server(identity.Agent), config)
	refuses(t, "foreign root", "unknown authority", server)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return selfSigned(t), nil }
	server, _ = meet(t, monitor.Server(identity.Agent), config)
	refuses(t, "self-signed", "unknown authority", server)
	config.GetClientCertificate = nil
	server, _ = meet(t, monitor.Server(identity.Agent), config)
	refuses(t, "no certificate", "didn't provide a certificate", server)
	old := agent.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	server, _ = meet(t, monitor.Server(identity.Agent), old)
	refuses(t, "TLS 1.2", "unsupported versions", server)
}

func TestClientRefuses(t *testing.T) {
	w := newWorld(t)
	agent := w.party(t, a1, nil, time.Now())
	serving := func(p *identity.Party) *tls.Config { return p.Server() }
	for _, c := range []struct {
		name, why string
		server    *tls.Config
	}{
		{"an agent that serves", "doesn't contain any IP SANs", serving(w.party(t, a2, nil, time.Now()))},
		{"a wrong address", "not 127.0.0.1", serving(w.party(t, m1, []string{"127.0.0.2"}, time.Now()))},
		{"no address", "doesn't contain any IP SANs", serving(w.party(t, m1, nil, time.Now()))},
		{"expired", "expired", serving(w.party(t, m1, here, time.Now().Add(-identity.LeafLife-time.Hour)))},
		{"foreign root", "unknown authority", serving(newWorld(t).party(t, m1, here, time.Now()))},
		{"self-signed", "unknown authority", &tls.Config{Certificates: []tls.Certificate{*selfSigned(t)}, MinVersion: tls.VersionTLS13}},
	} {
		_, client := meet(t, c.server, agent.Client())
		refuses(t, c.name, c.why, client)
	}
	// What our authority signed for a server that is no monitor, by an issuer that was not ours to make: the kind counts too.
	config := agent.Client()
	if err := config.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{agent.Cert()}}); err == nil {
		t.Error("the kind of the server's certificate does not count")
	}
}

func TestAnonymous(t *testing.T) {
	w, foreign := newWorld(t), newWorld(t)
	monitor := w.party(t, m1, here, time.Now())
	right := identity.Fingerprint(monitor.Root())
	for _, c := range []struct {
		name, why, fingerprint string
		server                 *tls.Config
	}{
		{"wrong fingerprint", "another fingerprint", strings.Repeat("0", 64), monitor.ServerToAnyone()},
		{"no root shown", "another fingerprint", right, monitor.Server()},
		{
			// The issuer's fingerprint is no root's, but it is a certificate of the chain: what it signed is its own.
			"a chain that only contains the root", "unknown authority", right,
			chainOf(foreign.party(t, m1, here, time.Now()), monitor.Root()),
		},
		{"the root as a leaf", "another fingerprint", identity.Fingerprint(selfSigned(t).Leaf), &tls.Config{Certificates: []tls.Certificate{*selfSigned(t)}, MinVersion: tls.VersionTLS13}},
		{"an agent that serves", "incompatible key usage", right, w.party(t, a1, nil, time.Now()).ServerToAnyone()},
		{"expired", "expired", right, w.party(t, m1, here, time.Now().Add(-identity.LeafLife-time.Hour)).ServerToAnyone()},
	} {
		_, client := meet(t, c.server, identity.Anonymous(c.fingerprint))
		refuses(t, c.name, c.why, client)
	}
	config := identity.Anonymous(right)
	config.ServerName = "elsewhere.example"
	_, client := meet(t, monitor.ServerToAnyone(), config)
	refuses(t, "another host name", "elsewhere.example", client)
}

// chainOf shows a party's chain with one more certificate.
func chainOf(p *identity.Party, more *x509.Certificate) *tls.Config {
	config := p.ServerToAnyone()
	get := config.GetCertificate
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := get(hello)
		cert.Certificate = append(cert.Certificate, more.Raw)
		return cert, err
	}
	return config
}

// selfSigned says of itself that it is a monitor's.
func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	genuine := newWorld(t).party(t, m1, here, time.Now()).Cert()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "m1"}, NotBefore: genuine.NotBefore, NotAfter: genuine.NotAfter,
		URIs: genuine.URIs, IPAddresses: genuine.IPAddresses, ExtKeyUsage: genuine.ExtKeyUsage, KeyUsage: genuine.KeyUsage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestReplace(t *testing.T) {
	w := newWorld(t)
	p := w.party(t, a1, nil, time.Now())
	before, file := p.Cert(), read(t, p, identity.CertFile)
	issue := func(id identity.ID, key any, by world) []byte {
		cert, err := by.issuer.Issue(id, key, nil, time.Now(), identity.LeafLife)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	another, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"another key":     issue(a1, another.Public(), w),
		"another holder":  issue(a2, p.Key().Public(), w),
		"another cluster": issue(a1, p.Key().Public(), newWorld(t)),
		"garbage":         []byte("garbage"),
		"nothing":         nil,
		"a key":           pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
	} {
		if err := p.Replace(text); err == nil {
			t.Errorf("%s was taken", name)
		}
		if p.Cert() != before || !bytes.Equal(read(t, p, identity.CertFile), file) {
			t.Fatalf("%s was refused, and changed the certificate in use or its file", name)
		}
	}
	fresh := issue(a1, p.Key().Public(), w)
	if err := p.Replace(fresh); err != nil {
		t.Fatal(err)
	}
	if p.Cert().Equal(before) || !bytes.Equal(read(t, p, identity.CertFile), fresh) {
		t.Error("the new certificate is not in use, or not on disk")
	}
	meetsWell(t, "with the new certificate", w.party(t, m1, here, time.Now()).Server(identity.Agent), p.Client())
}

func read(t *testing.T, p *identity.Party, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDue(t *testing.T) {
	p := newWorld(t).party(t, a1, nil, time.Now())
	left := p.Cert().NotAfter.Add(-identity.LeafLife / 3)
	if p.Due(left.Add(-time.Minute)) || !p.Due(left.Add(time.Minute)) {
		t.Errorf("due before a third of its life is left, or not after")
	}
}

func TestLoadRefuses(t *testing.T) {
	w := newWorld(t)
	for name, spoil := range map[string]func(p *identity.Party){
		"another root": func(p *identity.Party) { write(t, filepath.Join(p.Dir(), identity.RootFile), newWorld(t).root.Root()) },
		"another key": func(p *identity.Party) {
			write(t, filepath.Join(p.Dir(), identity.KeyFile), read(t, w.party(t, a1, nil, time.Now()), identity.KeyFile))
		},
		"no key":      func(p *identity.Party) { write(t, filepath.Join(p.Dir(), identity.KeyFile), []byte("x")) },
		"no cert":     func(p *identity.Party) { write(t, filepath.Join(p.Dir(), identity.CertFile), nil) },
		"nobody's":    func(p *identity.Party) { write(t, filepath.Join(p.Dir(), identity.CertFile), w.root.Root()) },
		"a lost file": func(p *identity.Party) { _ = os.Remove(filepath.Join(p.Dir(), identity.RootFile)) },
	} {
		p := w.party(t, a1, nil, time.Now())
		spoil(p)
		if _, err := identity.Load(p.Dir()); err == nil {
			t.Errorf("%s: was loaded", name)
		}
	}
}
