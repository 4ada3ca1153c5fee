package console

import (
	"context"
	"crypto"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

// Security makes a server ask everybody who they are.
type Security struct {
	// Peer is how this monitor calls another one, to pass requests on.
	Peer *tls.Config
	// Sign makes a certificate for a holder's public key, with what links it to the root, as PEM.
	Sign func(id identity.ID, public crypto.PublicKey) ([]byte, error)
	Root []byte   // the certificate that everybody trusts, PEM
	NATS []string // tls://host:port, for agents
	API  []string // https://host:port, for agents
}

// How the names of callers begin, by what proves them.
const (
	provenUser    = "user:"    // a certificate or a token
	provenRoot    = "root:"    // the socket of a monitor; the monitor's name follows
	provenAgent   = "agent:"   // a certificate
	provenMonitor = "monitor:" // a certificate
)

// The headers by which a monitor passes its verdict on a caller on. They are believed only from a monitor.
const (
	headerFrom = "X-Holter-From"
	headerKey  = "X-Holter-Key"  // SPKI of the caller's certificate
	headerMade = "X-Holter-Made" // when that certificate was made, RFC 3339
)

// caller is who sent a request, as far as it is proven.
type caller struct {
	by   string // empty: nobody
	from string
	spki string // of the certificate that proves it; empty: something else does
	made time.Time
	all  bool // nobody is asked who they are, or root on a monitor
}

// user is the name of a user, empty for everybody else.
func (c caller) user() string { return after(c.by, provenUser) }

func after(text, prefix string) string {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return ""
	}
	return rest
}

type contextKey int

const (
	callerKey contextKey = iota
	peerKey
)

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey).(caller)
	return c
}

// unixPeer is who is at the other end of a unix socket.
type unixPeer struct {
	uid   uint32
	known bool
}

// withPeer notes who is at the other end of a unix socket; the kernel says so.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUID(unix)
	return context.WithValue(ctx, peerKey, unixPeer{uid: uid, known: err == nil})
}

// identify finds out who sent a request. The reason is for the log only: outside all failures look the same.
func (s *Server) identify(look Look, r *http.Request) (c caller, reason string) {
	if s.security == nil {
		by, from := whoIs(r)
		return caller{by: by, from: from, all: true}, ""
	}
	c.from, _, _ = net.SplitHostPort(r.RemoteAddr)
	if peer, ok := r.Context().Value(peerKey).(unixPeer); ok {
		c.from = "socket"
		if !peer.known || peer.uid != 0 && int(peer.uid) != os.Getuid() {
			return c, "the socket is for root and the monitor's own user"
		}
		c.by, c.all = provenRoot+look.Self, true
		return c, ""
	}
	switch bearer, hasToken := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case r.TLS == nil:
		return c, "the connection is not secured"
	case len(r.TLS.VerifiedChains) > 0:
		return s.byCertificate(look, r, c)
	case hasToken:
		return withToken(look, c, bearer)
	}
	return c, "neither a certificate nor a token"
}

// byCertificate judges the certificate of a connection, which TLS has verified, once more: the connection may be older than
// what was revoked since.
func (s *Server) byCertificate(look Look, r *http.Request, c caller) (caller, string) {
	cert := r.TLS.VerifiedChains[0][0]
	id, err := identity.Holder(cert)
	if err != nil {
		return c, err.Error()
	}
	if time.Now().After(cert.NotAfter) {
		return c, "the certificate of " + id.String() + " has expired"
	}
	c.spki, c.made = identity.SPKI(cert), identity.MadeAt(cert)
	switch id.Kind {
	case identity.Monitor:
		return forwarded(look, r, c, id.Name)
	case identity.Agent:
		enrolment, _ := look.State.Enrolments.Get(id.Name)
		if !identity.SameHash(enrolment.SPKI, c.spki) {
			return c, "the certificate of " + id.String() + " is not of the enrolled key"
		}
		c.by = provenAgent + id.Name
		return c, ""
	case identity.User:
	}
	if reason := void(look, id.Name, c.made); reason != "" {
		return c, reason
	}
	c.by = provenUser + id.Name
	return c, ""
}

// void says why a certificate of a user is worth nothing, empty if it is good.
func void(look Look, name string, made time.Time) string {
	user, ok := look.State.Users.Get(name)
	switch {
	case !ok:
		return "there is no user " + name
	case made.Before(user.Since):
		return "the certificate of user " + name + " was made before everything of the user was revoked"
	}
	return ""
}

func withToken(look Look, c caller, bearer string) (caller, string) {
	name, reason := byToken(look.State, bearer, time.Now())
	if reason == "" {
		c.by = provenUser + name
	}
	return c, reason
}

// forwarded takes over whom another monitor has seen. What that proves, and who may do what, is judged anew: a follower may
// not have heard yet of a revocation.
func forwarded(look Look, r *http.Request, c caller, monitor string) (caller, string) {
	if r.Header.Get(headerForwarded) == "" {
		c.by = provenMonitor + monitor
		return c, ""
	}
	c.by, c.spki = r.Header.Get(headerUser), r.Header.Get(headerKey)
	c.all = c.by == provenRoot+monitor
	c.from = "unknown"
	if from := r.Header.Get(headerFrom); from == "socket" {
		c.from = from
	} else if addr, err := netip.ParseAddr(from); err == nil {
		c.from = addr.String()
	}
	if strings.HasPrefix(c.by, provenRoot) && !c.all {
		return caller{from: c.from}, "monitor " + monitor + " speaks for root of another monitor"
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return withToken(look, caller{from: c.from}, bearer)
	}
	c.made, _ = time.Parse(time.RFC3339, r.Header.Get(headerMade))
	if name := c.user(); name != "" {
		if reason := void(look, name, c.made); reason != "" {
			return caller{from: c.from}, reason
		}
	}
	return c, ""
}

// byToken finds the user of an API token. One that is not known costs the same comparison.
func byToken(s *planner.State, text string, now time.Time) (user, reason string) {
	id, secret, err := identity.ParseToken(text)
	if err != nil {
		return "", "what was sent is no API token"
	}
	var found planner.Token
	for name, u := range s.Users.All() {
		if token, ok := u.Tokens[id]; ok && identity.SameHash(token.Hash, identity.Hash(secret)) {
			user, found = name, token
		}
	}
	switch {
	case user == "":
		_ = identity.SameHash(identity.Hash(""), identity.Hash(secret))
		return "", "there is no token " + id + ", or its secret is another one"
	case !found.Expires.After(now):
		return "", "token " + id + " of " + user + " has expired"
	}
	return user, ""
}
