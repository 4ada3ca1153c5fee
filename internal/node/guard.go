package node

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"

	"github.com/holter-ha/holter/agent/guard"
)

const (
	guardLogLines = 1000        // that wait to be written; when there are more, the oldest are lost
	guardLogLimit = time.Second // for them to be written at the end
)

// RunGuard is the life of the guard of the agent with the same file, until ctx ends. It logs to w, and goes on when that
// hangs: a full disk or a stopped reader of the log must keep nobody from being killed.
func RunGuard(ctx context.Context, c AgentConfig, w io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // nor must a log that is gone end it
	log, finish := guardLog(c, w)
	defer finish()
	guard.Harden(log)
	return runGuard(ctx, c, log)
}

func runGuard(ctx context.Context, c AgentConfig, log zerolog.Logger) error {
	boot, err := BootID()
	if err != nil {
		return fmt.Errorf("read the machine's boot id: %w", err)
	}
	machine, err := guard.NewMachine(filepath.Join(c.DataDir, "commands"))
	if err != nil {
		return fmt.Errorf("prepare the guard: %w", err)
	}
	return guard.Run(ctx, guard.Options{
		Dir: c.RunDir, Boot: boot, Boottime: Boottime, Kill: machine, Log: log,
		Watchdog: func() (guard.Device, error) { return guard.OpenDevice(c.Watchdog.Device) },
	})
}

// guardLog makes a logger that waits for nothing. Finish lets the lines that wait be written, as far as they can be.
func guardLog(c AgentConfig, w io.Writer) (log zerolog.Logger, finish func()) {
	lines := diode.NewWriter(struct{ io.Writer }{w}, guardLogLines, 0, func(int) {})
	return c.Log.Logger(lines).With().Str("host", c.Name).Logger(), func() {
		written := make(chan struct{})
		go func() { // ends with the process at the latest
			_ = lines.Close()
			close(written)
		}()
		select {
		case <-written:
		case <-time.After(guardLogLimit):
		}
	}
}
