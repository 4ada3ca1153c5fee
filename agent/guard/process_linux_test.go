package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
)

// guardDir in the environment makes a guard of this program, over the directory that it names.
const guardDir = "HOLTER_TEST_GUARD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(guardDir); dir != "" {
		os.Exit(guardProcess(dir))
	}
	os.Exit(m.Run())
}

func guardProcess(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := zerolog.New(os.Stderr)
	guard.Harden(log)
	machine, err := guard.NewMachine(filepath.Join(dir, "commands"))
	if err == nil {
		err = guard.Run(ctx, guard.Options{Dir: filepath.Join(dir, "run"), Boot: boot, Boottime: boottime, Kill: machine, Log: log})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// startGuard starts a guard as a process of its own and waits until it speaks.
func startGuard(t *testing.T, dir string, link *guard.Link) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guardDir+"="+dir)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of guard %d:\n%s", cmd.Process.Pid, log.String())
		}
	})
	await(t, "guard speaks", func() bool {
		w, err := link.Word(boot)
		return err == nil && w.PID == cmd.Process.Pid
	})
	return cmd
}

func openLink(t *testing.T) (dir string, link *guard.Link) {
	t.Helper()
	dir = t.TempDir()
	link, err := guard.Open(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, link
}

func order(t *testing.T, link *guard.Link, seq uint64, until time.Duration, charges ...guard.Charge) {
	t.Helper()
	o := guard.Orders{Host: "h1", Boot: boot, Seq: seq, Until: until, Self: lease.Guard, Charges: charges}
	if err := link.Order(o); err != nil {
		t.Fatal(err)
	}
}

// stalls tells for how long in all this process was kept from running since the last call: a machine that stands still, or
// gives its processors to others, is late by as much, and so is whatever runs on it.
func stalls(t *testing.T) func() time.Duration {
	const every = 5 * time.Millisecond
	var total atomic.Int64
	done := make(chan struct{})
	var meter sync.WaitGroup
	meter.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			now := time.Now()
			if over := now.Sub(last) - every; over > every {
				total.Add(int64(over))
			}
			last = now
		}
	})
	t.Cleanup(func() {
		close(done)
		meter.Wait()
	})
	return func() time.Duration { return time.Duration(total.Swap(0)) }
}

// The agent is dead from the first orders on: only the lease counts. The guard is killed and started again, and meanwhile the
// orders are lost.
func TestAGuardThatWasKilledGoesOn(t *testing.T) {
	stalled := stalls(t)
	dir, link := openLink(t)
	first := startGuard(t, dir, link)
	c := fresh()
	pids := spawn(t, family, familySize, tokenOf(c))
	until := boottime() + 1500*time.Millisecond
	order(t, link, 1, until, c)
	await(t, "guard goes by the orders", func() bool {
		w, err := link.Word(boot)
		return err == nil && w.Seq == 1
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Error("killed guard: got no error")
	}
	if err := os.Remove(filepath.Join(dir, "run", "orders.json")); err != nil {
		t.Fatal(err)
	}
	startGuard(t, dir, link)
	if left := living(pids); len(left) < familySize && boottime() < until {
		t.Errorf("left before the end of the lease: got %v, want %v", left, pids)
	}
	await(t, "guard says so", func() bool {
		w, err := link.Word(boot)
		return err == nil && slices.Equal(w.Killed, []string{"app"})
	})
	if left := living(pids); len(left) > 0 {
		t.Errorf("left: got %v, want none", left)
	}
	if late, over := boottime()-until, stalled(); late < 0 || late > lease.GuardKill+over {
		t.Errorf("proven gone %s after the end of the lease, want 0 to %s, and %s that this machine stood still", late, lease.GuardKill, over)
	}
}

func TestAGuardEndsWhenItIsToldTo(t *testing.T) {
	dir, link := openLink(t)
	cmd := startGuard(t, dir, link)
	second := exec.Command(os.Args[0])
	second.Env = append(os.Environ(), guardDir+"="+dir)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another guard holds it") {
		t.Errorf("second guard: got %v, %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("guard: got %v, want exit code 0", err)
	}
}

// TestLatency measures how long after the end of the lease a session is dead.
func TestLatency(t *testing.T) {
	const rounds = 20
	dir, link := openLink(t)
	startGuard(t, dir, link)
	stalled := stalls(t)
	var late []time.Duration
	for i := range uint64(rounds) {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		until := boottime() + 100*time.Millisecond
		order(t, link, i+1, until, fresh(actions.Handle{Kind: actions.HandleSession, PID: pid, StartTicks: ticks(t, pid)}))
		await(t, "guard goes by the orders", func() bool {
			w, err := link.Word(boot)
			return err == nil && w.Seq == i+1
		})
		until = max(until, boottime()) // an agent starts nothing before
		stalled()
		if err := cmd.Wait(); err == nil {
			t.Fatal("sleep ended by itself")
		}
		took, over := boottime()-until, stalled()
		late = append(late, took)
		if took > lease.GuardKill+over {
			t.Errorf("dead %s after the end of the lease, want at most %s, and %s that this machine stood still", took, lease.GuardKill, over)
		}
	}
	slices.Sort(late)
	t.Logf("from the end of the lease to the death: median %s, most %s", late[rounds/2], late[rounds-1])
}
