package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/quiet"
)

const (
	handshakeWait = rpcTimeout
	// maxHandshakes is how many callers from one address may be in their handshake at one time; others of it are hung up on. A
	// monitor needs a handful.
	maxHandshakes = 32
)

// TLSOptions says how monitors know one another.
type TLSOptions struct {
	Server *tls.Config // how callers are answered; it must demand certificates, and take monitors' only
	Client *tls.Config // how others are called; the address dialled must be in the certificate they show
	Logger zerolog.Logger
}

// overTLS is a stream layer over mutual TLS. A caller is asked for its certificate by whoever reads the connection first, not
// by Accept, which raft calls from one goroutine for all callers.
type overTLS struct {
	net.Listener
	options TLSOptions
	log     zerolog.Logger
	limit   quiet.Limiter

	mu      sync.Mutex     // handshakes begin and end in the goroutines of their connections
	pending map[string]int // handshakes by the address of the caller, without port
}

var _ raft.StreamLayer = (*overTLS)(nil)

// ListenTLS listens for peers on TCP. Both sides show certificates; who is refused is logged.
func ListenTLS(address string, o TLSOptions) (raft.StreamLayer, error) {
	if o.Server == nil || o.Client == nil || o.Server.ClientAuth != tls.RequireAndVerifyClientCert || o.Client.InsecureSkipVerify {
		return nil, fmt.Errorf("listen for monitors on %s: the TLS configuration does not demand certificates of both sides", address)
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for monitors: %s is in use by another program: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for monitors: %w", err)
	}
	return &overTLS{
		Listener: listener, options: o, log: o.Logger.With().Str("component", "raft").Logger(), pending: map[string]int{},
	}, nil
}

// Accept implements net.Listener.
func (l *overTLS) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := hostOf(c)
		if !l.begin(from) {
			l.refuse(c, noCertificate, errors.New("too many callers from there have not shown a certificate yet"))
			_ = c.Close()
			continue
		}
		return &answered{Conn: tls.Server(c, l.options.Server), raw: c, layer: l, from: from, deadline: time.Now().Add(handshakeWait)}, nil
	}
}

func (l *overTLS) begin(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[from] >= maxHandshakes {
		return false
	}
	l.pending[from]++
	return true
}

func (l *overTLS) end(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[from]--; l.pending[from] == 0 {
		delete(l.pending, from)
	}
}

// refuse logs why a caller was not let in. Raft would log less of it, and again and again.
func (l *overTLS) refuse(c net.Conn, certificate string, err error) {
	if ok, held := l.limit.Allow(hostOf(c), time.Now()); ok {
		event := l.log.Warn().Str("address", c.RemoteAddr().String()).Str("certificate", certificate).Err(err)
		if held > 0 {
			event = event.Int("held_back", held)
		}
		event.Msg("monitor connection refused")
	}
}

// noCertificate stands for the name in a certificate that was not shown.
const noCertificate = "none"

// claimed is the name in the certificate that a caller showed, good or not.
func claimed(c *tls.Conn, err error) string {
	shown := c.ConnectionState().PeerCertificates
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		shown = bad.UnverifiedCertificates
	}
	if len(shown) == 0 {
		return noCertificate
	}
	return shown[0].Subject.CommonName
}

// Dial implements raft.StreamLayer. Whoever answers must be the monitor at that address.
func (l *overTLS) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(string(address))
	if err != nil {
		return nil, fmt.Errorf("call a monitor: %w", err)
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	config := l.options.Client.Clone()
	config.ServerName = host
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("call the monitor at %s: %w", address, err)
	}
	return called{c, raw}, nil
}

// called is a connection that this monitor made.
type called struct {
	net.Conn
	raw net.Conn
}

// Close hangs up without a word: TLS would wait for a peer who does not read.
func (c called) Close() error { return c.raw.Close() }

// answered is a connection that another made, and whose handshake its first Read does.
type answered struct {
	*tls.Conn
	raw      net.Conn
	layer    *overTLS
	from     string
	deadline time.Time // of the handshake

	shake sync.Once
	err   error // of the handshake
	over  sync.Once
}

// Read implements net.Conn.
func (c *answered) Read(b []byte) (int, error) {
	c.shake.Do(c.handshake)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *answered) Write(b []byte) (int, error) {
	c.shake.Do(c.handshake)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(b)
}

// handshake asks the caller who it is. A refusal ends here: raft is told of the end of the connection only.
func (c *answered) handshake() {
	defer c.settled()
	ctx, cancel := context.WithDeadline(context.Background(), c.deadline)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		c.layer.refuse(c.raw, claimed(c.Conn, err), err)
		c.err = io.EOF
	}
}

func (c *answered) settled() { c.over.Do(func() { c.layer.end(c.from) }) }

// Close hangs up without a word, as called does.
func (c *answered) Close() error {
	c.settled()
	return c.raw.Close()
}

// hostOf is where a connection comes from, without the port.
func hostOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}
