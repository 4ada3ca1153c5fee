package raftstore

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	greeting     = "holter-raft 1 "
	maxGreeting  = 256 // bytes
	greetingWait = rpcTimeout
)

// peers gives raft an address by server id: "id@address", so that stream knows whom a connection is meant for. The
// configured address counts, not the one that was in force when the cluster was formed.
type peers map[string]string

// ServerAddr implements raft.ServerAddressProvider.
func (p peers) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	address := p[nameOf(string(id))]
	if address == "" {
		return "", fmt.Errorf("no configured monitor has the server id %s", id)
	}
	return ownAddress(string(id), address), nil
}

// ownAddress is an address that no other server has: raft wants one for each, and a successor has its predecessor's.
func ownAddress(id, address string) raft.ServerAddress { return raft.ServerAddress(id + "@" + address) }

// stream is the caller's stream layer with two additions. A connection begins with the server id that it is meant for, and
// any other server refuses it: raft itself answers whoever calls its address. And all connections can be closed at once.
type stream struct {
	raft.StreamLayer
	id string

	mu     sync.Mutex // raft dials and accepts from many goroutines
	conns  map[*conn]struct{}
	closed bool
}

var _ raft.StreamLayer = (*stream)(nil)

func newStream(layer raft.StreamLayer, id string) *stream {
	return &stream{StreamLayer: layer, id: id, conns: map[*conn]struct{}{}}
}

// Dial implements raft.StreamLayer.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, at, ok := strings.Cut(string(address), "@")
	if !ok {
		return nil, fmt.Errorf("dial %s: no configured monitor is there", address)
	}
	c, err := s.StreamLayer.Dial(raft.ServerAddress(at), timeout)
	if err != nil {
		return nil, err
	}
	return s.keep(&conn{Conn: c, stream: s, greet: []byte(greeting + id + "\n")})
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	c, err := s.StreamLayer.Accept()
	if err != nil {
		return nil, err
	}
	return s.keep(&conn{Conn: c, stream: s, expect: greeting + s.id + "\n"})
}

func (s *stream) keep(c *conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Conn.Close()
		return nil, net.ErrClosed
	}
	s.conns[c] = struct{}{}
	return c, nil
}

// closeAll ends every connection and lets no new one come up.
func (s *stream) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Conn.Close()
	}
	clear(s.conns)
}

// conn greets before its first write, if dialled, or wants to be greeted before its first read, if accepted. Raft reads and
// writes a connection from one goroutine at a time.
type conn struct {
	net.Conn
	stream *stream
	greet  []byte // still to be written
	expect string // still to be read
}

func (c *conn) Write(b []byte) (int, error) {
	if c.greet == nil {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(append(c.greet, b...))
	n = max(0, n-len(c.greet))
	c.greet = nil
	return n, err
}

func (c *conn) Read(b []byte) (int, error) {
	if c.expect != "" {
		if err := c.readGreeting(); err != nil {
			return 0, err
		}
		c.expect = ""
	}
	return c.Conn.Read(b)
}

func (c *conn) readGreeting() error {
	if err := c.SetReadDeadline(time.Now().Add(greetingWait)); err != nil {
		return err
	}
	got := make([]byte, 0, maxGreeting)
	for len(got) == 0 || got[len(got)-1] != '\n' {
		if len(got) == maxGreeting {
			return errors.New("the caller is no monitor of this version")
		}
		n, err := c.Conn.Read(got[len(got) : len(got)+1])
		if err != nil {
			return err
		}
		got = got[:len(got)+n]
	}
	if string(got) != c.expect {
		return fmt.Errorf("refused a connection: got %q, wanted %q", got, c.expect)
	}
	return c.SetReadDeadline(time.Time{})
}

func (c *conn) Close() error {
	c.stream.mu.Lock()
	delete(c.stream.conns, c)
	c.stream.mu.Unlock()
	return c.Conn.Close()
}
