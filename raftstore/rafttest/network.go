// Package rafttest is a network of monitors without sockets, for tests: streams over net.Pipe, by name, that can be cut. It
// works in a testing/synctest bubble, where sockets do not.
//
// Concurrency: all methods may be called from any goroutine.
package rafttest

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Network is all streams that can reach each other.
type Network struct {
	mu      sync.Mutex
	streams map[string]*Stream
	cut     map[link]bool
	conns   map[link][]net.Conn
}

// link is an unordered pair of names.
type link [2]string

func between(a, b string) link { return link{min(a, b), max(a, b)} }

// NewNetwork returns a network of nobody.
func NewNetwork() *Network {
	return &Network{streams: map[string]*Stream{}, cut: map[link]bool{}, conns: map[link][]net.Conn{}}
}

// Listen returns the stream layer of a name, which is its address too. A name that was closed may listen again.
func (n *Network) Listen(name string) *Stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &Stream{network: n, name: name, accept: make(chan net.Conn), closed: make(chan struct{})}
	n.streams[name] = s
	return s
}

// Cut separates two names: their connections end, and dialling takes its whole timeout to fail.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pair := between(a, b)
	n.cut[pair] = true
	for _, c := range n.conns[pair] {
		_ = c.Close()
	}
	delete(n.conns, pair)
}

// Isolate cuts a name off from all others.
func (n *Network) Isolate(name string) {
	for _, other := range n.names() {
		if other != name {
			n.Cut(name, other)
		}
	}
}

// Heal takes the cut between two names back.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, between(a, b))
}

// HealAll takes all cuts back.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

func (n *Network) names() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []string
	for name := range n.streams {
		names = append(names, name)
	}
	return names
}

// reach returns the stream of a name, nil if it cannot be reached.
func (n *Network) reach(from, to string) *Stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[between(from, to)] {
		return nil
	}
	return n.streams[to]
}

// join remembers a connection; it closes it if the names were cut meanwhile.
func (n *Network) join(from, to string, ends ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pair := between(from, to)
	if !n.cut[pair] {
		n.conns[pair] = append(n.conns[pair], ends...)
		return
	}
	for _, c := range ends {
		_ = c.Close()
	}
}

// Stream is one name's stream layer.
type Stream struct {
	network *Network
	name    string
	accept  chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

var _ raft.StreamLayer = (*Stream)(nil)

var errRefused = errors.New("connection refused")

// Dial implements raft.StreamLayer.
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	to := s.network.reach(s.name, string(address))
	if to == nil {
		select {
		case <-timer.C:
			return nil, os.ErrDeadlineExceeded
		case <-s.closed:
			return nil, net.ErrClosed
		}
	}
	here, there := net.Pipe()
	select {
	case to.accept <- there:
		s.network.join(s.name, to.name, here, there)
		return here, nil
	case <-to.closed:
		return nil, errRefused
	case <-s.closed:
		return nil, net.ErrClosed
	case <-timer.C:
		return nil, os.ErrDeadlineExceeded
	}
}

// Accept implements net.Listener.
func (s *Stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.accept:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *Stream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *Stream) Addr() net.Addr { return address(s.name) }

type address string

// Network implements net.Addr.
func (address) Network() string { return "pipe" }

// String implements net.Addr.
func (a address) String() string { return string(a) }
