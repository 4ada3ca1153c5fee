package guard_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
)

// look is longer than the guard takes from one look to the next.
const look = guard.DefaultEvery + time.Millisecond

// again is longer than the guard takes from one killing to the next.
const again = 150 * time.Millisecond

func TestKillsWhenTheLeaseEnds(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		b.guard()
		end := time.Now().Add(10*time.Second + 3*time.Millisecond)
		b.order(b.orders(1, time.Until(end), b.runs("app"), b.runs("db")))
		time.Sleep(time.Until(end) - time.Millisecond)
		b.wantRunning("app", "db")
		if w := b.word(); len(w.Killed) > 0 {
			t.Errorf("killed before the end: got %q", w.Killed)
		}
		time.Sleep(look)
		b.wantRunning()
		for _, e := range b.world.Record() {
			if e.What == memory.Killed && !e.At.Equal(end) {
				t.Errorf("%s was killed %s after the end, want 0s", e.Unit, e.At.Sub(end))
			}
		}
		if w := b.word(); !slices.Equal(w.Killed, []string{"app", "db"}) || w.Seq != 1 || w.Trouble != "" {
			t.Errorf("word after the end: got %+v", w)
		}
	})
}

// A service manager may start again what was killed, at any time as long as the orders stand.
func TestKillsAgain(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		b.guard()
		b.order(b.orders(1, time.Second, b.runs("app")))
		time.Sleep(time.Second + look)
		for range 3 {
			b.wantRunning()
			b.runs("app")
			b.wantRunning("app")
			time.Sleep(again)
			b.wantRunning()
			time.Sleep(time.Minute)
		}
		b.order(b.orders(2, time.Minute))
		time.Sleep(again)
		if w := b.word(); len(w.Killed) > 0 || w.Seq != 2 {
			t.Errorf("word after new orders: got %+v", w)
		}
		b.runs("app")
		time.Sleep(30 * time.Second)
		b.wantRunning("app")
	})
}

func TestWhoIsToBeKilled(t *testing.T) {
	for _, c := range []struct {
		name  string
		self  lease.SelfFence
		until time.Duration // boot time, which begins at an hour
		dies  bool
	}{
		{"the lease lasts", lease.Guard, 2 * time.Hour, false},
		{"the lease has ended", lease.Guard, time.Minute, true},
		{"there is no lease", lease.Guard, 0, true},
		{"the lease has ended under a watchdog", lease.Watchdog, time.Minute, true},
		{"the host does not fence itself", lease.None, time.Minute, false},
		{"the host does not fence itself and has no lease", lease.None, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(_ *testing.T, b *bed) {
				b.guard()
				o := b.orders(1, 0, b.runs("app"))
				o.Self, o.Until = c.self, c.until
				b.order(o)
				time.Sleep(again)
				if c.dies {
					b.wantRunning()
				} else {
					b.wantRunning("app")
				}
			})
		})
	}
}

func TestGoesByTheLastOrdersItCouldRead(t *testing.T) {
	for _, c := range []struct {
		name    string
		damage  func(b *bed)
		trouble string
	}{
		{"garbage", func(b *bed) { b.spoil("{") }, "decode"},
		{"empty", func(b *bed) { b.spoil("") }, "decode"},
		{"vanished", (*bed).lose, "no such file"},
		{"too long", func(b *bed) { b.spoil(strings.Repeat(" ", 5<<20)) }, "at most"},
		{"of another version", func(b *bed) { b.spoil(`{"v":2,"boot":"` + boot + `","seq":9}`) }, "version 2"},
		{"of an unknown way to fence", func(b *bed) { b.spoil(`{"v":1,"boot":"` + boot + `","seq":9,"self_fence":"hope"}`) }, "hope"},
		{"older", func(b *bed) {
			b.spoil(`{"v":1,"boot":"` + boot + `","seq":4,"self_fence":"none","charges":[]}`)
		}, "older than 5"},
		{"of another boot", func(b *bed) { b.spoil(`{"v":1,"boot":"ff","seq":9,"self_fence":"none"}`) }, "another boot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, b *bed) {
				b.guard()
				app := b.runs("app")
				b.order(b.orders(5, 10*time.Second, app))
				time.Sleep(look)
				c.damage(b)
				time.Sleep(look)
				if w := b.word(); w.Seq != 5 || !strings.Contains(w.Trouble, c.trouble) {
					t.Errorf("word after the damage: got %+v, want orders 5 and trouble with %q", w, c.trouble)
				}
				time.Sleep(9 * time.Second)
				b.wantRunning("app")
				time.Sleep(time.Second)
				b.wantRunning()
				b.order(b.orders(6, time.Minute))
				time.Sleep(look)
				if w := b.word(); w.Seq != 6 || w.Trouble != "" {
					t.Errorf("word after good orders: got %+v", w)
				}
			})
		})
	}
}

// A newer agent may add what an older guard may ignore.
func TestOrdersWithAnAddedField(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		b.guard()
		b.order(b.orders(5, time.Second, b.runs("app")))
		path := filepath.Join(b.dir, "orders.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b.spoil(`{"added_later":{"seq":1},` + string(text[1:]))
		time.Sleep(look)
		if w := b.word(); w.Seq != 5 || w.Trouble != "" {
			t.Errorf("word: got %+v, want orders 5 and no trouble", w)
		}
		time.Sleep(time.Second)
		b.wantRunning()
	})
}

func TestNoOrdersAreNoTrouble(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		b.runs("app")
		b.guard()
		time.Sleep(look)
		if w := b.word(); w.Seq != 0 || w.Trouble != "" {
			t.Errorf("word without orders: got %+v", w)
		}
		b.spoil(`{"v":1,"boot":"ff","seq":9,"self_fence":"guard","charges":[{"workload":"app","target":{"unit":"app"}}]}`)
		time.Sleep(again)
		if w := b.word(); w.Seq != 0 || w.Trouble != "" {
			t.Errorf("word after orders of another boot: got %+v", w)
		}
		b.wantRunning("app")
	})
}

func TestWordIsFresh(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		stop := b.guard()
		for seq := range uint64(20) {
			b.order(b.orders(seq+1, time.Minute))
			time.Sleep(look)
			if w := b.word(); w.Seq != seq+1 || w.PID != os.Getpid() {
				t.Fatalf("word one look after orders %d: got %+v", seq+1, w)
			}
		}
		for range 100 {
			time.Sleep(37 * time.Millisecond)
			if w := b.word(); b.boottime()-w.Stamp > 250*time.Millisecond+look || !w.Alive(b.boottime()) {
				t.Fatalf("word at %s is of %s", b.boottime(), w.Stamp)
			}
		}
		stop()
		last := b.word().Stamp
		w := guard.Word{Stamp: last}
		for now, alive := range map[time.Duration]bool{
			last: true, last + time.Second: true, last + time.Second + 1: false, last - 1: true, last - time.Minute: false,
		} {
			if w.Alive(now) != alive {
				t.Errorf("a word of %s is alive at %s: got %t", last, now, !alive)
			}
		}
		if _, err := b.link.Word("ff"); err == nil {
			t.Error("word of another boot: got no error")
		}
	})
}

// The agent is killed, its successor renews the lease for what still runs, and is killed too.
func TestTwoIncarnations(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		b.guard()
		o := b.orders(1, 5*time.Second, b.runs("app"))
		o.Inc, o.Epoch, o.Lease, o.Tried = 11, 22, &lease.Kept{Anchor: time.Minute, Terms: lease.Normal()}, []lease.Try{{Inc: 1, Nonce: 2}}
		b.order(o)
		time.Sleep(3 * time.Second)
		var err error
		if b.link, err = guard.Open(b.dir); err != nil {
			t.Fatal(err)
		}
		left, err := b.link.Leftover(boot)
		if err != nil || left == nil || left.Seq != 1 || left.Inc != 11 || left.Epoch != 22 || *left.Lease != *o.Lease || len(left.Tried) != 1 || len(left.Charges) != 1 {
			t.Fatalf("leftover: got %+v, %v", left, err)
		}
		if err := b.link.Order(*left); err == nil {
			t.Error("orders with a number that was used: got no error")
		}
		left.Seq, left.Until = 2, b.boottime()+5*time.Second
		b.order(*left)
		time.Sleep(4 * time.Second)
		b.wantRunning("app")
		time.Sleep(time.Second + look)
		b.wantRunning()
	})
}

func TestLeftover(t *testing.T) {
	for _, c := range []struct {
		name   string
		boot   string
		damage func(b *bed)
		want   uint64 // 0: none
	}{
		{"as written", boot, func(*bed) {}, 5},
		{"vanished, but the guard knows", boot, (*bed).lose, 5},
		{"garbage, but the guard knows", boot, func(b *bed) { b.spoil("}") }, 5},
		{"older than what the guard knows", boot, func(b *bed) {
			b.spoil(`{"v":1,"boot":"` + boot + `","seq":1,"self_fence":"none"}`)
		}, 5},
		{"of another boot", "ff", func(*bed) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, b *bed) {
				b.guard()
				b.order(b.orders(5, time.Minute, b.runs("app")))
				time.Sleep(look)
				c.damage(b)
				link, err := guard.Open(b.dir)
				if err != nil {
					t.Fatal(err)
				}
				left, err := link.Leftover(c.boot)
				switch {
				case err != nil:
					t.Error(err)
				case c.want == 0 && left != nil, c.want != 0 && (left == nil || left.Seq != c.want || len(left.Charges) != 1):
					t.Errorf("leftover: got %+v, want orders %d", left, c.want)
				}
			})
		})
	}
	t.Run("of a newer agent, and the guard goes by it", func(t *testing.T) {
		virtual(t, func(t *testing.T, b *bed) {
			newer := `{"v":2,"boot":"` + boot + `","seq":9,"self_fence":"guard","charges":[],"kill_twice":true}`
			b.spoil(newer)
			word := `{"v":1,"boot":"` + boot + `","seq":9,"orders":` + newer + `}`
			if err := os.WriteFile(filepath.Join(b.dir, "word.json"), []byte(word), 0o600); err != nil {
				t.Fatal(err)
			}
			if left, err := b.link.Leftover(boot); err == nil || !strings.Contains(err.Error(), "version 2") {
				t.Errorf("got %+v, %v, want an error that names version 2", left, err)
			}
		})
	})
	t.Run("garbage that no guard has read", func(t *testing.T) {
		virtual(t, func(t *testing.T, b *bed) {
			b.spoil("}")
			if left, err := b.link.Leftover(boot); err == nil {
				t.Errorf("got %+v, want an error", left)
			}
		})
	})
	t.Run("nothing", func(t *testing.T) {
		virtual(t, func(t *testing.T, b *bed) {
			if left, err := b.link.Leftover(boot); left != nil || err != nil {
				t.Errorf("got %+v, %v, want none", left, err)
			}
		})
	})
}

func TestARestartedGuardGoesOn(t *testing.T) {
	virtual(t, func(_ *testing.T, b *bed) {
		stop := b.guard()
		b.order(b.orders(5, 10*time.Second, b.runs("app")))
		time.Sleep(time.Second)
		stop()
		b.lose()
		time.Sleep(2 * time.Second)
		b.guard()
		time.Sleep(6 * time.Second)
		b.wantRunning("app")
		time.Sleep(time.Second + look)
		b.wantRunning()
	})
}

// The agent may have renewed the lease while there was no guard.
func TestARestartedGuardReadsBeforeItKills(t *testing.T) {
	virtual(t, func(_ *testing.T, b *bed) {
		stop := b.guard()
		app := b.runs("app")
		b.order(b.orders(1, time.Second, app))
		time.Sleep(look)
		stop()
		b.order(b.orders(2, 10*time.Second, app))
		time.Sleep(5 * time.Second)
		b.guard()
		time.Sleep(look)
		b.wantRunning("app")
		time.Sleep(5 * time.Second)
		b.wantRunning()
	})
}

func TestOneGuardPerDirectory(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		stop := b.guard()
		synctest.Wait()
		err := guard.Run(t.Context(), b.options())
		if err == nil || !strings.Contains(err.Error(), "another guard holds it") {
			t.Errorf("second guard: got %v", err)
		}
		stop()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := guard.Run(ctx, b.options()); err != nil {
			t.Errorf("guard after the first has ended: got %v", err)
		}
	})
}

// stubborn cannot kill one workload: its killing hangs until it is let go.
type stubborn struct {
	guard.Killer
	name string
	hang chan struct{} // nil: it does not hang, but nothing dies

	tries atomic.Int64
}

func (s *stubborn) Kill(c guard.Charge) error {
	if c.Workload != s.name {
		return s.Killer.Kill(c)
	}
	s.tries.Add(1)
	if s.hang != nil {
		<-s.hang
		return nil
	}
	return errors.New("it does not die")
}

func TestAKillingThatHangsHoldsNothingUp(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		s := &stubborn{Killer: b.kill, name: "app", hang: make(chan struct{})}
		b.kill = s
		b.guard()
		b.order(b.orders(1, time.Second, b.runs("app"), b.runs("db")))
		time.Sleep(time.Second + look)
		b.wantRunning("app")
		time.Sleep(time.Minute)
		if w := b.word(); !w.Alive(b.boottime()) || !slices.Equal(w.Killed, []string{"db"}) {
			t.Errorf("word: got %+v, want db killed", w)
		}
		if got := s.tries.Load(); got != 1 {
			t.Errorf("killings under way: got %d, want 1", got)
		}
		close(s.hang)
		time.Sleep(look)
	})
}

func TestWhatIsNotProvenGoneWasNotKilled(t *testing.T) {
	virtual(t, func(t *testing.T, b *bed) {
		s := &stubborn{Killer: b.kill, name: "app"}
		b.kill = s
		b.guard()
		b.order(b.orders(1, time.Second, b.runs("app")))
		time.Sleep(2*time.Second + time.Millisecond)
		if w := b.word(); len(w.Killed) > 0 {
			t.Errorf("killed: got %q, want none", w.Killed)
		}
		if got, want := s.tries.Load(), int64(time.Second/guard.DefaultEvery)+1; got != want {
			t.Errorf("tries in a second: got %d, want %d", got, want)
		}
		if err := b.world.Driver("h1").Kill(actions.Target{Unit: "app"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(look)
		if w := b.word(); !slices.Equal(w.Killed, []string{"app"}) {
			t.Errorf("killed once it is gone: got %q", w.Killed)
		}
	})
}

func TestTheDirectoryIsOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Open(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode: got %v, %v, want 0700", info.Mode(), err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Open(file); err == nil {
		t.Error("a file: got no error")
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Open(dir); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a directory of another user: got %v", err)
	}
}
