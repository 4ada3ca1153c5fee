package console

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

// stand is a monitor over the real fold that leads, with what it needs to speak TLS.
type stand struct {
	t        *testing.T
	mu       sync.Mutex // of what follows
	state    *planner.State
	watchers []chan struct{}

	ca  *identity.Authority
	log book
	url string
}

// book is a log that several write.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (m *stand) Look() Look {
	return Look{Self: "m1", State: m.now(), Now: time.Now(), Picture: &planner.Picture{}, Leader: "m1", Leading: true}
}

func (m *stand) now() *planner.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *stand) become(state *planner.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = state
}

func (m *stand) Propose(_ context.Context, e planner.Entry) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.At = time.Now()
	next, err := m.state.Apply(m.state.Index+1, e)
	if err == nil {
		m.state = next
		for _, changed := range m.watchers {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
	return m.state.Index, err
}

func (m *stand) Watch() (<-chan struct{}, func()) {
	changed := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, changed)
	return changed, func() {}
}

func (m *stand) must(event planner.Event) {
	m.t.Helper()
	if _, err := m.Propose(m.t.Context(), planner.Entry{By: "test", Event: event}); err != nil {
		m.t.Fatal(err)
	}
}

func newStand(t *testing.T) *stand {
	t.Helper()
	ca, err := identity.NewRoot("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := &stand{t: t, state: planner.NewState(), ca: ca}
	m.must(planner.ClusterFormed{Cluster: "c", Monitors: []string{"m1"}, Admin: "root"})
	for _, role := range planner.Roles {
		m.must(planner.UserSet{User: string(role), Grants: []planner.Grant{{Role: role}}})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.url = "https://" + listener.Addr().String()
	server := NewSecureServer(m, zerolog.New(&m.log), Security{
		Root: ca.Root(), API: []string{m.url}, Peer: m.party("monitor", "m1").Client(),
		Sign: func(id identity.ID, public crypto.PublicKey) ([]byte, error) {
			return ca.Issue(id, public, nil, time.Now(), time.Hour)
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(ctx, tls.NewListener(listener, m.party("monitor", "m1").ServerToAnyone()))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return m
}

// party makes a holder whose certificate was made in a minute, so after every user of the test.
func (m *stand) party(kind identity.Kind, name string) *identity.Party {
	m.t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		m.t.Fatal(err)
	}
	cert, err := m.ca.Issue(identity.ID{Kind: kind, Name: name}, key.Public(), []string{"127.0.0.1"}, time.Now().Add(time.Minute), time.Hour)
	if err != nil {
		m.t.Fatal(err)
	}
	text, err := identity.EncodeKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	dir := m.t.TempDir()
	for name, content := range map[string][]byte{identity.RootFile: m.ca.Root(), identity.CertFile: cert, identity.KeyFile: text} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	p, err := identity.Load(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *stand) anonymous() *tls.Config {
	roots, err := identity.ReadCerts(m.ca.Root())
	if err != nil {
		m.t.Fatal(err)
	}
	return identity.Anonymous(identity.Fingerprint(roots[0]))
}

func (m *stand) ask(config *tls.Config, method, path string, header http.Header) int {
	m.t.Helper()
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(m.t.Context(), method, m.url+path, strings.NewReader("{}"))
	if err != nil {
		m.t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// TestEveryRouteIsClosed walks the table: nobody gets in, and nobody with less than the role.
func TestEveryRouteIsClosed(t *testing.T) {
	m := newStand(t)
	server := NewSecureServer(m, zerolog.Nop(), Security{})
	for _, r := range server.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		path = strings.NewReplacer("{name}", "x", "{id}", "1", "{verb}", "x").Replace(path)
		if r.role == anybody {
			continue
		}
		server.limits = newLimits(true)
		if err := server.may(m.Look(), caller{}, r.role, nil); r.role != proven && err == nil {
			t.Errorf("%s is open to nobody", r.pattern)
		}
		for _, role := range planner.Roles {
			if !m.now().Holds(string(role), r.role) && r.role != proven {
				if got := m.ask(m.party(identity.User, string(role)).Client(), method, path, nil); got != http.StatusForbidden {
					t.Errorf("%s as %s: %d, want 403", r.pattern, role, got)
				}
			}
		}
	}
	for _, path := range []string{"/v1/status", "/v1/users", "/v1/events"} {
		if got := m.ask(m.anonymous(), http.MethodGet, path, nil); got != http.StatusUnauthorized {
			t.Errorf("GET %s as nobody: %d, want 401", path, got)
		}
	}
	if !strings.Contains(m.log.String(), `"by":"user:viewer","from":"127.0.0.1"`) {
		t.Errorf("the log does not say who was refused from where: %s", m.log.String())
	}
}

// TestForwardedNameIsBelievedOnlyFromMonitors: a viewer claims to be an admin, in the words of a monitor.
func TestForwardedNameIsBelievedOnlyFromMonitors(t *testing.T) {
	m := newStand(t)
	claim := func() http.Header {
		return http.Header{headerForwarded: {"m2"}, headerUser: {"user:admin"}, headerFrom: {"192.0.2.7"}, headerMade: {time.Now().Add(time.Minute).Format(time.RFC3339)}}
	}
	if got := m.ask(m.party(identity.User, "viewer").Client(), http.MethodPost, "/v1/users/eve", claim()); got != http.StatusForbidden {
		t.Errorf("a viewer who claims to be admin: %d, want 403", got)
	}
	if _, ok := m.now().Users.Get("eve"); ok {
		t.Error("a viewer has added a user")
	}
	if got := m.ask(m.party(identity.Monitor, "m2").Client(), http.MethodPost, "/v1/users/eve", claim()); got != http.StatusOK {
		t.Errorf("a monitor forwards an admin: %d, want 200", got)
	}
	logged, _ := m.now().Logged(m.now().Index)
	if logged.Entry.By != "user:admin" || logged.Entry.From != "192.0.2.7" {
		t.Errorf("the event is by %s from %s", logged.Entry.By, logged.Entry.From)
	}
}

// TestTokenAfterRevocation and with a wrong secret.
func TestTokenAfterRevocation(t *testing.T) {
	m := newStand(t)
	text, id, hash := identity.NewToken()
	m.must(planner.TokenMade{User: "viewer", ID: id, Hash: hash, Expires: time.Now().Add(time.Hour)})
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	if got := m.ask(m.anonymous(), http.MethodGet, "/v1/agents", bearer(text)); got != http.StatusOK {
		t.Errorf("with the token: %d, want 200", got)
	}
	other, _, _ := identity.NewToken()
	forged := text[:len("ht_")+len(id)+1] + other[len("ht_")+len(id)+1:]
	if got := m.ask(m.anonymous(), http.MethodGet, "/v1/agents", bearer(forged)); got != http.StatusUnauthorized {
		t.Errorf("with another secret: %d, want 401", got)
	}
	m.must(planner.TokenRevoked{User: "viewer", ID: id})
	if got := m.ask(m.anonymous(), http.MethodGet, "/v1/agents", bearer(text)); got != http.StatusUnauthorized {
		t.Errorf("after revocation: %d, want 401", got)
	}
	if strings.Contains(m.log.String(), text[12:]) {
		t.Error("the log holds the secret")
	}
}

// TestEnrolOnce: the invitation is used up, and a replay learns nothing.
func TestEnrolOnce(t *testing.T) {
	m := newStand(t)
	admin := NewClient([]string{m.url}, ClientOptions{TLS: m.party(identity.User, "admin").Client()})
	defer admin.Close()
	invited, err := admin.Invite(t.Context(), "h1", InviteRequest{ForMs: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.ParseJoinToken(invited.Item.Secret)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	nobody := NewClient([]string{m.url}, ClientOptions{TLS: identity.Anonymous(token.Root)})
	defer nobody.Close()
	req := EnrollRequest{Host: "h1", Secret: identity.NewSecret(), Request: string(csr), NKey: "U" + strings.Repeat("A", 55)}
	if _, err := nobody.Enroll(t.Context(), req); err == nil {
		t.Error("a wrong secret enrols")
	}
	req.Secret = token.Secret
	enrolled, err := nobody.Enroll(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if certs, err := identity.ReadCerts([]byte(enrolled.Item.Certificate)); err != nil || certs[0].Subject.CommonName != "h1" {
		t.Errorf("the certificate: %v %v", certs, err)
	}
	if _, err := nobody.Enroll(t.Context(), req); err == nil {
		t.Error("a replayed token enrols")
	}
}

// TestNobodyKnownYet: before a monitor has anything of the log it knows nobody. Whoever shows a certificate of the cluster is told
// so, and is not held for somebody who guesses; whoever shows none is.
func TestNobodyKnownYet(t *testing.T) {
	m := newStand(t)
	formed := m.now()
	m.become(planner.NewState())
	admin := m.party(identity.User, "admin").Client()
	for range 50 {
		if status := m.ask(admin, http.MethodGet, "/v1/status", nil); status != http.StatusServiceUnavailable {
			t.Fatalf("a certificate of the cluster: status %d, want 503", status)
		}
	}
	m.become(formed)
	if status := m.ask(admin, http.MethodGet, "/v1/status", nil); status != http.StatusOK {
		t.Errorf("afterwards: status %d, want 200", status)
	}
	if status := m.ask(m.party(identity.User, "stranger").Client(), http.MethodGet, "/v1/status", nil); status != http.StatusUnauthorized {
		t.Errorf("afterwards, a user that there is not: status %d, want 401", status)
	}
	m.become(planner.NewState())
	if status := m.ask(m.anonymous(), http.MethodGet, "/v1/status", nil); status != http.StatusUnauthorized {
		t.Errorf("no certificate: status %d, want 401", status)
	}
}
