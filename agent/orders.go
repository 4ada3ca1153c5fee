package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
)

// Times of the talk with the guard.
const (
	wordEvery = 100 * time.Millisecond // between two looks at the guard's word
	ackEvery  = 20 * time.Millisecond  // the same, while a start waits for it
	ackLimit  = time.Second            // for the guard to go by new orders
	comeBack  = 5 * time.Second        // for a guard that is being restarted, before a start is given up
)

const unread = "the guard does not read its orders"

// maxTried bounds the joins without an answer that a successor is told of; the oldest are dropped.
const maxTried = 16

// orders keeps what the guard is to know: until when what is exclusive may run here, and how to kill it. It is what the
// agent's next incarnation begins with, too. The loop, those who start workloads and its own goroutine all write, and none
// of them may wait for another for long: hence the mutex.
type orders struct {
	link     *guard.Link
	boot     string
	boottime func() time.Duration
	tenure   func() tenure
	log      zerolog.Logger

	word  atomic.Pointer[guard.Word] // the newest, nil: there is none
	moved chan struct{}              // something is to be written

	mu      sync.Mutex
	last    guard.Orders // as they are in the file, or will be once Seq grows
	charges map[string]guard.Charge
	current time.Duration // boot time when the guard was last known to go by the newest orders
}

// newOrders begins with what the former incarnation of this boot left; nil: nothing.
func newOrders(opt Options, boot string, link *guard.Link, left *guard.Orders) *orders {
	o := &orders{
		link: link, boot: boot, boottime: opt.Boottime, log: opt.Log,
		moved: make(chan struct{}, 1), charges: make(map[string]guard.Charge), current: opt.Boottime(),
		last: guard.Orders{Host: opt.Host, Boot: boot, Self: lease.None, Charges: []guard.Charge{}},
	}
	if left != nil {
		o.last = *left
		for _, c := range left.Charges {
			o.charges[c.Workload] = c
		}
	}
	return o
}

// run reads the guard's word and writes what has changed, until ctx ends. What could not be written is tried again.
func (o *orders) run(ctx context.Context) {
	tick := time.NewTicker(wordEvery)
	defer tick.Stop()
	o.read()
	failed := false
	for {
		changed := failed
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			o.read()
		case <-o.moved:
			changed = true
		}
		if !changed {
			continue
		}
		_, err := o.write()
		if err != nil && !failed {
			o.log.Error().Err(err).Msg("guard was not told")
		}
		failed = err != nil
	}
}

// read takes the guard's newest word in.
func (o *orders) read() {
	w, err := o.link.Word(o.boot)
	if err != nil {
		o.word.Store(nil)
		return
	}
	o.word.Store(&w)
	o.mu.Lock()
	defer o.mu.Unlock()
	if w.Seq >= o.last.Seq {
		o.current = o.boottime()
	}
}

// write writes the orders if they have changed, and returns their number.
func (o *orders) write() (uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, next := o.tenure(), o.last
	next.Lease, next.Until, next.Self, next.Watchdog = t.kept, t.until, t.self, 0
	if t.self == lease.Watchdog {
		next.Watchdog = t.terms.Kill - lease.WatchdogSlack
	}
	next.Charges = make([]guard.Charge, 0, len(o.charges))
	for _, name := range slices.Sorted(maps.Keys(o.charges)) {
		next.Charges = append(next.Charges, o.charges[name])
	}
	return o.put(next)
}

// put writes orders that differ from the last. The caller holds the lock.
func (o *orders) put(next guard.Orders) (uint64, error) {
	if reflect.DeepEqual(next, o.last) && next.Seq > 0 {
		return next.Seq, nil
	}
	next.Seq++
	if err := o.link.Order(next); err != nil {
		return 0, fmt.Errorf("write orders for the guard: %w", err)
	}
	o.last = next
	return next.Seq, nil
}

// hold writes down which epoch this incarnation holds: whoever knows it is its successor.
func (o *orders) hold(inc, epoch uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.last
	next.Inc, next.Epoch, next.Tried = inc, epoch, nil
	_, err := o.put(next)
	return err
}

// try writes down that an offer is about to be answered.
func (o *orders) try(inc, nonce uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next, mine := o.last, lease.Try{Inc: inc, Nonce: nonce}
	if slices.Contains(next.Tried, mine) {
		return nil
	}
	next.Tried = append(slices.Clone(next.Tried), mine)
	next.Tried = next.Tried[max(0, len(next.Tried)-maxTried):]
	_, err := o.put(next)
	return err
}

// proof is what an agent of this boot held last, and where it may have been taken in since.
func (o *orders) proof() (inc, epoch uint64, tried []lease.Try) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Inc, o.last.Epoch, o.last.Tried
}

// charge makes a workload one that is killed when the lease ends. What is known of how to kill it stays. The next write
// tells the guard.
func (o *orders) charge(workload string, token uint64, t actions.Target) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, known := o.charges[workload]
	if known && c.Token == token && c.Target == t {
		return
	}
	if c.Target != t {
		c.Handles = []actions.Handle{}
	}
	c.Workload, c.Token, c.Target = workload, token, t
	o.charges[workload] = c
	signal(o.moved)
}

// discharge takes a workload out that is proven gone, or not exclusive any more.
func (o *orders) discharge(workload string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.charges[workload]; known {
		delete(o.charges, workload)
		signal(o.moved)
	}
}

// point takes in how a workload is to be killed. Nothing replaces something: only a proof that it is gone does.
func (o *orders) point(workload string, handles []actions.Handle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, known := o.charges[workload]
	if !known || len(handles) == 0 || slices.Equal(c.Handles, handles) {
		return
	}
	c.Handles = handles
	o.charges[workload] = c
	signal(o.moved)
}

// all lists what is charged.
func (o *orders) all() map[string]guard.Charge {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.charges)
}

// of is what is known of a workload.
func (o *orders) of(workload string) guard.Charge {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.charges[workload]
}

// trouble says why the guard cannot be relied on, "" if it can.
func (o *orders) trouble(now time.Duration) string {
	w := o.word.Load()
	if reason := fault(w, now); reason != "" {
		return reason
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now-o.current > ackLimit {
		return unread
	}
	return ""
}

// fault says why a guard of this word cannot do its duty, "" if it can.
func fault(w *guard.Word, now time.Duration) string {
	switch {
	case w == nil || !w.Alive(now):
		return "the guard does not answer: is holter guard running on this host?"
	case w.Trouble != "":
		return "the guard cannot do its duty: " + w.Trouble
	}
	return ""
}

// await waits until the guard goes by orders of a number or newer, and has armed the watchdog where one is to back it.
// Without self-fencing there is no guard to wait for.
func (o *orders) await(ctx context.Context, seq uint64) error {
	for began := o.boottime(); ; {
		self := o.tenure().self
		if self == lease.None {
			return nil
		}
		o.read()
		now, w := o.boottime(), o.word.Load()
		reason := fault(w, now)
		switch {
		case reason != "":
		case w.Seq < seq:
			reason = unread
		case self == lease.Watchdog && !w.Armed:
			reason = "the guard has not armed the watchdog"
		default:
			return nil
		}
		if now-began >= comeBack || ctx.Err() != nil {
			return errors.New(reason)
		}
		select {
		case <-ctx.Done():
		case <-time.After(ackEvery):
		}
	}
}

// known says that the guard goes by orders of a number, or newer, as far as its last word tells.
func (o *orders) known(seq uint64) bool {
	w := o.word.Load()
	return w != nil && w.Alive(o.boottime()) && w.Seq >= seq
}
