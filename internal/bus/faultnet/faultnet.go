// Package faultnet joins parties to one nats-server of their own process through links that a test cuts, delays and heals.
// It is made for testing/synctest: a link is a pair of net.Pipes, and all time is package time's.
//
// A cut link behaves as TCP does when the packets are dropped: nothing arrives, neither data nor the end of a connection;
// the sender does not notice; what was sent arrives when the link is healed, if anybody still reads there.
//
// Two things differ from TCP, for the sake of virtual time. Opening a connection takes no time: it fails at once while the
// link is cut in either way, and is not delayed. (A nats.go client holds its lock meanwhile, and in a bubble whoever waits
// for a mutex stops the clock.) And a link that holds more than a limit breaks, where TCP would let the sender wait.
//
// Invariants: a link neither loses, alters nor reorders what it delivers.
//
// Concurrency: all methods may be called from any goroutine. Close waits for all goroutines of the network. A test that uses
// a network does not run in parallel with other users of nats.go in its process (see emptyPools).
package faultnet

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrCut is why a party cannot connect.
var ErrCut = errors.New("link is cut")

// Network is a server and the links of the parties to it.
type Network struct {
	server nats.InProcessConnProvider

	mu      sync.Mutex // guards the rest; links and tests call in from many goroutines
	parties map[string]*Party
	closed  bool
	wg      sync.WaitGroup
}

// New makes a network around a server. Call it inside the bubble, and Close before the bubble ends.
func New(server nats.InProcessConnProvider) *Network {
	emptyPools()
	return &Network{server: server, parties: map[string]*Party{}}
}

// Party returns the party of a name, the same at each call. Its link is whole at first.
func (n *Network) Party(name string) *Party {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.parties[name]
	if p == nil {
		p = &Party{network: n, links: map[*link]struct{}{}}
		n.parties[name] = p
	}
	return p
}

// Close breaks all links and waits until they are gone. The clients are closed before it.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	for _, p := range n.parties {
		for l := range p.links {
			l.breakOff()
		}
	}
	n.mu.Unlock()
	n.wg.Wait()
	emptyPools()
}

// emptyPools makes sync.Pools forget what they hold: nats.go keeps timers in one, and a timer of a bubble that is used
// outside of it, or the other way round, ends the process. A pool survives one collection and not the second.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// Party is one party's link to the server, for all its connections. It implements nats.InProcessConnProvider.
type Party struct {
	network *Network // whose mu guards the rest
	cut     [2]bool  // by direction
	delay   time.Duration
	links   map[*link]struct{}
}

// direction is a way along a link.
type direction int

const (
	outgoing direction = iota // from the party to the server
	incoming                  // from the server to the party
)

// InProcessConn implements nats.InProcessConnProvider: it opens a connection to the server over the link.
func (p *Party) InProcessConn() (net.Conn, error) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	if p.network.closed {
		return nil, net.ErrClosed
	}
	if p.cut[outgoing] || p.cut[incoming] {
		return nil, ErrCut
	}
	far, err := p.network.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	client, near := net.Pipe()
	l := newLink(p, near, far)
	p.links[l] = struct{}{}
	p.network.wg.Go(l.run)
	return client, nil
}

// Cut lets nothing through any more, in either way.
func (p *Party) Cut() { p.change(func() { p.cut = [2]bool{true, true} }) }

// CutOutgoing lets nothing through that the party sends.
func (p *Party) CutOutgoing() { p.change(func() { p.cut[outgoing] = true }) }

// CutIncoming lets nothing through that is sent to the party.
func (p *Party) CutIncoming() { p.change(func() { p.cut[incoming] = true }) }

// Delay lets everything take time, in both ways.
func (p *Party) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Heal makes the link whole: no cut, no delay.
func (p *Party) Heal() { p.change(func() { p.cut, p.delay = [2]bool{}, 0 }) }

// Break ends all connections of the party at both ends, as a loss of power does: what was under way is lost.
func (p *Party) Break() {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	for l := range p.links {
		l.breakOff()
	}
}

func (p *Party) change(f func()) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	f()
	for l := range p.links {
		l.wake()
	}
}
