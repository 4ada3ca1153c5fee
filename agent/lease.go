package agent

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// renewPoll is how soon a renewal that could not be sent is tried again: the host was not joined, or its guard silent.
const renewPoll = 50 * time.Millisecond

// keeper owns the lease. Its goroutine renews it and takes the answers in, whatever the loop is doing; the loop, and those
// who do commands, ask it where the lease stands. Hence the mutex: what must wait for nobody is shared with them.
type keeper struct {
	bus      Bus
	host     string
	inc      uint64
	boottime func() time.Duration
	trouble  func(now time.Duration) string // why the guard does not do its duty, "" if it does
	log      zerolog.Logger

	acks  chan wire.Ack // maxInbox of them; more are dropped, the next renewal brings others
	poke  chan struct{} // an epoch was taken: renew at once
	moved chan struct{} // the lease's end has moved, or it was confirmed: for the loop
	write chan struct{} // the same, for the orders: the guard must hear of it even if the loop hangs

	mu     sync.Mutex
	holder *lease.Holder
	epoch  uint64
	trying bool            // a renewal was sent under this epoch
	tried  time.Duration   // boot time of the first one
	bound  lease.SelfFence // what the monitors may rely on: of the present epoch, or of an offer that was answered since
	other  stranger
}

// stranger is another incarnation that the monitors speak to under this host's name.
type stranger struct {
	inc uint64
	at  time.Duration
}

// tenure is where the lease stands at a moment.
type tenure struct {
	at        time.Duration
	phase     lease.Phase
	until     time.Duration
	confirmed bool
	under     uint64        // index of the voters that the lease stands on under this epoch
	trying    bool          // renewals are being sent under this epoch
	tried     time.Duration // since when
	terms     lease.Terms
	kept      *lease.Kept
	self      lease.SelfFence // what is done here when the lease ends
}

// newKeeper returns the keeper of what the former incarnation of this boot left; nil: nothing.
func newKeeper(opt Options, left *guard.Orders) *keeper {
	k := &keeper{
		bus: opt.Bus, host: opt.Host, inc: opt.Inc, boottime: opt.Boottime, log: opt.Log, bound: lease.None,
		acks: make(chan wire.Ack, maxInbox), poke: make(chan struct{}, 1), moved: make(chan struct{}, 1),
	}
	var kept *lease.Kept
	if left != nil {
		kept, k.bound = left.Lease, cmp.Or(left.Self, lease.None)
	}
	k.holder = lease.NewHolder(opt.Inc, kept)
	return k
}

// run renews the lease until ctx ends.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case ack := <-k.acks:
			k.take(ack)
			continue
		case <-k.poke:
		case <-timer.C:
		}
		timer.Reset(k.renew())
	}
}

// renew asks for the next renewal if it is due, and says when to look again.
func (k *keeper) renew() time.Duration {
	now := k.boottime()
	epoch, next := k.due(now)
	if epoch == 0 {
		return next
	}
	data, err := wire.Marshal(wire.Renew{Host: k.host, Inc: k.inc, Epoch: epoch, Stamp: now})
	if err == nil {
		err = k.bus.Publish(wire.RenewSubject(k.host), data)
	}
	if err != nil {
		k.log.Debug().Err(err).Msg("lease was not renewed")
	}
	return next
}

// due returns the epoch to renew under, 0 if none is to be renewed now, and when to look again. The guard is part of the
// lease: a host that cannot be fenced must not be trusted to be.
func (k *keeper) due(now time.Duration) (epoch uint64, next time.Duration) {
	silent := k.trouble(now) != ""
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bound != lease.None && silent || !k.holder.Due(now) {
		return 0, renewPoll
	}
	if !k.trying {
		k.trying, k.tried = true, now
	}
	if !k.holder.Confirmed() {
		return k.epoch, renewPoll
	}
	return k.epoch, k.holder.Terms().Renew
}

// take takes a monitor's answer in.
func (k *keeper) take(a wire.Ack) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case a.Host != k.host:
		return
	case a.Inc != k.inc:
		k.other = stranger{inc: a.Inc, at: k.boottime()}
		return
	}
	until, confirmed := k.holder.Until(), k.holder.Confirmed()
	k.holder.Ack(lease.Ack{Monitor: a.Monitor, Inc: a.Inc, Epoch: a.Epoch, Stamp: a.Stamp, Voters: a.Voters})
	if k.holder.Until() != until || k.holder.Confirmed() != confirmed {
		signal(k.moved)
		signal(k.write)
	}
}

// now tells where the lease stands.
func (k *keeper) now() tenure {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.boottime()
	return tenure{
		at: at, phase: k.holder.Phase(at), until: k.holder.Until(), confirmed: k.holder.Confirmed(), under: k.holder.Under(), trying: k.trying, tried: k.tried,
		terms: k.holder.Terms(), kept: k.holder.Kept(), self: k.bound,
	}
}

// leave gives the epoch up. The lease goes on to its end, by the terms that were the agent's so far.
func (k *keeper) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch, k.trying = 0, false
	k.holder.Leave()
}

// offer takes the terms of an offer in.
func (k *keeper) offer(t lease.Terms) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holder.Offer(t)
}

// answer notes that an offer is about to be answered: from here on the monitors may take this host in without its knowing.
func (k *keeper) answer() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bound = k.holder.Terms().Self
}

// join takes an epoch.
func (k *keeper) join(as wire.Assignment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holder.Join(as.Epoch, as.Terms, as.Voters)
	k.epoch, k.trying, k.bound = as.Epoch, false, as.Terms.Self
	signal(k.poke)
}

func (k *keeper) setVoters(v lease.Voters) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holder.SetVoters(v)
}

// end makes the end of the lease irrevocable.
func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holder.End()
}

// noteOther notes that the monitors speak to another incarnation of this host.
func (k *keeper) noteOther(inc uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.other = stranger{inc: inc, at: k.boottime()}
}

func (k *keeper) lastOther() stranger {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.other
}

// signal wakes whoever waits on a channel of capacity one, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
