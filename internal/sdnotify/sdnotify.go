// Package sdnotify tells systemd how a process stands: that it is ready, that it is alive, that it stops, and in words what is
// wrong (sd_notify(3)).
//
// Invariants: ready and alive are said only when the process's own loop has answered a check, so that one that hangs is
// started again by systemd (WatchdogSec=) although its other goroutines live. Without systemd it does nothing.
//
// Concurrency: Run is one goroutine.
package sdnotify

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	checkEvery = 5 * time.Second // where systemd asks for no watchdog, or a slow one
	checkLimit = 2 * time.Second // for one check, at most
	statusSize = 200             // bytes of a status line
)

// Run tells systemd how this process stands until ctx ends: READY=1 after the first check that succeeds, WATCHDOG=1 after each
// one, STATUS= when the answer changes, STOPPING=1 at the end. check must return when its context ends; the error says what is
// wrong. Run returns an error only if systemd should be there and cannot be told anything from the start: no reason to end.
func Run(ctx context.Context, check func(context.Context) error) error {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read what systemd asks of this process: %w", err)
	}
	every := checkEvery
	if timeout > 0 {
		every = min(every, timeout/4)
	}
	n := notifier{check: check, limit: min(checkLimit, every), watched: timeout > 0}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		told, err := n.round(ctx)
		if err != nil && !n.heard {
			return fmt.Errorf("notify systemd: %w", err)
		}
		n.heard = n.heard || told
		if !n.heard { // there is no systemd
			<-ctx.Done()
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if _, err := daemon.SdNotify(false, daemon.SdNotifyStopping); err != nil {
				return fmt.Errorf("notify systemd: %w", err)
			}
			return nil
		}
	}
}

type notifier struct {
	check   func(context.Context) error
	limit   time.Duration
	watched bool // systemd waits for WATCHDOG=1
	heard   bool // systemd was told something: what it misses from then on, its own watchdog judges
	ready   bool
	status  string
}

// round checks once and says what came of it; told is false if there is no systemd.
func (n *notifier) round(ctx context.Context) (told bool, err error) {
	limited, cancel := context.WithTimeout(ctx, n.limit)
	failure := n.check(limited)
	cancel()
	if ctx.Err() != nil {
		return true, nil //nolint:nilerr // at the end nobody asks how a check went
	}
	var lines []string
	if failure == nil && !n.ready {
		n.ready = true
		lines = append(lines, daemon.SdNotifyReady)
	}
	if failure == nil && n.watched {
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	if status := words(failure); status != n.status {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	if len(lines) == 0 {
		return true, nil
	}
	return daemon.SdNotify(false, strings.Join(lines, "\n"))
}

// words is a status line.
func words(failure error) string {
	if failure == nil {
		return "running"
	}
	line := strings.Join(strings.FieldsFunc("not alive: "+failure.Error(), func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c)
	}), " ")
	return strings.ToValidUTF8(line[:min(len(line), statusSize)], "")
}
