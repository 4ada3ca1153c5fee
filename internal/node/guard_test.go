package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/lease"
)

func TestGuardDefaults(t *testing.T) {
	c, err := ReadAgentConfig("../../docs/samples/agent.yaml")
	if err != nil || c.RunDir != "/run/holter/ams-1" || c.Watchdog.Device != guard.DefaultDevice {
		t.Errorf("got %q, %q, %v", c.RunDir, c.Watchdog.Device, err)
	}
	c.RunDir = "run"
	if err := c.check(); err == nil {
		t.Error("a relative run_dir: got no error")
	}
}

// Nobody reads the guard's log, and what was written of it fills the pipe: it kills all the same, and ends when told to.
func TestAGuardWhoseLogHangsKills(t *testing.T) {
	boot, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	read, log, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, log)
	c := AgentConfig{Name: "h1", DataDir: t.TempDir(), RunDir: filepath.Join(t.TempDir(), "h1")}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	logger, finish := guardLog(c, log)
	go func() { ended <- runGuard(ctx, c, logger) }()
	sleep := exec.Command("sleep", "1000")
	sleep.Env = []string{"HOLTER_TOKEN=" + strconv.FormatInt(time.Now().UnixNano(), 10)}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	link, err := guard.Open(c.RunDir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := strconv.ParseUint(sleep.Env[0][len("HOLTER_TOKEN="):], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := link.Order(guard.Orders{Host: "h1", Boot: boot, Seq: 1, Self: lease.Guard, Charges: []guard.Charge{
		{Workload: "app", Token: token, Target: actions.Target{Workload: "app", Kind: "command", Unit: "app"}},
	}}); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := sleep.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the workload: got %v, want it killed", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	finish()
	if err := errors.Join(read.Close(), log.Close()); err != nil {
		t.Error(err)
	}
}

// fill fills a pipe.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	if err := w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
	}
	if err := w.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}
