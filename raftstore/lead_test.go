package raftstore

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

// votesOnly is a stream layer that lets no entries and no heartbeats out until it is opened.
type votesOnly struct {
	raft.StreamLayer
	opened *atomic.Bool
}

func (v votesOnly) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := v.StreamLayer.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return votesOnlyConn{c, v.opened}, nil
}

type votesOnlyConn struct {
	net.Conn
	opened *atomic.Bool
}

func (c votesOnlyConn) Write(b []byte) (int, error) {
	const appendEntries = 0 // the first byte of each RPC is its kind
	message := b
	if bytes.HasPrefix(b, []byte(greeting)) {
		_, message, _ = bytes.Cut(b, []byte("\n"))
	}
	if message[0] == appendEntries && !c.opened.Load() {
		return 0, errors.New("no entries pass")
	}
	return c.Conn.Write(b)
}

func TestLeadingOnlyAfterBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		var opened atomic.Bool
		c.wrap = func(s raft.StreamLayer) raft.StreamLayer { return votesOnly{s, &opened} }
		opened.Store(true)
		c.startAll()
		opened.Store(false)
		time.Sleep(2 * time.Second) // the leader steps down; the next ones are elected and cannot commit
		elected := 0
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			for name, s := range c.stores {
				if s.raft.State() == raft.Leader {
					elected++
				}
				if s.Leading() {
					t.Fatalf("%s leads in term %d without a commit in it", name, s.raft.CurrentTerm())
				}
			}
		}
		if elected == 0 {
			t.Fatal("nobody was elected, so nothing was tested")
		}
		opened.Store(true)
		leader := c.leader()
		leader.ledTerm.Store(leader.raft.CurrentTerm() - 1)
		if leader.Leading() {
			t.Error("a barrier in an earlier term counts")
		}
		c.until("taken over again", leader.Leading)
	})
}

func TestNoSpaceNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		for name := range c.peers {
			opts := c.options(name)
			if name != "m3" {
				opts.MinFree = noSpace
			}
			c.open(opts)
		}
		if got := c.leader().opts.Name; got != "m3" {
			t.Errorf("leader: got %s, want m3, the only one with space", got)
		}
	})
}

func TestHeirIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		for name := range c.peers {
			opts := c.options(name)
			if name == "m1" {
				opts.MinFree = noSpace
			}
			c.open(opts)
		}
		c.greet() // m1 forms the cluster, so it is elected first
		c.crash("m2")
		if got := c.leader().opts.Name; got != "m3" {
			t.Errorf("leader: got %s, want m3, which lives and has space", got)
		}
	})
}

func TestNoSpaceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		opts := c.options("m1")
		opts.MinFree = noSpace
		s := c.open(opts)
		time.Sleep(time.Minute)
		if s.raft.State() != raft.Leader || s.Leading() {
			t.Errorf("alone without space: raft says %s, Leading %t, want Leader, false", s.raft.State(), s.Leading())
		}
		if _, err := s.Propose(t.Context(), note("x")); !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("Propose: got %v, want ErrNotLeader", err)
		}
		if why := s.Info().Why; !strings.Contains(why, "a leader needs") {
			t.Errorf("Info.Why: got %q, want the missing space", why)
		}
	})
}

func TestIdleLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		term, before := leader.raft.CurrentTerm(), leader.raft.CommitIndex()
		time.Sleep(10 * time.Minute)
		if !leader.Leading() || leader.raft.CurrentTerm() != term {
			t.Errorf("after 10 quiet minutes: Leading %t in term %d, want true in %d", leader.Leading(), leader.raft.CurrentTerm(), term)
		}
		if grown := leader.raft.CommitIndex() - before; grown < 30 || grown > 60 {
			t.Errorf("entries of 10 quiet minutes: got %d, want a barrier each 10 to 20 s", grown)
		}
	})
}

// A leader that beats but cannot commit any more stops leading, and ends if that does not help: its followers wait for it.
func TestStuckLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		c.doomed = true
		s := c.startAll()
		stuck := make(chan raft.Observation)
		blocker := raft.NewObserver(stuck, true, func(o *raft.Observation) bool {
			_, ok := o.Data.(raft.PeerObservation)
			return ok
		})
		s.raft.RegisterObserver(blocker)
		s.raft.AddNonvoter(id2, "nowhere", 0, 0) // raft's main loop waits for the observer now, for ever
		began := time.Now()
		c.until("not leading", func() bool { return !s.Leading() })
		if why := s.Info().Why; !strings.Contains(why, "commit a barrier") {
			t.Errorf("Info.Why: got %q, want the barrier", why)
		}
		c.until("a death", func() bool { return len(c.died()) > 0 })
		if took := time.Since(began); took < maxStuck || took > 2*maxStuck {
			t.Errorf("died after %s, want about %s", took, maxStuck)
		}
		<-stuck
		s.raft.DeregisterObserver(blocker)
	})
}

// hanging is a store whose writes hang until released.
type hanging struct {
	durable
	release chan struct{}
}

func (h hanging) StoreLogs([]*raft.Log) error        { <-h.release; return nil }
func (h hanging) StoreLog(*raft.Log) error           { <-h.release; return nil }
func (h hanging) DeleteRange(_, _ uint64) error      { <-h.release; return nil }
func (h hanging) Set(_, _ []byte) error              { <-h.release; return nil }
func (h hanging) SetUint64(_ []byte, _ uint64) error { <-h.release; return nil }

func TestWatchdog(t *testing.T) {
	writes := map[string]func(*watchdog) error{
		"StoreLogs":   func(w *watchdog) error { return w.StoreLogs(nil) },
		"StoreLog":    func(w *watchdog) error { return w.StoreLog(nil) },
		"DeleteRange": func(w *watchdog) error { return w.DeleteRange(1, 2) },
		"Set":         func(w *watchdog) error { return w.Set(nil, nil) },
		"SetUint64":   func(w *watchdog) error { return w.SetUint64(nil, 1) },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				deaths := make(chan error, 1)
				inner := hanging{release: make(chan struct{})}
				dog := &watchdog{inner: inner, limit: stall, die: func(err error) { deaths <- err }}
				began := time.Now()
				done := make(chan error, 1)
				go func() { done <- write(dog) }()
				if err := <-deaths; time.Since(began) != stall || !strings.Contains(err.Error(), "did not answer within 3s") {
					t.Errorf("died after %s of %v, want after %s", time.Since(began), err, stall)
				}
				close(inner.release)
				if err := <-done; err != nil {
					t.Errorf("the write: %v", err)
				}
				if err := write(dog); err != nil { // returns at once now
					t.Errorf("the next write: %v", err)
				}
				time.Sleep(2 * stall)
				if len(deaths) > 0 {
					t.Error("died of a write that did not hang")
				}
			})
		})
	}
}
