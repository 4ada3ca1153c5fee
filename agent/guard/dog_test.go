package guard_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
)

// machine has a watchdog: a fake of what the kernel shows of it, which notes when the machine would have been reset. The
// test and the guard share it.
type machine struct {
	b  *bed
	mu sync.Mutex
	state
}

type state struct {
	nowayout  bool
	least     time.Duration // the shortest timeout that it takes
	busy      bool          // it cannot be opened
	broken    bool          // it cannot be petted
	open      bool
	counting  bool
	timeout   time.Duration
	fed       time.Time
	fedAt     []time.Duration // boot times of all that puts its end off
	opens     int
	resetDone bool
	resetAt   time.Duration // boot time
}

func newMachine(b *bed) *machine {
	m := &machine{b: b, state: state{timeout: time.Minute}}
	b.open = func() (guard.Device, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.busy || m.open {
			return nil, errors.New("device or resource busy")
		}
		m.opens++
		m.open = true
		m.feed()
		m.counting = true
		return dev{m}, nil
	}
	return m
}

func (m *machine) feed() {
	m.settle()
	m.fed = time.Now()
	m.fedAt = append(m.fedAt, m.b.boottime())
}

// settle finds out whether the machine was reset before now.
func (m *machine) settle() {
	if end := m.fed.Add(m.timeout); m.counting && !m.resetDone && time.Now().After(end) {
		m.resetDone, m.resetAt = true, m.b.boottime()-time.Since(end)
	}
}

// now is a copy of the state.
func (m *machine) now() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	s := m.state
	s.fedAt = slices.Clone(s.fedAt)
	return s
}

func (m *machine) change(to func(s *state)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to(&m.state)
}

func (m *machine) wantReset(t *testing.T, at time.Duration) {
	t.Helper()
	switch s := m.now(); {
	case at == 0 && s.resetDone:
		t.Errorf("machine was reset at %s, want not at all", s.resetAt)
	case at != 0 && (!s.resetDone || s.resetAt > at):
		t.Errorf("machine was reset: got %t, %s, want by %s", s.resetDone, s.resetAt, at)
	}
}

// dev is the open device.
type dev struct{ m *machine }

func (d dev) SetTimeout(timeout time.Duration) (time.Duration, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.feed()
	d.m.timeout = max(timeout, d.m.least)
	return d.m.timeout, nil
}

func (d dev) Pet() error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.m.broken {
		return errors.New("input/output error")
	}
	d.m.feed()
	return nil
}

func (d dev) Stoppable() bool { return !d.m.now().nowayout }

func (d dev) Stop() error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.settle()
	d.m.open, d.m.counting = false, d.m.nowayout
	return nil
}

func (d dev) Leave() error {
	d.m.change(func(s *state) { s.open = false })
	return nil
}

func watched(o guard.Orders) guard.Orders {
	o.Self, o.Watchdog = lease.Watchdog, 5*time.Second
	return o
}

func (b *bed) wantArmed(armed bool, trouble string) {
	b.t.Helper()
	w := b.word()
	if w.Armed != armed || (trouble == "") != (w.Trouble == "") || !strings.Contains(w.Trouble, trouble) {
		b.t.Errorf("word at %s: got armed %t, trouble %q, want %t, %q", b.boottime(), w.Armed, w.Trouble, armed, trouble)
	}
}

func TestWatchdogIsPettedWhileTheLeaseLasts(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		m := newMachine(b)
		b.guard()
		b.order(watched(b.orders(1, time.Minute)))
		time.Sleep(look)
		b.wantArmed(false, "")
		if s := m.now(); s.open || s.counting || s.opens != 1 {
			t.Errorf("without charges: got open %t, counting %t, opened %d times, want a try", s.open, s.counting, s.opens)
		}
		const lasts = 20 * time.Second
		end := b.boottime() + lasts
		b.order(watched(b.orders(2, lasts, b.runs("app"))))
		time.Sleep(look)
		b.wantArmed(true, "")
		const timeout = 5 * time.Second
		if got := m.now().timeout; got != timeout {
			t.Errorf("timeout: got %s, want %s", got, timeout)
		}
		time.Sleep(lasts - look - time.Millisecond)
		m.wantReset(t, 0)
		fed := m.now().fedAt[2:] // opened and set twice
		for i := range fed[1:] {
			if gap := fed[i+1] - fed[i]; gap > timeout/4+look {
				t.Errorf("pets %s and %s: got %s between, want at most a quarter of %s", fed[i], fed[i+1], gap, timeout)
			}
		}
		time.Sleep(4 * time.Second) // the guard has killed, and yet
		b.wantRunning()
		b.wantArmed(false, "")
		if last := slices.Max(m.now().fedAt); last >= end {
			t.Errorf("last pet: got %s, want before %s, the end of the lease", last, end)
		}
		time.Sleep(10 * time.Second)
		m.wantReset(t, end+timeout)
	})
}

func TestWatchdogIsSavedByNewOrdersOnly(t *testing.T) {
	for _, charges := range []bool{false, true} {
		virtual(t, func(t *testing.T, b *bed) {
			m := newMachine(b)
			b.guard()
			app := b.runs("app")
			b.order(watched(b.orders(1, 10*time.Second, app)))
			time.Sleep(13 * time.Second)
			next := watched(b.orders(2, time.Hour))
			if charges {
				next.Charges = []guard.Charge{app}
			}
			b.order(next)
			time.Sleep(look)
			b.wantArmed(charges, "")
			if got := m.now().counting; got != charges {
				t.Errorf("counting: got %t, want %t", got, charges)
			}
			time.Sleep(10 * time.Second)
			m.wantReset(t, 0)
		})
	}
}

// To open a watchdog is to pet it.
func TestWatchdogIsNotOpenedAfterTheLease(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		m := newMachine(b)
		b.order(watched(b.orders(1, -time.Millisecond, b.runs("app"))))
		b.guard()
		time.Sleep(10 * time.Second)
		if got := m.now().opens; got != 0 {
			t.Errorf("opened %d times, want 0", got)
		}
		b.wantRunning()
	})
}

func TestWatchdogThatCannotBeStopped(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		m := newMachine(b)
		m.change(func(s *state) { s.nowayout = true })
		b.guard()
		b.order(watched(b.orders(1, time.Second)))
		time.Sleep(10 * time.Second)
		b.order(watched(b.orders(2, time.Minute, b.runs("app"))))
		time.Sleep(10 * time.Second)
		b.wantArmed(true, "")
		b.order(watched(b.orders(3, time.Second)))
		time.Sleep(10 * time.Second)
		b.wantArmed(false, "")
		o := b.orders(4, time.Second)
		b.order(o)
		time.Sleep(10 * time.Second)
		m.wantReset(t, 0)
	})
}

func TestWatchdogInTrouble(t *testing.T) {
	for _, c := range []struct {
		name     string
		make     func(s *state)
		mend     func(s *state)
		trouble  string
		counting bool
	}{
		{"it takes longer timeouts only", func(s *state) { s.least = time.Minute }, func(s *state) { s.least = 0 }, "but 1m0s", true},
		{"it is in use", func(s *state) { s.busy = true }, func(s *state) { s.busy = false }, "busy", false},
		{"it cannot be petted", func(s *state) { s.broken = true }, func(s *state) { s.broken = false }, "input/output", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, b *bed) {
				m := newMachine(b)
				m.change(c.make)
				b.guard()
				app := b.runs("app")
				b.order(watched(b.orders(1, time.Hour, app)))
				time.Sleep(2 * time.Second)
				b.wantArmed(false, c.trouble)
				if got := m.now().counting; got != c.counting {
					t.Errorf("counting: got %t, want %t", got, c.counting)
				}
				m.change(c.mend)
				time.Sleep(2 * time.Second)
				b.wantArmed(true, "")
				m.wantReset(t, 0)
			})
		})
	}
	t.Run("there is none", func(t *testing.T) {
		virtual(t, func(_ *testing.T, b *bed) {
			b.guard()
			b.order(watched(b.orders(1, time.Hour)))
			time.Sleep(look)
			b.wantArmed(false, "no watchdog")
		})
	})
}

func TestWatchdogAtTheEndOfTheGuard(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		m := newMachine(b)
		app := b.runs("app")
		stop := b.guard()
		b.order(watched(b.orders(1, time.Hour, app)))
		time.Sleep(10 * time.Second)
		stop()
		if s := m.now(); !s.counting || s.open {
			t.Errorf("with charges: got counting %t, open %t, want it left counting", s.counting, s.open)
		}
		time.Sleep(3 * time.Second)
		stop = b.guard() // in time: the last pet was up to a quarter of the timeout before the stop
		time.Sleep(10 * time.Second)
		b.order(watched(b.orders(2, time.Hour)))
		time.Sleep(look)
		stop()
		if m.now().counting {
			t.Error("without charges: the watchdog counts on")
		}
		m.wantReset(t, 0)
		b.order(watched(b.orders(3, time.Hour, app)))
		stop = b.guard()
		time.Sleep(look)
		stop()
		left := b.boottime()
		time.Sleep(10 * time.Second)
		m.wantReset(t, left+5*time.Second)
	})
}

// A guard is killed, the workload is stopped meanwhile: the next guard stops the watchdog that nobody else would.
func TestWatchdogLeftCountingIsStopped(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		m := newMachine(b)
		stop := b.guard()
		b.order(watched(b.orders(1, time.Hour, b.runs("app"))))
		time.Sleep(time.Second)
		stop()
		b.order(watched(b.orders(2, time.Hour)))
		time.Sleep(time.Second)
		b.guard()
		time.Sleep(10 * time.Second)
		m.wantReset(t, 0)
		if m.now().counting {
			t.Error("the watchdog counts on")
		}
	})
}
