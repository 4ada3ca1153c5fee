package bus

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Pair is an agent's two connections to the bus. They prefer different servers, so that one server may hang without
// silencing the agent. With one server there are still two connections.
type Pair struct {
	conns  [2]*Conn
	boxes  [2]chan letter // of one place each: the newest beat
	unsent atomic.Uint64
	done   chan struct{}
	wg     sync.WaitGroup
}

// letter is a beat on its way to a connection.
type letter struct {
	subject string
	data    []byte
}

// DialPair opens two connections, with the orders of o.URLs that derive from o.Name: each name has its own, so that agents
// spread over the servers. An error means that the options are wrong, not that no server is there.
func DialPair(o Options) (*Pair, error) {
	p := &Pair{done: make(chan struct{})}
	var errs [2]error
	var dialing sync.WaitGroup
	for i, urls := range orders(o.Name, o.URLs) {
		one := o
		one.Name = fmt.Sprintf("%s/%d", o.Name, i+1)
		one.URLs = urls
		// At the same time, because a server that hangs costs a second.
		dialing.Go(func() { p.conns[i], errs[i] = Dial(one) })
	}
	dialing.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		for _, c := range p.conns {
			if c != nil {
				c.Close()
			}
		}
		return nil, err
	}
	for i, c := range p.conns {
		p.boxes[i] = make(chan letter, 1)
		p.wg.Go(func() { p.deliver(c, p.boxes[i]) })
	}
	return p, nil
}

// orders ranks the servers for a name, by rendezvous hashing, and makes two orders of the ranks 0, 1, 2, 3 …: the evens and
// then the odds backwards, the odds and then the evens backwards. Whichever server dies, the two connections stay apart as
// long as two servers are left.
func orders(name string, urls []string) [2][]string {
	rank := func(url string) uint64 {
		sum := sha256.Sum256([]byte(name + "\x00" + url))
		return binary.BigEndian.Uint64(sum[:])
	}
	ranked := slices.Clone(urls)
	slices.SortFunc(ranked, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	var evens, odds []string
	for i, url := range ranked {
		if i%2 == 0 {
			evens = append(evens, url)
		} else {
			odds = append(odds, url)
		}
	}
	return [2][]string{joinBackwards(evens, odds), joinBackwards(odds, evens)}
}

// joinBackwards returns first and then the elements of last from its end to its beginning.
func joinBackwards(first, last []string) []string {
	joined := slices.Clone(first)
	for _, url := range slices.Backward(last) {
		joined = append(joined, url)
	}
	return joined
}

// deliver sends the newest beat of a box over its connection. A beat that is refused is not kept: a newer one follows.
func (p *Pair) deliver(c *Conn, box <-chan letter) {
	for {
		select {
		case <-p.done:
			return
		case l := <-box:
			if c.Publish(l.subject, l.data) != nil {
				p.unsent.Add(1)
			}
		}
	}
}

// Beat sends a beat over both connections; receivers drop the second by its sequence number. It never waits: a beat that a
// connection has not taken yet is replaced by this one. The caller may reuse data at once.
func (p *Pair) Beat(subject string, data []byte) {
	l := letter{subject, bytes.Clone(data)}
	for _, box := range p.boxes {
		p.put(box, l)
	}
}

func (p *Pair) put(box chan letter, l letter) {
	for {
		select {
		case box <- l:
			return
		default:
		}
		select {
		case <-box:
			p.unsent.Add(1)
		default:
		}
	}
}

// Unsent counts the beats that a connection did not send, because a newer one replaced them or no server was reached. A
// beat that neither connection sent counts twice.
func (p *Pair) Unsent() uint64 { return p.unsent.Load() }

// Publish sends a message over the first connection, or over the second if the first refuses it. A message to a server that
// just died may be lost without an error; whoever needs an answer repeats it.
func (p *Pair) Publish(subject string, data []byte) error {
	if p.conns[0].Publish(subject, data) == nil {
		return nil
	}
	return p.conns[1].Publish(subject, data)
}

// Subscribe calls handle for each message on a subject that either connection receives: usually twice, at times at once from
// two goroutines. The handler must know a message that it had before (a command by its id, an assignment by its index). The
// rest is as for Conn.Subscribe.
func (p *Pair) Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error) {
	stopFirst, err := p.conns[0].Subscribe(subject, handle)
	if err != nil {
		return nil, err
	}
	stopSecond, err := p.conns[1].Subscribe(subject, handle)
	if err != nil {
		stopFirst()
		return nil, err
	}
	return func() { stopFirst(); stopSecond() }, nil
}

// Connected says whether either connection reaches a server, as far as is known.
func (p *Pair) Connected() bool { return p.conns[0].Connected() || p.conns[1].Connected() }

// Close closes both connections. When it returns, no handler is running and none will be called. It may be called once.
func (p *Pair) Close() {
	close(p.done)
	p.wg.Wait()
	for _, c := range p.conns {
		c.Close()
	}
}
