package faultnet

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// peer is the far end of a link: a server that says the end of the handshake and leaves the rest to the test.
type peer struct {
	conns chan net.Conn
}

func (p peer) InProcessConn() (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		_, _ = io.WriteString(near, "PONG\r\n")
		p.conns <- near
	}()
	return far, nil
}

// ends are the two ends of a connection of the party east-1, with the handshake done.
type ends struct {
	party          *Party
	client, server net.Conn
}

// inBubble runs a test in virtual time on one open connection.
func inBubble(t *testing.T, test func(t *testing.T, e ends)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := peer{make(chan net.Conn, 1)}
		network := New(p)
		party := network.Party("east-1")
		client, err := party.InProcessConn()
		if err != nil {
			t.Fatal(err)
		}
		e := ends{party, client, nil}
		e.wantRead(t, client, "PONG\r\n", 0)
		e.server = <-p.conns
		test(t, e)
		_ = e.client.Close()
		_ = e.server.Close()
		network.Close()
	})
}

// wantRead reads as much as is wanted and compares it, and the virtual time that it took.
func (e ends) wantRead(t *testing.T, from net.Conn, want string, after time.Duration) {
	t.Helper()
	begun := time.Now()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(from, buf); err != nil {
		t.Fatalf("read: %v, want %q", err, want)
	}
	if string(buf) != want {
		t.Errorf("got %q, want %q", buf, want)
	}
	if took := time.Since(begun); took != after {
		t.Errorf("%q took %v, want %v", want, took, after)
	}
}

// wantNothing waits for a second in which nothing may arrive.
func (e ends) wantNothing(t *testing.T, from net.Conn) {
	t.Helper()
	if err := from.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := from.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes and %v, want nothing within a second", n, err)
	}
	if err := from.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, to net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(to, s); err != nil {
		t.Fatal(err)
	}
}

func TestWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		write(t, e.client, "ping")
		e.wantRead(t, e.server, "ping", 0)
		write(t, e.server, "pong")
		e.wantRead(t, e.client, "pong", 0)
	})
}

func TestCutHoldsUntilHeal(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.Cut()
		write(t, e.client, "one ")
		write(t, e.client, "two")
		write(t, e.server, "three")
		e.wantNothing(t, e.server)
		e.wantNothing(t, e.client)
		e.party.Heal()
		e.wantRead(t, e.server, "one two", 0)
		e.wantRead(t, e.client, "three", 0)
	})
}

func TestCutOneWay(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.CutOutgoing()
		write(t, e.client, "lost")
		write(t, e.server, "heard")
		e.wantRead(t, e.client, "heard", 0)
		e.wantNothing(t, e.server)
	})
	inBubble(t, func(t *testing.T, e ends) {
		e.party.CutIncoming()
		write(t, e.client, "heard")
		write(t, e.server, "lost")
		e.wantRead(t, e.server, "heard", 0)
		e.wantNothing(t, e.client)
	})
}

func TestCutHidesTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.Cut()
		_ = e.server.Close()
		e.wantNothing(t, e.client)
		e.party.Heal()
		if _, err := e.client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want the end of the connection", err)
		}
	})
}

func TestDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.Delay(80 * time.Millisecond)
		write(t, e.client, "slow")
		synctest.Wait()
		e.party.Delay(10 * time.Millisecond)
		write(t, e.client, "fast")
		e.wantRead(t, e.server, "slow", 80*time.Millisecond)
		e.wantRead(t, e.server, "fast", 0)
		write(t, e.server, "back")
		e.wantRead(t, e.client, "back", 10*time.Millisecond)
	})
}

func TestNoConnectionWhileCut(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		for name, cut := range map[string]func(){"both": e.party.Cut, "outgoing": e.party.CutOutgoing, "incoming": e.party.CutIncoming} {
			e.party.Heal()
			cut()
			if _, err := e.party.InProcessConn(); !errors.Is(err, ErrCut) {
				t.Errorf("cut %s: got %v, want ErrCut", name, err)
			}
		}
	})
}

func TestOtherPartyIsWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.network.Party("east-2").Cut()
		if e.party.network.Party("east-1") != e.party {
			t.Error("a second call for a name returned another party")
		}
		write(t, e.client, "ping")
		e.wantRead(t, e.server, "ping", 0)
	})
}

func TestTooMuchHeldBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.Cut()
		megabyte := strings.Repeat("x", 1<<20)
		var err error
		for range maxHeld>>20 + 2 {
			if _, err = io.WriteString(e.client, megabyte); err != nil {
				break
			}
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want a broken connection", err)
		}
	})
}

func TestBreakLosesWhatWasUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, e ends) {
		e.party.Cut()
		write(t, e.client, "lost")
		e.wantNothing(t, e.server)
		e.party.Break()
		e.party.Heal()
		if n, err := e.server.Read(make([]byte, 4)); err == nil {
			t.Errorf("got %d bytes, want the end of the connection", n)
		}
	})
}
