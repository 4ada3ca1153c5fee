package guard_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/agent/guard/guardtest"
	"github.com/holter-ha/holter/lease"
)

const boot = "0123456789abcdef0123456789abcdef"

// bed is a host in virtual time: a world, the directory that the agent and the guard share, and the agent's end of it.
type bed struct {
	t     *testing.T
	dir   string
	began time.Time
	world *memory.World
	link  *guard.Link
	kill  guard.Killer
	open  func() (guard.Device, error)
}

// virtual runs a test on a bed in a bubble.
func virtual(t *testing.T, test func(t *testing.T, b *bed)) {
	dir := filepath.Join(t.TempDir(), "run", "h1")
	synctest.Test(t, func(t *testing.T) {
		link, err := guard.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		w := memory.NewWorld()
		b := &bed{t: t, dir: dir, began: time.Now(), world: w, link: link, kill: guardtest.Killer{Host: w.Driver("h1")}}
		test(t, b)
	})
}

// boottime begins at an hour.
func (b *bed) boottime() time.Duration { return time.Hour + time.Since(b.began) }

func (b *bed) options() guard.Options {
	return guard.Options{Dir: b.dir, Boot: boot, Boottime: b.boottime, Kill: b.kill, Watchdog: b.open, Log: zerolog.Nop()}
}

// guard starts a guard. Stop ends it as a service manager does; the end of the test does too.
func (b *bed) guard() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- guard.Run(ctx, b.options()) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("guard: %v", err)
		}
	}
	b.t.Cleanup(stop)
	return stop
}

// runs starts a unit and makes it a charge.
func (b *bed) runs(unit string) guard.Charge {
	b.t.Helper()
	target := actions.Target{Workload: unit, Kind: memory.Kind, Unit: unit}
	if err := b.world.Driver("h1").Do(b.t.Context(), actions.Action{Verb: actions.Start, Target: target}); err != nil {
		b.t.Fatal(err)
	}
	return guard.Charge{Workload: unit, Token: 7, Target: target, Handles: []actions.Handle{}}
}

func (b *bed) orders(seq uint64, left time.Duration, charges ...guard.Charge) guard.Orders {
	return guard.Orders{Host: "h1", Boot: boot, Seq: seq, Until: b.boottime() + left, Self: lease.Guard, Charges: charges}
}

func (b *bed) order(o guard.Orders) {
	b.t.Helper()
	if err := b.link.Order(o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) word() guard.Word {
	b.t.Helper()
	synctest.Wait()
	w, err := b.link.Word(boot)
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

func (b *bed) wantRunning(units ...string) {
	b.t.Helper()
	synctest.Wait()
	var running []string
	for unit := range b.world.Running() {
		running = append(running, unit)
	}
	slices.Sort(running)
	if !slices.Equal(running, units) {
		b.t.Errorf("running at %s: got %q, want %q", b.boottime(), running, units)
	}
}

func (b *bed) spoil(text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "orders.json"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) lose() {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.dir, "orders.json")); err != nil {
		b.t.Fatal(err)
	}
}
