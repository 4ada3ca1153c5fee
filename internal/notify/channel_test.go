package notify

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console/consoletest"
)

// receiver is the far end of a channel: it takes events, refuses them, or hangs.
type receiver struct {
	paper
	hang  bool
	tries []time.Time
}

func (r *receiver) send(ctx context.Context, m Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, time.Now())
	if r.hang {
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return ctx.Err()
	}
	if r.err != nil {
		return r.err
	}
	r.lines = append(r.lines, m.Item.Index)
	return nil
}

func (r *receiver) set(hang bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hang, r.err = hang, err
}

// told runs a notifier with one channel in a bubble, over a log whose entries are old.
func told(t *testing.T, on ...string) (world, *receiver, *channel) {
	t.Helper()
	w := world{consoletest.Installed()}
	w.catchUp(time.Hour)
	r, c := notifying(t, w, on...)
	return w, r, c
}

// notifying runs a notifier with one channel over a log.
func notifying(t *testing.T, w world, on ...string) (*receiver, *channel) {
	t.Helper()
	r := &receiver{}
	c := newChannel(Channel{Name: "ops", On: on}, r.send, zerolog.Nop())
	n := &Notifier{self: "mon-1", channels: []*channel{c}}
	n.follower = follower{log: w, take: n.put, ended: n.leave}
	go func() { _ = n.Run(t.Context()) }()
	synctest.Wait()
	return r, c
}

func TestOnlyWhatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, c := told(t, "host.*", "plan.armed")
		last := w.State().Index
		w.note(2) // armed, disarmed
		w.Lose("fra-1")
		expect(t, "told", r.take(), []uint64{last + 1, last + 3})
		if got, want := c.stats(), (Stats{Name: "ops", Sent: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestRetries: the pauses double from one second up to a minute, less up to a half of each, and after ten minutes an event
// is given up. The next one is tried then.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, c := told(t, "*")
		r.set(false, errors.New("out of order"))
		began := time.Now()
		w.note(1)
		time.Sleep(2 * giveUp) // of the bubble
		if stats := c.stats(); stats.Dropped != 1 || stats.Failed != uint64(len(r.tries)) || stats.Sent != 0 {
			t.Errorf("stats %+v after %d tries", stats, len(r.tries))
		}
		pause := firstPause
		for i, at := range r.tries[1:] {
			if waited := at.Sub(r.tries[i]); waited < pause/2 || waited > pause {
				t.Errorf("paused %v after try %d, want %v to %v", waited, i+1, pause/2, pause)
			}
			pause = min(2*pause, maxPause)
		}
		if last := r.tries[len(r.tries)-1].Sub(began); last > giveUp || last < giveUp-maxPause {
			t.Errorf("tried for %v, want %v", last, giveUp)
		}
		r.set(false, nil)
		w.note(1)
		expect(t, "the next one comes", r.take(), []uint64{w.State().Index})
	})
}

// TestRefusedForGood: such an event keeps no other waiting.
func TestRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, c := told(t, "*")
		r.set(false, fmt.Errorf("no: %w", errForGood))
		w.note(1)
		synctest.Wait()
		if got, want := c.stats(), (Stats{Name: "ops", Failed: 1, Dropped: 1}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestQueueIsBounded: behind a receiver that hangs the oldest go out.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, c := told(t, "*")
		r.set(true, nil)
		last := w.State().Index
		w.note(1)
		synctest.Wait() // it is being tried, and waits no more
		w.note(queueLimit + 5)
		synctest.Wait()
		if got, want := c.stats(), (Stats{Name: "ops", Waiting: queueLimit, Dropped: 5}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		r.set(false, nil)
		time.Sleep(tryLimit + firstPause) // of the bubble
		expect(t, "told", r.take(), append([]uint64{last + 1}, span(last+7, last+6+queueLimit)...))
	})
}

// TestLeftToTheNextLeader: what was not told when a monitor loses the lead is not told by it, unless it leads again; then
// nothing is told twice.
func TestLeftToTheNextLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{consoletest.Installed()} // whose entries are younger than the bubble's clock
		r, c := notifying(t, w, "*")
		last := w.State().Index
		expect(t, "before", r.take(), span(1, last))
		r.set(false, errors.New("out of order"))
		w.note(3)
		synctest.Wait()
		w.lead(false)
		synctest.Wait()
		r.set(false, nil)
		time.Sleep(2 * time.Minute) // of the bubble
		expect(t, "while another one leads", r.take(), nil)
		if waiting := c.stats().Waiting; waiting != 0 {
			t.Errorf("%d wait", waiting)
		}
		w.lead(true)
		expect(t, "when it leads again", r.take(), span(last+1, last+3))
	})
}

// TestNextLeaderBeginsFarEnoughBack: what the former leader had ten minutes to tell is told again, older events are not.
func TestNextLeaderBeginsFarEnoughBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{consoletest.Installed()}
		w.lead(false)
		last := w.State().Index
		w.catchUp(overlap - 2500*time.Millisecond)
		r, _ := notifying(t, w, "*")
		expect(t, "before", r.take(), nil)
		w.lead(true)
		expect(t, "told", r.take(), span(last-2, last))
	})
}

// TestEachChannelKeepsItsPlace: when a monitor leads again, a channel that had told everything does not tell it again because
// another one had not.
func TestEachChannelKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{consoletest.Installed()} // whose entries are younger than the bubble's clock
		slow, quick := &receiver{}, &receiver{}
		slow.set(false, errors.New("out of order"))
		n := &Notifier{self: "mon-1", channels: []*channel{
			newChannel(Channel{Name: "slow", On: []string{"*"}}, slow.send, zerolog.Nop()),
			newChannel(Channel{Name: "quick", On: []string{"*"}}, quick.send, zerolog.Nop()),
		}}
		n.follower = follower{log: w, take: n.put, ended: n.leave}
		go func() { _ = n.Run(t.Context()) }()
		last := w.State().Index
		expect(t, "quick", quick.take(), span(1, last))
		w.lead(false)
		synctest.Wait()
		slow.set(false, nil)
		w.lead(true)
		time.Sleep(firstPause) // of the bubble
		expect(t, "slow", slow.take(), span(1, last))
		expect(t, "quick again", quick.take(), nil)
	})
}
