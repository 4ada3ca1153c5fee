package faultnet

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// maxHeld is how many bytes a link holds in one direction before it breaks.
const maxHeld = 4 << 20

// handshakeEnd ends what a server says while a connection is opened. From then on the link's faults count.
var handshakeEnd = []byte("PONG\r\n")

// link is one connection of a party: a lane in each direction.
type link struct {
	party *Party
	open  bool // the handshake is over; guarded by the network's mu
	lanes [2]*lane
	done  chan struct{} // closed by breakOff
	once  sync.Once
}

// lane carries bytes one way along a link.
type lane struct {
	link     *link
	way      direction
	src, dst net.Conn
	changed  chan struct{} // of one place: queue or faults are not what they were

	queue []parcel // oldest first; guarded by the network's mu
	held  int      // bytes in queue
}

// parcel is a piece of what was sent. One without data is the end of the connection.
type parcel struct {
	data []byte
	due  time.Time
}

func newLink(p *Party, near, far net.Conn) *link {
	l := &link{party: p, done: make(chan struct{})}
	l.lanes[outgoing] = &lane{link: l, way: outgoing, src: near, dst: far, changed: make(chan struct{}, 1)}
	l.lanes[incoming] = &lane{link: l, way: incoming, src: far, dst: near, changed: make(chan struct{}, 1)}
	return l
}

// run carries bytes until both ends are closed and know it of each other, or until the link is broken.
func (l *link) run() {
	var wg sync.WaitGroup
	for _, a := range l.lanes {
		wg.Go(a.take)
		wg.Go(a.give)
	}
	wg.Wait()
	l.party.network.mu.Lock()
	defer l.party.network.mu.Unlock()
	delete(l.party.links, l)
}

// breakOff ends the connection at both ends at once.
func (l *link) breakOff() {
	l.once.Do(func() {
		close(l.done)
		for _, a := range l.lanes {
			_ = a.src.Close() // a net.Pipe's Close cannot fail
		}
	})
}

// wake makes both lanes look again.
func (l *link) wake() {
	for _, a := range l.lanes {
		a.wake()
	}
}

func (a *lane) wake() {
	select {
	case a.changed <- struct{}{}:
	default: // it is about to look anyway
	}
}

// take reads what is sent, as fast as it is sent.
func (a *lane) take() {
	buf := make([]byte, 32<<10)
	for {
		n, err := a.src.Read(buf)
		if n > 0 {
			a.put(bytes.Clone(buf[:n]))
		}
		if err != nil {
			a.put(nil)
			return
		}
	}
}

func (a *lane) put(data []byte) {
	mu := &a.link.party.network.mu
	mu.Lock()
	defer mu.Unlock()
	due := time.Now()
	if a.link.open {
		due = due.Add(a.link.party.delay)
	}
	if n := len(a.queue); n > 0 && due.Before(a.queue[n-1].due) {
		due = a.queue[n-1].due // a shorter delay overtakes nothing
	}
	a.queue = append(a.queue, parcel{data, due})
	a.held += len(data)
	if a.held > maxHeld {
		a.link.breakOff()
	}
	a.wake()
}

// give delivers what is due, until it has delivered the end. What the receiver does not want is thrown away.
func (a *lane) give() {
	for {
		p, wait, ok := a.next()
		switch {
		case ok && p.data == nil:
			_ = a.dst.Close() // a net.Pipe's Close cannot fail
			return
		case ok:
			// The error says that the receiver has closed, which it tells the sender over the other lane.
			_, _ = a.dst.Write(p.data)
		case !a.pause(wait):
			return
		}
	}
}

// next takes the oldest parcel off the queue if it may be delivered. Otherwise it says how long to wait; 0 means until
// something changes.
func (a *lane) next() (p parcel, wait time.Duration, ok bool) {
	party := a.link.party
	party.network.mu.Lock()
	defer party.network.mu.Unlock()
	if len(a.queue) == 0 || a.link.open && party.cut[a.way] {
		return parcel{}, 0, false
	}
	p = a.queue[0]
	if wait := time.Until(p.due); wait > 0 {
		return parcel{}, wait, false
	}
	a.queue = a.queue[1:]
	a.held -= len(p.data)
	if a.way == incoming && bytes.Contains(p.data, handshakeEnd) {
		a.link.open = true
	}
	return p, 0, true
}

// pause waits until something changes, at most for the given time unless that is 0. It is false if the link is broken.
func (a *lane) pause(limit time.Duration) bool {
	var timeUp <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case <-a.link.done:
		return false
	case <-a.changed:
	case <-timeUp:
	}
	return true
}
