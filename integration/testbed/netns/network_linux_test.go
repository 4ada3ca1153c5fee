package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	// silence is how long nothing must arrive, and arrival bounds what must.
	silence = 300 * time.Millisecond
	arrival = 30 * time.Second
)

// pair is a network of two namespaces.
type pair struct {
	net      *network
	from, to *namespace
}

const (
	fromAddress = "127.77.0.1"
	toAddress   = "127.77.0.2"
	fromBootID  = "0f7a3f0e-0000-4000-8000-000000000001"
)

func newPair(t *testing.T) *pair {
	t.Helper()
	n, err := newNetwork()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.router.kill)
	bootID := filepath.Join(t.TempDir(), "boot-id")
	if err := os.WriteFile(bootID, []byte(fromBootID+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	space := func(address string) *namespace {
		s, err := newNamespace()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.kill)
		if err := n.join(s, address, bootID); err != nil {
			t.Fatal(err)
		}
		return s
	}
	return &pair{net: n, from: space(fromAddress), to: space(toAddress)}
}

// connect opens a connection between the two.
func (p *pair) connect(t *testing.T) (from, to net.Conn) {
	t.Helper()
	var listener net.Listener
	if err := p.to.in(func() (err error) {
		listener, err = net.Listen("tcp", toAddress+":0")
		return err
	}, "net"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	from, err := p.dial(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	to, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = from.Close(), to.Close() })
	return from, to
}

func (p *pair) dial(ctx context.Context, address string) (c net.Conn, err error) {
	err = p.from.in(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return err
	}, "net")
	return c, err
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads a text, or returns why not.
func receive(t *testing.T, c net.Conn, text string, within time.Duration) error {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		t.Errorf("received %q, want %q", got, text)
	}
	return nil
}

// TestACutStallsWhatIsOpen: what is sent into a cut is held up and arrives when it heals, the other way still works, and
// neither side is told anything.
func TestACutStallsWhatIsOpen(t *testing.T) {
	Require(t)
	p := newPair(t)
	from, to := p.connect(t)
	send(t, from, "before")
	if err := receive(t, to, "before", arrival); err != nil {
		t.Fatal(err)
	}
	if err := p.net.drop("from " + fromAddress + " to " + toAddress); err != nil {
		t.Fatal(err)
	}
	send(t, from, "into the cut")
	if err := receive(t, to, "into the cut", silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what was sent into the cut: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	send(t, to, "the other way")
	if err := receive(t, from, "the other way", arrival); err != nil {
		t.Errorf("the other way: %v", err)
	}
	if err := p.net.heal(fromAddress); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, to, "into the cut", arrival); err != nil {
		t.Errorf("after the cut has healed: %v", err)
	}
}

// TestACutInACut: a link that is cut one way is cut wholly beside that, and each cut heals alone.
func TestACutInACut(t *testing.T) {
	Require(t)
	p := newPair(t)
	from, to := p.connect(t)
	for _, selectors := range [][]string{{"from " + fromAddress + " to " + toAddress}, {"from " + toAddress, "to " + toAddress}} {
		if err := p.net.drop(selectors...); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.net.heal(fromAddress); err != nil {
		t.Fatal(err)
	}
	send(t, to, "the whole cut")
	if err := receive(t, from, "the whole cut", silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("when the one-way cut has healed: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if err := p.net.heal(toAddress); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, from, "the whole cut", arrival); err != nil {
		t.Errorf("after both have healed: %v", err)
	}
}

// TestACutRefusesNothing: nobody answers for who is cut off. Healed, its kernel refuses what nothing listens for.
func TestACutRefusesNothing(t *testing.T) {
	Require(t)
	p := newPair(t)
	const nobody = toAddress + ":9"
	if err := p.net.drop("to " + toAddress); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	if _, err := p.dial(ctx, nobody); !isTimeout(err) {
		t.Errorf("dial into the cut: got %v, want a timeout", err)
	}
	if err := p.net.heal(""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), arrival)
	defer cancel()
	if _, err := p.dial(ctx, nobody); err == nil || isTimeout(err) {
		t.Errorf("dial after the cut has healed: got %v, want that it is refused", err)
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// TestAPartyIsAMachineOfItsOwn, as far as what changes with a boot goes: its boot id, and what is in /run.
func TestAPartyIsAMachineOfItsOwn(t *testing.T) {
	Require(t)
	p := newPair(t)
	if err := p.from.script(`test "$(cat /proc/sys/kernel/random/boot_id)" = "$1" && echo from >/run/holter-test`, fromBootID); err != nil {
		t.Errorf("the boot id of a party is not its own: %v", err)
	}
	if err := p.to.script(`test ! -e /run/holter-test`); err != nil {
		t.Errorf("another party sees its /run: %v", err)
	}
	if _, err := os.Stat("/run/holter-test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("this machine sees its /run: %v", err)
	}
	if own, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err != nil || string(own) == fromBootID+"\n" {
		t.Errorf("this machine's boot id: %q, %v", own, err)
	}
}

// TestOrphansAreBuried: the first process of a namespace is the parent of whoever loses its own, and leaves no zombies.
func TestOrphansAreBuried(t *testing.T) {
	Require(t)
	p := newPair(t)
	if err := p.from.script(`sh -c 'sleep 0 & exec true'; while grep -qs '^State:.*zombie' /proc/[0-9]*/status; do :; done`); err != nil {
		t.Errorf("a zombie is left: %v", err)
	}
}
