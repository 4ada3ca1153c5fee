// Package relay passes TCP connections on from one address to another: in a guest from its loopback to the machine that it
// runs on, and there to the address that was meant.
//
// Invariants: what one side sends before it ends reaches the other; an end, or a break, of one side is one of the other.
// Concurrency: a Relay has goroutines of its own, two for each connection. Close ends them all and waits for them.
package relay

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// dialLimit bounds how long a connection may wait for the other side.
const dialLimit = 10 * time.Second

// Relay is one address from which connections are passed on.
type Relay struct {
	listener net.Listener
	to       string
	ctx      context.Context // of the connections: Close cancels it
	cancel   context.CancelFunc
	passing  sync.WaitGroup
}

// Start listens on an address and passes each connection on to another.
func Start(from, to string) (*Relay, error) {
	l, err := net.Listen("tcp4", from)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Relay{listener: l, to: to, ctx: ctx, cancel: cancel}
	r.passing.Go(r.accept)
	return r, nil
}

// Port is that of the address it listens on.
func (r *Relay) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// Close ends the relay and all connections.
func (r *Relay) Close() {
	_ = r.listener.Close() // nobody else closes it
	r.cancel()
	r.passing.Wait()
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.passing.Go(func() { r.join(near.(*net.TCPConn)) })
	}
}

// join copies both ways until both have ended.
func (r *Relay) join(near *net.TCPConn) {
	defer func() { _ = near.Close() }()
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(r.ctx, "tcp4", r.to)
	if err != nil {
		return
	}
	far := conn.(*net.TCPConn)
	defer func() { _ = far.Close() }()
	stop := context.AfterFunc(r.ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() { pass(near, far) })
	pass(far, near)
	back.Wait()
}

// pass copies until the source ends, and says so to the other; if either breaks, both end.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	_ = to.CloseWrite() // fails only if it has ended
}
