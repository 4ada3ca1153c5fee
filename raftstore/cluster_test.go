package raftstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/raftstore/rafttest"
)

// cluster is a set of monitors' stores in a synctest bubble: real raft, real files, a network of pipes.
type cluster struct {
	*testing.T
	network *rafttest.Network
	wrap    func(raft.StreamLayer) raft.StreamLayer // around each stream layer
	root    string
	peers   map[string]string
	stores  map[string]*Store // those that run

	mu     sync.Mutex // Die comes from raft's goroutines
	deaths []error
	doomed bool // deaths are what the test is about
}

func newCluster(t *testing.T, names ...string) *cluster {
	c := &cluster{
		T: t, network: rafttest.NewNetwork(), root: t.TempDir(), peers: map[string]string{}, stores: map[string]*Store{},
		wrap: func(s raft.StreamLayer) raft.StreamLayer { return s },
	}
	for _, name := range names {
		c.peers[name] = name + ":raft"
	}
	t.Cleanup(func() {
		c.network.HealAll()
		for name := range c.stores {
			c.stop(name)
		}
		if deaths := c.died(); len(deaths) > 0 && !c.doomed {
			t.Errorf("died: %v, want nobody to", deaths)
		}
	})
	return c
}

// startAll starts all monitors and returns once one of them leads.
func (c *cluster) startAll() *Store {
	c.Helper()
	for name := range c.peers {
		c.start(name)
	}
	return c.leader()
}

func (c *cluster) dir(name string) string { return filepath.Join(c.root, name) }

func (c *cluster) options(name string) Options {
	return Options{
		Name: name, Dir: c.dir(name), Peers: c.peers, MinFree: -1, Die: c.die,
		Stream: c.wrap(c.network.Listen(c.peers[name])),
	}
}

func (c *cluster) start(name string) *Store {
	c.Helper()
	return c.open(c.options(name))
}

func (c *cluster) open(opts Options) *Store {
	c.Helper()
	s, err := Open(opts)
	if err != nil {
		c.Fatalf("Open(%s): %v", opts.Name, err)
	}
	c.stores[opts.Name] = s
	return s
}

func (c *cluster) stop(name string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.stores[name].Shutdown(ctx); err != nil {
		c.Errorf("Shutdown(%s): %v", name, err)
	}
	delete(c.stores, name)
}

// crash stops a monitor without a word to the others.
func (c *cluster) crash(name string) {
	c.Helper()
	c.network.Isolate(c.peers[name])
	c.stop(name)
	c.network.HealAll()
}

func (c *cluster) die(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths = append(c.deaths, err)
}

func (c *cluster) died() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.deaths)
}

// greet hands everybody's hello to everybody.
func (c *cluster) greet() {
	c.Helper()
	for _, from := range c.stores {
		for name, to := range c.stores {
			if err := to.ObserveHello(from.Hello()); err != nil {
				c.Fatalf("ObserveHello on %s: %v", name, err)
			}
		}
	}
}

// until waits in virtual time, a minute at most.
func (c *cluster) until(what string, holds func() bool) {
	c.Helper()
	const step = 50 * time.Millisecond
	for range time.Minute / step {
		if holds() {
			return
		}
		time.Sleep(step)
	}
	for name, s := range c.stores {
		c.Logf("%s: %+v", name, s.Info())
	}
	c.Fatalf("%s: not within a minute", what)
}

// leader waits for one of the running monitors, other than those named, to lead.
func (c *cluster) leader(but ...string) *Store {
	c.Helper()
	var leader *Store
	c.until("a leader", func() bool {
		c.greet()
		for name, s := range c.stores {
			if s.Leading() && !slices.Contains(but, name) {
				leader = s
			}
		}
		return leader != nil
	})
	return leader
}

// follower is a running monitor that does not lead.
func (c *cluster) follower() *Store {
	c.Helper()
	for _, name := range slices.Sorted(maps.Keys(c.stores)) {
		if !c.stores[name].Leading() {
			return c.stores[name]
		}
	}
	c.Fatal("everybody leads")
	return nil
}

// settle waits until all running monitors have applied the same entries and demands that their states have the same bytes.
func (c *cluster) settle() {
	c.Helper()
	c.until("the same index everywhere", func() bool {
		indexes := map[uint64]bool{}
		for _, s := range c.stores {
			indexes[s.State().Index] = true
		}
		return len(indexes) == 1
	})
	var first []byte
	for name, s := range c.stores {
		b := encoded(c.T, s)
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			c.Errorf("state of %s differs:\n%s\n%s", name, b, first)
		}
	}
}

func encoded(t *testing.T, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.State().Encode(&b); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return b.Bytes()
}

// note is an entry that is always let in, known by its reason.
func note(reason string) planner.Entry {
	return planner.Entry{At: time.Now().UTC(), By: "test", Reason: reason, Event: planner.PlanArmed{Plan: "p"}}
}

// plan makes notes acceptable.
func (c *cluster) plan(s *Store) {
	c.Helper()
	c.propose(s, planner.Entry{At: time.Now().UTC(), By: "test", Event: planner.FilesApplied{
		Set: plans.Set{Plans: []*plans.Plan{{Name: "p"}}},
	}})
}

func (c *cluster) propose(s *Store, e planner.Entry) uint64 {
	c.Helper()
	index, err := s.Propose(c.Context(), e)
	if err != nil {
		c.Fatalf("Propose(%s %s): %v", e.Event.Name(), e.Reason, err)
	}
	return index
}

func (c *cluster) notes(s *Store, from, to int) {
	c.Helper()
	for i := from; i < to; i++ {
		c.propose(s, note(fmt.Sprint("note ", i)))
	}
}

// noted is the reasons of the notes in a state, in order.
func noted(s *Store) []string {
	var reasons []string
	for _, logged := range s.State().Events.All() {
		if logged.Entry.Reason != "" {
			reasons = append(reasons, logged.Entry.Reason)
		}
	}
	return reasons
}

const noSpace = math.MaxInt64 // as MinFree: no disk is that large
