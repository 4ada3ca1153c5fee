package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/planner"
)

// vote sets the lease voters through a store, as a node does.
func vote(s *Store) func(context.Context, []string) error {
	return func(ctx context.Context, ids []string) error {
		if slices.Equal(s.State().LeaseVoters().Names, ids) {
			return nil
		}
		_, err := s.Propose(ctx, planner.Entry{At: time.Now().UTC(), By: "test", Event: planner.MonitorsChanged{Monitors: ids}})
		return err
	}
}

// greetFor lets everybody greet for a while: hellos that came before are too old afterwards.
func (c *cluster) greetFor(d time.Duration) {
	c.Helper()
	for range d / (500 * time.Millisecond) {
		c.greet()
		time.Sleep(500 * time.Millisecond)
	}
}

// changed begins a change on the leader and waits for its end.
func (c *cluster) changed(leader *Store, change Change) error {
	c.Helper()
	if err := leader.ChangeMembers(change, vote(leader)); err != nil {
		return err
	}
	c.until("the end of "+change.Verb, func() bool {
		c.greet()
		return !leader.Changing().Ended.IsZero()
	})
	return leader.Changing().Err
}

// wiped is a monitor whose directory is lost and that waits to be taken in.
func (c *cluster) wiped(name string) *Store {
	c.Helper()
	if err := os.RemoveAll(c.dir(name)); err != nil {
		c.Fatal(err)
	}
	opts := c.options(name)
	opts.Join = true
	return c.open(opts)
}

func refusedWith(t *testing.T, what string, err error, want string) {
	t.Helper()
	refusal, ok := errors.AsType[*planner.Refusal](err)
	if !ok || !strings.Contains(refusal.Message, want) || !strings.Contains(refusal.Message, "nothing was changed") {
		t.Errorf("%s: got %v, want a refusal with %q", what, err, want)
	}
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		c.notes(leader, 0, 10)
		c.greetFor(time.Second)
		victim := c.follower().opts.Name
		former := c.stores[victim].ID()
		replace := Change{Verb: ReplaceMember, Name: victim}
		refusedWith(t, "replace of one that answers", c.changed(leader, replace), "answers")
		c.crash(victim)
		c.greetFor(2 * helloAge)
		refusedWith(t, "replace without a successor", c.changed(leader, replace), "nobody waits")
		next := c.wiped(victim)
		c.greetFor(time.Second)
		if why := next.Info().Why; !strings.Contains(why, "holter monitor replace "+victim) {
			t.Errorf("what the successor waits for: got %q, want the verb", why)
		}
		if err := c.changed(leader, replace); err != nil {
			t.Fatalf("replace: %v", err)
		}
		c.settle()
		ids := leader.voters()
		if slices.Contains(ids, former) || !slices.Contains(ids, next.ID()) || len(ids) != 3 {
			t.Errorf("voters after the replace: got %v, want %s and not %s", ids, next.ID(), former)
		}
		if diff := cmp.Diff(ids, leader.State().LeaseVoters().Names); diff != "" {
			t.Errorf("lease voters, wanted the members (-want +got):\n%s", diff)
		}
		if !next.Taken() || leader.Taken() {
			t.Errorf("Taken: got %t of the successor, %t of the leader, want true, false", next.Taken(), leader.Taken())
		}
		// The successor votes: with it and the other follower the cluster lives on without its leader.
		c.crash(leader.opts.Name)
		c.notes(c.leader(), 10, 12)
	})
}

// A leader that dies in the midst of a replace leaves what it has done: the next one goes on from there.
func TestReplaceGoesOn(t *testing.T) {
	for _, after := range []string{"takes", "removes", "gives", "lets"} {
		t.Run(after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "m1", "m2", "m3")
				leader := c.startAll()
				c.plan(leader)
				victim := c.follower().opts.Name
				c.crash(victim)
				next := c.wiped(victim)
				c.greetFor(2 * helloAge)
				replace := Change{Verb: ReplaceMember, Name: victim}
				if err := leader.ChangeMembers(replace, vote(leader)); err != nil {
					t.Fatal(err)
				}
				c.until("the step "+after, func() bool {
					c.greet()
					return strings.HasPrefix(leader.Changing().Doing, after) || !leader.Changing().Ended.IsZero()
				})
				c.stop(leader.opts.Name) // hands over if it can
				c.start(leader.opts.Name)
				second := c.leader()
				c.greetFor(time.Second)
				if err := c.changed(second, replace); err != nil {
					refusedWith(t, "replace once more", err, "answers") // it was done
				}
				c.settle()
				if ids := second.voters(); len(ids) != 3 || !slices.Contains(ids, next.ID()) || !slices.Equal(ids, second.State().LeaseVoters().Names) {
					t.Errorf("voters: got %v, lease voters %v, want three of each with %s", ids, second.State().LeaseVoters().Names, next.ID())
				}
			})
		})
	}
}

func TestChangeKeepsTheQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3", "m4", "m5")
		leader := c.startAll()
		c.plan(leader)
		var others []string
		for name := range c.peers {
			if name != leader.opts.Name {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		c.greetFor(time.Second)
		refusedWith(t, "remove of the leader", c.changed(leader, Change{Verb: RemoveMember, Name: leader.opts.Name}), "leads")
		refusedWith(t, "remove of one that answers", c.changed(leader, Change{Verb: RemoveMember, Name: others[0]}), "answers")
		refusedWith(t, "remove of nobody", c.changed(leader, Change{Verb: RemoveMember, Name: "m9"}), "no monitor")
		refusedWith(t, "add of a member", c.changed(leader, Change{Verb: AddMember, Name: others[0]}), "already")
		if err := c.stores[others[0]].ChangeMembers(Change{Verb: RemoveMember, Name: others[1]}, nil); !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("a change on a follower: got %v, want ErrNotLeader", err)
		}
		c.crash(others[0])
		c.crash(others[1])
		c.greetFor(2 * helloAge)
		// Three of five answer. Without one that answers, two of four would.
		refusedWith(t, "remove that loses the quorum", c.changed(leader, Change{Verb: RemoveMember, Name: others[2], Force: true}), "the quorum would be lost")
		if err := c.changed(leader, Change{Verb: RemoveMember, Name: others[0]}); err != nil {
			t.Fatalf("remove of one that is dead: %v", err)
		}
		if err := c.changed(leader, Change{Verb: RemoveMember, Name: others[1]}); err != nil {
			t.Fatalf("remove of the second one that is dead: %v", err)
		}
		c.doomed = true // who is removed ends
		if err := c.changed(leader, Change{Verb: RemoveMember, Name: others[2], Force: true}); err != nil {
			t.Fatalf("remove by force of one that answers: %v", err)
		}
		if ids := leader.voters(); len(ids) != 2 || !slices.Equal(ids, leader.State().LeaseVoters().Names) {
			t.Errorf("voters: got %v, lease voters %v, want the same two", ids, leader.State().LeaseVoters().Names)
		}
		c.notes(leader, 0, 3)
	})
}

func TestOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		victim := c.follower().opts.Name
		c.crash(victim)
		c.wiped(victim)
		c.greetFor(2 * helloAge)
		held := make(chan struct{})
		holding := func(ctx context.Context, ids []string) error { <-held; return vote(leader)(ctx, ids) }
		if err := leader.ChangeMembers(Change{Verb: ReplaceMember, Name: victim}, holding); err != nil {
			t.Fatal(err)
		}
		c.until("the vote", func() bool { c.greet(); return strings.HasPrefix(leader.Changing().Doing, "lets") })
		for name := range c.stores {
			if name != victim && name != leader.opts.Name {
				refusedWith(t, "a second change", leader.ChangeMembers(Change{Verb: RemoveMember, Name: name, Force: true}, vote(leader)), "under way")
			}
		}
		close(held)
		c.until("its end", func() bool { return !leader.Changing().Ended.IsZero() })
		if err := leader.Changing().Err; err != nil {
			t.Error(err)
		}
	})
}

func TestAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		c.notes(leader, 0, 5)
		add := Change{Verb: AddMember, Name: "m4"}
		c.greetFor(time.Second)
		refusedWith(t, "add of one that no file lists", c.changed(leader, add), "does not list m4")
		// The config files are rolled: first of all but one.
		behind := c.follower().opts.Name
		listed := map[string]string{"m4": "m4:raft", "m5": "m5:raft"}
		for name, address := range c.peers {
			listed[name] = address
		}
		c.peers = listed
		for _, name := range []string{"m1", "m2", "m3"} {
			if name != behind {
				c.stop(name)
				c.start(name)
			}
		}
		c.until("another leader than "+behind, func() bool {
			if leader = c.leader(); leader.opts.Name == behind {
				_ = leader.Transfer(t.Context()) // its connections to the others may be of before they were restarted
			}
			return leader.Leading() && leader.opts.Name != behind
		})
		opts := c.options("m4")
		opts.Join = true
		next := c.open(opts)
		c.greetFor(time.Second)
		refusedWith(t, "add of one that one file does not list", c.changed(leader, add), fmt.Sprintf("the config file of %s does not list m4", behind))
		c.stop(behind)
		c.start(behind)
		c.greetFor(time.Second)
		if err := c.changed(c.leader(), add); err != nil {
			t.Fatalf("add: %v", err)
		}
		c.settle()
		if ids := next.voters(); len(ids) != 4 || !slices.Contains(next.State().LeaseVoters().Names, next.ID()) {
			t.Errorf("voters: got %v, lease voters %v, want four with %s", ids, next.State().LeaseVoters().Names, next.ID())
		}
	})
}

func TestTransferTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.greetFor(time.Second)
		to := c.follower().opts.Name
		refusedWith(t, "transfer to itself", leader.TransferTo(t.Context(), leader.opts.Name), "leads already")
		refusedWith(t, "transfer to nobody", leader.TransferTo(t.Context(), "m9"), "m9")
		if err := leader.TransferTo(t.Context(), to); err != nil {
			t.Fatalf("TransferTo: %v", err)
		}
		if got := c.leader().opts.Name; got != to {
			t.Errorf("leader: got %s, want %s", got, to)
		}
	})
}
