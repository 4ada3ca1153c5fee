package sdnotify

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// systemd listens as systemd does and hands on what it hears.
func systemd(t *testing.T, watchdog time.Duration) <-chan string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "")
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	heard := make(chan string, 1000)
	go func() { // ends with the socket
		for buffer := make([]byte, 4096); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			heard <- string(buffer[:n])
		}
	}()
	return heard
}

// TestRun: each check is answered to systemd, in order. While checks fail, or hang until their time is up, the watchdog is
// not petted and the status says why.
func TestRun(t *testing.T) {
	heard := systemd(t, 40*time.Millisecond) // a check each 10 ms
	answers := []error{errors.New("not\nyet"), nil, nil, errors.New("stuck"), context.DeadlineExceeded, nil}
	ctx, cancel := context.WithCancel(t.Context())
	checks := 0
	err := Run(ctx, func(ctx context.Context) error {
		if checks == len(answers) {
			cancel()
			return nil
		}
		checks++
		if errors.Is(answers[checks-1], context.DeadlineExceeded) {
			<-ctx.Done() // it must end by itself
			return ctx.Err()
		}
		return answers[checks-1]
	})
	if err != nil {
		t.Fatalf("Run = %v", err)
	}
	var got []string
	for !slices.Contains(got, "STOPPING=1") {
		got = append(got, <-heard)
	}
	want := []string{
		"STATUS=not alive: not yet", "READY=1\nWATCHDOG=1\nSTATUS=running", "WATCHDOG=1", "STATUS=not alive: stuck",
		"STATUS=not alive: context deadline exceeded", "WATCHDOG=1\nSTATUS=running", "STOPPING=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("systemd heard (-want +got):\n%s", diff)
	}
}

// TestWithoutWatchdog: systemd hears that the process is ready, and waits for nothing.
func TestWithoutWatchdog(t *testing.T) {
	heard := systemd(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Run(ctx, func(context.Context) error { return nil }) }()
	if got := <-heard; got != "READY=1\nSTATUS=running" {
		t.Errorf("first %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if got := <-heard; got != "STOPPING=1" {
		t.Errorf("then %q", got)
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, func(context.Context) error {
		cancel()
		return nil
	})
	if err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "")
	if err := Run(t.Context(), func(context.Context) error { return nil }); err == nil || !strings.HasPrefix(err.Error(), "notify systemd: ") {
		t.Errorf("Run = %v", err)
	}
}

func TestStatusIsShort(t *testing.T) {
	if got := words(errors.New(strings.Repeat("ü", 300))); len(got) > statusSize || !strings.HasSuffix(got, "ü") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
