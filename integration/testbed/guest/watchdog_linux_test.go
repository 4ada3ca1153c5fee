package guest_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed/guest"
)

// timeout is that of the guests' watchdogs; quiet is longer than such a watchdog waits.
const (
	timeout = 5 * time.Second
	quiet   = timeout + 3*time.Second
)

// fed is a guest whose watchdog is armed and fed.
func fed(t *testing.T) *guest.Guest {
	t.Helper()
	g := guest.Start(t, guest.Build(t, map[string]string{"/bin/talker": talker(t)}), guest.Options{
		Watchdog: "i6300esb",
		Disk:     filepath.Join(t.TempDir(), "disk"),
		Commands: []guest.Command{{Name: "feeder", Argv: []string{"/init", "watchdog-feed", timeout.String()}}},
	})
	if err := g.WaitConsole(t.Context(), "feeder: armed"); err != nil {
		t.Fatal(err)
	}
	return g
}

// expectQuiet fails the test if the watchdog fires within longer than it waits.
func expectQuiet(t *testing.T, g *guest.Guest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if e, err := g.WaitEvent(ctx, "WATCHDOG"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the watchdog within %v: got %v, %v, want nothing", quiet, e, err)
	}
	if got := g.Boots(); got != 1 {
		t.Fatalf("boots: got %d, want 1", got)
	}
}

func TestWatchdogResetsAGuestWhoseFeederStands(t *testing.T) {
	t.Parallel()
	g := fed(t)
	for _, dir := range []string{"/data", "/tmp"} {
		exec(t, g, "run /bin/talker write "+dir+"/mark here")
	}
	expectQuiet(t, g)
	exec(t, g, "signal STOP feeder")
	stopped := time.Now()
	e, err := g.WaitEvent(t.Context(), "WATCHDOG")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the watchdog fired %v after the feeder stood", e.At.Sub(stopped).Round(time.Millisecond))
	if !strings.Contains(e.Data, `"reset"`) {
		t.Errorf("what the watchdog does: got %s, want a reset", e.Data)
	}
	if _, err := g.WaitEvent(t.Context(), "RESET"); err != nil {
		t.Error(err)
	}
	if err := g.WaitBoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.Boots(); got != 2 {
		t.Errorf("boots: got %d, want 2", got)
	}
	t.Logf("the guest was up again %v after the watchdog", time.Since(e.At).Round(time.Millisecond))
	// The new boot is one to work with: its feeder runs, and it answers.
	await(t, g, "ps", "S /init watchdog-feed")
	if got := exec(t, g, "cat /data/mark"); got != "here" {
		t.Errorf("what was on the disk: got %q, want %q", got, "here")
	}
	if out, err := g.Exec(t.Context(), "cat /tmp/mark"); err == nil {
		t.Errorf("what was in memory is still there: %q", out)
	}
}

func TestMagicCloseDisarmsTheWatchdog(t *testing.T) {
	t.Parallel()
	g := fed(t)
	exec(t, g, "signal TERM feeder")
	if err := g.WaitConsole(t.Context(), "feeder: ended"); err != nil {
		t.Fatal(err)
	}
	expectQuiet(t, g)
	if got := strings.TrimSpace(exec(t, g, "cat /sys/class/watchdog/watchdog0/state")); got != "inactive" {
		t.Errorf("state of the watchdog: got %q, want inactive", got)
	}
}
