package console

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/holter-ha/holter/internal/identity"
)

// The headers between clients and monitors.
const (
	headerUser      = "X-Holter-User"      // the name that the client claims
	headerForwarded = "X-Holter-Forwarded" // the monitor that passed the request on
)

// localUser begins the names of people while nobody proves who they are.
const localUser = "local:"

// forward passes a request on to the leader, once.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, look Look) {
	if look.LeaderAPI == "" {
		s.fail(w, look, noQuorum(look, "no quorum: "+look.Self+" knows no leading monitor"))
		return
	}
	if by := r.Header.Get(headerForwarded); by != "" && (s.security == nil || byMonitor(r)) {
		s.fail(w, look, noQuorum(look, "the leadership is changing: "+by+" takes "+look.Self+" for the leader and it is not"))
		return
	}
	leader, err := url.Parse(look.LeaderAPI)
	if err != nil || leader.Host == "" {
		s.fail(w, look, noQuorum(look, "the leader "+look.Leader+" has no usable API address: "+look.LeaderAPI))
		return
	}
	c := callerOf(r)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(leader)
			p.SetXForwarded()
			p.Out.Header.Set(headerForwarded, look.Self)
			if s.security != nil {
				if c.spki != "" || c.all { // a token is proven at the leader once more
					p.Out.Header.Del("Authorization")
				}
				p.Out.Header.Set(headerUser, c.by)
				p.Out.Header.Set(headerFrom, c.from)
				p.Out.Header.Set(headerKey, c.spki)
				p.Out.Header.Set(headerMade, c.made.UTC().Format(time.RFC3339))
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { s.fail(w, look, notForwarded(look, r, err)) },
	}
	if s.peer != nil {
		proxy.Transport = s.peer
	}
	proxy.ServeHTTP(w, r)
}

// byMonitor says whether the connection of a request is another monitor's.
func byMonitor(r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return false
	}
	id, err := identity.Holder(r.TLS.VerifiedChains[0][0])
	return err == nil && id.Kind == identity.Monitor
}

// notForwarded says what a failed forward means: a change that the leader may have got is unknown, not undone.
func notForwarded(look Look, r *http.Request, err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &APIError{
			Code: CodeTooLarge, Exit: ExitInvalid, Message: "the request is too large; nothing was changed", status: http.StatusRequestEntityTooLarge,
		}
	}
	if r.Method == http.MethodGet || neverSent(err) {
		return noQuorum(look, "the leader "+look.Leader+" cannot be reached: "+err.Error())
	}
	return outcomeUnknown("the connection to the leader " + look.Leader + " broke: the result is unknown")
}

// neverSent says that a request failed before anything of it was sent.
func neverSent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true // of the server, which comes before the request
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// guarded keeps web pages of others away: a browser may neither send what another site's page wrote, nor be told that a
// foreign name is this machine.
func guarded(next http.Handler) http.Handler {
	local := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		browser := r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
		if browser && !isLocal(r.Host) {
			http.Error(w, "browsers reach this monitor by its address or as localhost only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(local)
}

func isLocal(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// maxUser is the length of the longest user name that is believed.
const maxUser = 64

// whoIs names who sent a request, and from where. Until users are enrolled it is a claim and proves nothing.
func whoIs(r *http.Request) (by, from string) {
	name := strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return -1
		}
		return c
	}, r.Header.Get(headerUser))
	if name == "" {
		name = "unknown"
	}
	from, _, _ = net.SplitHostPort(r.RemoteAddr)
	if r.Header.Get(headerForwarded) != "" {
		first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		if addr, err := netip.ParseAddr(strings.TrimSpace(first)); err == nil {
			from = addr.String()
		}
	}
	return localUser + name[:min(len(name), maxUser)], from
}
