package console

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

// TestCertificatesThatAreRefused: a certificate that is no good is as good as none, and changes nothing.
func TestCertificatesThatAreRefused(t *testing.T) {
	m := newStand(t)
	foreign := newStand(t)
	self, err := identity.NewRoot("self", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.must(planner.UserSet{User: "gone", Grants: []planner.Grant{{Role: planner.Admin}}})
	gone := m.party(identity.User, "gone").Client()
	m.must(planner.UserRemoved{User: "gone"})
	m.must(planner.UserSet{User: "barred", Grants: []planner.Grant{{Role: planner.Admin}}})
	barred := m.shown(m.ca, "barred", time.Now().Add(-time.Minute))
	for name, config := range map[string]*tls.Config{
		"expired":     m.shown(m.ca, "admin", time.Now().Add(-2*time.Hour)),
		"foreign":     m.shown(foreign.ca, "admin", time.Now()),
		"self-signed": m.shown(self, "admin", time.Now()),
		"removed":     gone,
		"voided":      barred,
		"an agent's":  m.party(identity.Agent, "h1").Client(),
		"a monitor's": m.party(identity.Monitor, "m9").Client(),
	} {
		t.Run(name, func(t *testing.T) {
			before := m.now().Index
			code, err := m.try(config, http.MethodPost, "/v1/users/eve", `{"grants":[{"role":"admin"}]}`)
			if err == nil && code != http.StatusUnauthorized && code != http.StatusForbidden {
				t.Errorf("got %d, want to be refused", code)
			}
			if got := m.now().Index; got != before {
				t.Errorf("%d entries entered the log", got-before)
			}
		})
	}
	if code, err := m.try(m.party(identity.User, "admin").Client(), http.MethodPost, "/v1/users/eve", `{"grants":[]}`); err != nil || code != http.StatusOK {
		t.Errorf("the admin: got %d, %v", code, err) // so the refusals were not for another reason
	}
}

// TestRevokedAtTheLeader: a follower that has not heard of a revocation forwards, and the leader judges anew.
func TestRevokedAtTheLeader(t *testing.T) {
	m := newStand(t)
	text, id, hash := identity.NewToken()
	m.must(planner.TokenMade{User: "admin", ID: id, Hash: hash, Expires: time.Now().Add(time.Hour)})
	follower := m.party(identity.Monitor, "m2").Client()
	forward := func(made time.Time, bearer string) http.Header {
		h := http.Header{headerForwarded: {"m2"}, headerUser: {"user:admin"}, headerFrom: {"192.0.2.7"}, headerMade: {made.Format(time.RFC3339)}}
		if bearer != "" {
			h.Set("Authorization", "Bearer "+bearer)
		}
		return h
	}
	made := time.Now().Add(time.Minute)
	for _, h := range []http.Header{forward(made, ""), forward(time.Time{}, text)} {
		if got := m.ask(follower, http.MethodPost, "/v1/users/eve", h); got != http.StatusOK {
			t.Errorf("before the revocation: got %d, want 200", got)
		}
	}
	m.must(planner.UserSet{User: "other", Grants: []planner.Grant{{Role: planner.Admin}}})
	m.must(planner.TokenRevoked{User: "admin"})
	for name, h := range map[string]http.Header{"certificate": forward(time.Now().Add(-time.Minute), ""), "none": forward(time.Time{}, ""), "token": forward(made, text)} {
		before := m.now().Index
		if got := m.ask(follower, http.MethodPost, "/v1/users/eve", h); got != http.StatusUnauthorized || m.now().Index != before {
			t.Errorf("%s after the revocation: got %d and %d entries, want 401 and none", name, got, m.now().Index-before)
		}
	}
}

// TestRevokedReaderIsCut: who reads the stream of events is cut off when what let it in is void.
func TestRevokedReaderIsCut(t *testing.T) {
	m := newStand(t)
	text, id, hash := identity.NewToken()
	m.must(planner.TokenMade{User: "viewer", ID: id, Hash: hash, Expires: time.Now().Add(time.Hour)})
	byToken, stop := m.open(m.anonymous(), text)
	defer stop()
	byCert, stop := m.open(m.party(identity.User, "operator").Client(), "")
	defer stop()
	for _, reader := range []*bufio.Scanner{byToken, byCert} {
		m.must(planner.GroupSet{Group: "watch", Grants: []planner.Grant{{Role: planner.Viewer}}})
		if !find(reader, "group.set") {
			t.Fatal("the stream ended before anything was revoked")
		}
	}
	m.must(planner.TokenRevoked{User: "viewer", ID: id})
	m.must(planner.UserRemoved{User: "operator"})
	for name, reader := range map[string]*bufio.Scanner{"token": byToken, "certificate": byCert} {
		if find(reader, "user.removed") {
			t.Errorf("by %s: the reader is told what came after the revocation", name)
		}
	}
}

// TestHugeBody: ten gigabytes are refused long before they are read.
func TestHugeBody(t *testing.T) {
	m := newStand(t)
	const size = 10 << 30
	for name, length := range map[string]int64{"announced": size, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			body := &counter{left: size}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/v1/apply", body)
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = length
			request.Header.Set("Content-Type", "application/json")
			transport := &http.Transport{TLSClientConfig: m.party(identity.User, "admin").Client()}
			defer transport.CloseIdleConnections()
			before := m.now().Index
			response, err := transport.RoundTrip(request)
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("got %d, want 413", response.StatusCode)
				}
			}
			if body.read > 4*maxBody {
				t.Errorf("%d MiB were taken, the limit is %d", body.read>>20, maxBody>>20)
			}
			if m.now().Index != before {
				t.Error("something entered the log")
			}
		})
	}
}

// counter is a very long JSON text, and how much of it was taken.
type counter struct{ left, read int64 }

func (c *counter) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = ' '
	}
	if c.read == 0 {
		copy(p, `{"files":[{"name":"x","text":"`)
	}
	c.left, c.read = c.left-int64(len(p)), c.read+int64(len(p))
	return len(p), nil
}

// TestSlowLoris: callers that begin and do not go on are dropped, and others are served all the while.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	m := newStand(t)
	var slow []*tls.Conn
	for i := range 50 {
		text := "GET /v1/status HTTP/1.1\r\nHost: m1\r\nX-"
		if i%2 == 1 {
			text = "POST /v1/apply HTTP/1.1\r\nHost: m1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
		}
		config := m.anonymous()
		if i%2 == 1 {
			config = m.party(identity.User, "admin").Client()
		}
		conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", strings.TrimPrefix(m.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn.(*tls.Conn))
	}
	if code, err := m.try(m.party(identity.User, "viewer").Client(), http.MethodGet, "/v1/agents", ""); err != nil || code != http.StatusOK {
		t.Errorf("beside slow callers: got %d, %v", code, err)
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(readTimeout + time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("a slow caller was not dropped")
		} else if timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); ok && timeout.Timeout() {
			t.Fatal("a slow caller was not dropped")
		}
	}
}

// TestNoHashesInEvents: who may look sees that there is a token, not its hash.
func TestNoHashesInEvents(t *testing.T) {
	m := newStand(t)
	_, id, hash := identity.NewToken()
	m.must(planner.TokenMade{User: "viewer", ID: id, Hash: hash, Expires: time.Now().Add(time.Hour)})
	invite := identity.Hash(identity.NewSecret())
	m.must(planner.HostInvited{Host: "h1", Hash: invite, Expires: time.Now().Add(time.Hour)})
	client := NewClient([]string{m.url}, ClientOptions{TLS: m.party(identity.User, "viewer").Client()})
	defer client.Close()
	var from uint64
	events, err := client.Events(t.Context(), &from, 100)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), id) || strings.Contains(string(text), hash) || strings.Contains(string(text), invite) {
		t.Errorf("events: want the token's id and no hash:\n%s", text)
	}
}

// TestGroupsAndWhoami: a group gives its users what it may, and takes it away from all of them.
func TestGroupsAndWhoami(t *testing.T) {
	m := newStand(t)
	client := func(user string) *Client {
		c := NewClient([]string{m.url}, ClientOptions{TLS: m.party(identity.User, user).Client()})
		t.Cleanup(c.Close)
		return c
	}
	admin, viewer := client("admin"), client("viewer")
	if _, err := admin.SetGroup(t.Context(), "on-call", GroupRequest{Grants: []planner.Grant{{Role: planner.Operator, Sites: []string{"ams"}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.SetUser(t.Context(), "viewer", UserRequest{Grants: []planner.Grant{{Role: planner.Viewer}}, Groups: []string{"on-call"}}); err != nil {
		t.Fatal(err)
	}
	me, err := viewer.Whoami(t.Context())
	if got := fmt.Sprint(me.Item.By, me.Item.Grants); err != nil || got != "user:viewer[{viewer [] []} {operator [ams] []}]" {
		t.Errorf("whoami: got %s, %v", got, err)
	}
	groups, err := viewer.Groups(t.Context())
	if got := fmt.Sprint(groups.Items); err != nil || got != "[{on-call [{operator [ams] []}] [viewer]}]" {
		t.Errorf("groups: got %s, %v", got, err)
	}
	if _, err := admin.RemoveGroup(t.Context(), "on-call", ""); err == nil {
		t.Error("a group with users is removed")
	}
	if _, err := viewer.SetGroup(t.Context(), "mine", GroupRequest{Grants: []planner.Grant{{Role: planner.Admin}}}); err == nil {
		t.Error("a viewer makes a group")
	}
}

// try sends a request and says what came of it.
func (m *stand) try(config *tls.Config, method, path, body string) (int, error) {
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(m.t.Context(), method, m.url+path, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, nil
}

// open follows the events.
func (m *stand) open(config *tls.Config, token string) (*bufio.Scanner, func()) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, m.url+"/v1/events?follow=1", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: config}
	response, err := transport.RoundTrip(request)
	if err != nil {
		m.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		m.t.Fatalf("follow the events: %d", response.StatusCode)
	}
	return bufio.NewScanner(response.Body), func() { _ = response.Body.Close(); transport.CloseIdleConnections() }
}

// find reads until a line has a text; false at the end.
func find(lines *bufio.Scanner, text string) bool {
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return true
		}
	}
	return false
}

// shown is a client that shows a user's certificate of an authority, good for an hour, whatever it is worth. It trusts the
// monitors of the stand.
func (m *stand) shown(ca *identity.Authority, user string, from time.Time) *tls.Config {
	m.t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		m.t.Fatal(err)
	}
	text, err := ca.Issue(identity.ID{Kind: identity.User, Name: user}, key.Public(), nil, from, time.Hour)
	if err != nil {
		m.t.Fatal(err)
	}
	certs, err := identity.ReadCerts(text)
	if err != nil {
		m.t.Fatal(err)
	}
	cert := tls.Certificate{PrivateKey: key}
	for _, c := range certs {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	config := m.anonymous()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return config
}
