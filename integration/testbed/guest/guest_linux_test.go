package guest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed/guest"
)

// poll is the interval at which a guest is asked again, within pollLimit.
const (
	poll      = 50 * time.Millisecond
	pollLimit = 30 * time.Second
)

// TestGuest shares one guest among all that is to be tried without a watchdog.
func TestGuest(t *testing.T) {
	t.Parallel()
	hello := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(hello, []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	image := guest.Build(t, map[string]string{
		"/srv/some/hello": hello,
		"/bin/talker":     talker(t),
	})
	open, closed := echo(t), closedPort(t)
	began := time.Now()
	g := guest.Start(t, image, guest.Options{
		Forward:  []string{open, closed},
		Commands: []guest.Command{{Name: "sitter", Argv: []string{"/bin/talker", "sit"}, Restart: true}},
	})
	t.Logf("booted in %v", time.Since(began).Round(time.Millisecond))

	t.Run("file", func(t *testing.T) {
		if got := exec(t, g, "cat /srv/some/hello"); got != "hello\n" {
			t.Errorf("a file of the image: got %q, want %q", got, "hello\n")
		}
	})
	t.Run("cgroup", func(t *testing.T) {
		if got := exec(t, g, "cat "+guest.Cgroup+"/cgroup.type"); got != "domain\n" {
			t.Errorf("the cgroup's type: got %q, want domain", got)
		}
	})
	t.Run("unknown line", func(t *testing.T) {
		if out, err := g.Exec(t.Context(), "dance"); err == nil || !strings.Contains(err.Error(), "cat PATH") {
			t.Errorf("a line that the guest does not know: got %q, %v, want an error that lists those it knows", out, err)
		}
	})
	t.Run("forwarded port", func(t *testing.T) {
		if got, want := exec(t, g, talk(open)), "answer \"AHOY\"\n"; got != want {
			t.Errorf("over the forwarded port: got %q, want %q", got, want)
		}
	})
	t.Run("forwarded port where nobody listens", func(t *testing.T) {
		out, err := g.Exec(t.Context(), talk(closed))
		// How it ends depends on how far it came. What matters is that it does.
		if out != "answer \"\"\n" && (err == nil || !strings.HasSuffix(err.Error(), "exit status 1")) {
			t.Errorf("got %q, %v, want a connection that ends without an answer", out, err)
		}
	})
	t.Run("cut network", func(t *testing.T) {
		link(t, g, false)
		await(t, g, "cat /sys/class/net/eth0/carrier", "0")
		link(t, g, true)
		await(t, g, "cat /sys/class/net/eth0/carrier", "1")
		exec(t, g, talk(open))
	})
	t.Run("wrong QMP command", func(t *testing.T) {
		if err := g.QMP(t.Context(), "dance", nil); err == nil || !strings.Contains(err.Error(), "dance") {
			t.Errorf("got %v, want an error that names it", err)
		}
	})
	t.Run("stopped command", func(t *testing.T) {
		exec(t, g, "signal STOP sitter")
		await(t, g, "ps", "T /bin/talker")
		exec(t, g, "signal CONT sitter")
		await(t, g, "ps", "S /bin/talker")
	})
	t.Run("restarted command", func(t *testing.T) {
		exec(t, g, "signal KILL sitter")
		if err := g.WaitConsole(t.Context(), "sitter: ended: signal: killed\nsitter: sits\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("reset guest", func(t *testing.T) { reset(t, g) })
	t.Run("killed guest", func(t *testing.T) {
		g.Kill()
		if _, err := g.Exec(t.Context(), "ps"); err == nil {
			t.Error("a dead guest has answered")
		}
		if e, err := g.WaitEvent(t.Context(), "WATCHDOG"); err == nil || t.Context().Err() != nil {
			t.Errorf("an event of a dead guest: got %v, %v", e, err)
		}
	})
}

func exec(t *testing.T, g *guest.Guest, line string) string {
	t.Helper()
	out, err := g.Exec(t.Context(), line)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

func talk(address string) string { return "run /bin/talker say " + address + " ahoy" }

func talker(t *testing.T) string {
	t.Helper()
	return guest.Program(t, "github.com/holter-ha/holter/integration/testbed/guest/testdata/talker")
}

func link(t *testing.T, g *guest.Guest, up bool) {
	t.Helper()
	qmp(t, g, "set_link", map[string]any{"name": "net0", "up": up})
}

// reset resets the guest while lines are on their way to it: they are not for its next boot.
func reset(t *testing.T, g *guest.Guest) {
	t.Helper()
	qmp(t, g, "stop", nil)
	for range 3 { // of the first one a part may be lost
		ctx, cancel := context.WithTimeout(t.Context(), poll)
		if out, err := g.Exec(ctx, "run /bin/talker write /late late"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a guest that is stopped has answered: %q, %v", out, err)
		}
		cancel()
	}
	qmp(t, g, "system_reset", nil)
	qmp(t, g, "cont", nil)
	if err := g.WaitBoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.Boots(); got != 2 {
		t.Errorf("boots: got %d, want 2", got)
	}
	exec(t, g, "run /bin/talker write /soon soon")
	if out, err := g.Exec(t.Context(), "cat /late"); err == nil {
		t.Errorf("a line of the boot before was executed: %s", out)
	}
}

func qmp(t *testing.T, g *guest.Guest, command string, arguments any) {
	t.Helper()
	if err := g.QMP(t.Context(), command, arguments); err != nil {
		t.Fatal(err)
	}
}

// await has the guest execute a line until the answer holds a text.
func await(t *testing.T, g *guest.Guest, line, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(pollLimit); time.Now().Before(deadline); <-time.After(poll) {
		if got = exec(t, g, line); strings.Contains(got, want) {
			return
		}
	}
	t.Fatalf("%s: got %q for %v, want %q in it", line, got, pollLimit, want)
}

// echo answers whoever connects with what it said, in capitals, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	l := listen(t)
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answering.Go(func() {
				defer func() { _ = conn.Close() }()
				word, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(conn, strings.ToUpper(string(word))); err != nil {
					t.Error(err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		answering.Wait()
	})
	return l.Addr().String()
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.9.8.7:0") // as one of several monitors on one machine
	if err != nil {
		t.Fatal(err)
	}
	return l
}
