package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/planner"
)

func TestFormAndPropose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		if got := leader.State().Cluster; len(got) != 32 {
			t.Errorf("cluster id of a leader: got %q, want 32 hex digits", got)
		}
		changed, stop := c.follower().Watch()
		defer stop()
		c.plan(leader)
		index := c.propose(leader, note("hello"))
		if got := leader.State().Index; got != index {
			t.Errorf("index applied on the leader after Propose: got %d, want %d", got, index)
		}
		_, err := c.follower().Propose(t.Context(), note("not mine"))
		if !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("Propose on a follower: got %v, want ErrNotLeader", err)
		}
		c.settle()
		select {
		case <-changed:
		default:
			t.Error("Watch on a follower: no wake after an entry")
		}
		info := c.follower().Info()
		if info.Leader != leader.opts.Name || len(info.Members) != 3 || info.Role != "follower" || info.Why != "" {
			t.Errorf("Info on a follower: got %+v, want leader %s and 3 members", info, leader.opts.Name)
		}
		if err := leader.Verify(t.Context()); err != nil {
			t.Errorf("Verify on the leader: %v", err)
		}
		if err := c.follower().Verify(t.Context()); !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("Verify on a follower: got %v, want ErrNotLeader", err)
		}
	})
}

func TestFormAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.start("m1")
		c.until("leading", s.Leading)
		if name, ok := s.Leader(); name != "m1" || !ok {
			t.Errorf("Leader: got %q, %t, want m1", name, ok)
		}
	})
}

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		index, err := s.Propose(t.Context(), note("there is no plan p"))
		refusal, ok := errors.AsType[*planner.Refusal](err)
		if !ok || refusal.Code != planner.CodeNoSuch {
			t.Errorf("Propose of what must not be: got %v, want a refusal %s", err, planner.CodeNoSuch)
		}
		if state := s.State(); state.Index != index || state.Refused != 1 {
			t.Errorf("state: got index %d, refused %d, want %d, 1", state.Index, state.Refused, index)
		}
	})
}

func TestLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		first := c.startAll()
		c.plan(first)
		c.notes(first, 0, 20)
		want := noted(first)
		name := first.opts.Name
		began := time.Now()
		c.crash(name)
		second := c.leader()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the next leader took %s, want at most 3s", took)
		}
		if diff := cmp.Diff(want, noted(second)); diff != "" {
			t.Errorf("acknowledged entries on the next leader (-want +got):\n%s", diff)
		}
		c.notes(second, 20, 30)
		c.start(name)
		c.settle()
		if got := len(noted(c.stores[name])); got != 30 {
			t.Errorf("notes on the monitor that was dead: got %d, want 30", got)
		}
	})
}

func TestMinorityLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		old := c.startAll()
		c.plan(old)
		c.network.Isolate(c.peers[old.opts.Name])
		began := time.Now()
		_, err := old.Propose(t.Context(), note("cut off"))
		if !errors.Is(err, planner.ErrOutcomeUnknown) {
			t.Errorf("Propose on a leader that is cut off: got %v, want ErrOutcomeUnknown", err)
		}
		if took := time.Since(began); took > defaultProposeWait {
			t.Errorf("Propose took %s, want at most %s", took, defaultProposeWait)
		}
		next := c.leader(old.opts.Name)
		if old.Leading() {
			t.Error("a leader that is cut off leads beside the next one")
		}
		if _, err = old.Propose(t.Context(), note("still cut off")); !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("Propose after stepping down: got %v, want ErrNotLeader", err)
		}
		c.propose(next, note("agreed"))
		c.network.HealAll()
		c.settle()
		if diff := cmp.Diff([]string{"agreed"}, noted(old)); diff != "" {
			t.Errorf("notes after healing (-want +got):\n%s", diff)
		}
	})
}

func TestRestartAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		c.notes(leader, 0, 10)
		id, cluster := leader.Hello().ID, leader.State().Cluster
		for name := range c.peers {
			c.crash(name)
		}
		next := c.startAll()
		if got := len(noted(next)); got != 10 {
			t.Errorf("notes after a restart of all: got %d, want 10", got)
		}
		if got := next.State().Cluster; got != cluster {
			t.Errorf("cluster after a restart of all: got %s, want %s", got, cluster)
		}
		if got := c.stores[leader.opts.Name].Hello().ID; got != id {
			t.Errorf("server id after a restart: got %s, want %s", got, id)
		}
		c.settle()
	})
}

func TestSnapshotAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		c.plan(s)
		c.notes(s, 0, 10)
		if at := s.Info().Snapshot; !at.IsZero() {
			t.Errorf("snapshot of %v before there was one", at)
		}
		if err := s.raft.Snapshot().Error(); err != nil {
			t.Fatalf("Snapshot: %v", err)
		}
		want, made := string(encoded(t, s)), s.Info().Snapshot
		if age := time.Since(made); age < 0 || age > time.Second {
			t.Errorf("the snapshot was made %v ago", age)
		}
		c.stop("m1")
		time.Sleep(time.Hour) // of the bubble
		again := c.start("m1")
		if got := string(encoded(t, again)); got != want {
			t.Errorf("state from the snapshot:\n%s\nwant\n%s", got, want)
		}
		if age := again.Info().Snapshot.Sub(made); age > time.Second || age < -time.Second {
			t.Errorf("after the restart the snapshot is %v younger", age)
		}
	})
}

func TestSnapshotForFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		name := c.follower().opts.Name
		c.crash(name)
		c.notes(leader, 0, 10)
		conf := leader.raft.ReloadableConfig()
		conf.TrailingLogs = 0
		if err := errors.Join(leader.raft.ReloadConfig(conf), leader.raft.Snapshot().Error()); err != nil {
			t.Fatalf("Snapshot: %v", err)
		}
		behind := c.start(name)
		c.settle()
		if got := behind.raft.Stats()["last_snapshot_index"]; got == "0" {
			t.Error("the follower caught up without the snapshot")
		}
		if behind.Info().Snapshot.IsZero() {
			t.Error("the follower has the leader's snapshot and says it has none")
		}
	})
}

func TestShutdownHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.settle()
		began := time.Now()
		c.stop(leader.opts.Name)
		c.leader()
		if took := time.Since(began); took >= defaultHeartbeat {
			t.Errorf("handing over took %s, want less than a heartbeat timeout", took)
		}
		_, err := leader.Propose(t.Context(), note("too late"))
		if !errors.Is(err, planner.ErrNotLeader) {
			t.Errorf("Propose after Shutdown: got %v, want ErrNotLeader", err)
		}
	})
}

func TestAwaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		never := make(chan struct{})
		defer close(never)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.await(ctx, func() error { <-never; return nil })
		if err = outcome(err); !errors.Is(err, planner.ErrOutcomeUnknown) {
			t.Errorf("waiting for an answer that never comes: got %v, want ErrOutcomeUnknown", err)
		}
	})
}

func TestUnknownEventDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		c.doomed = true
		s := c.startAll()
		c.plan(s)
		event := []byte(`{"v":1,"name":"host_painted","at":"2026-01-02T03:04:05Z","by":"m9","event":{"colour":"red"}}`)
		if err := s.raft.Apply(event, time.Second).Error(); err != nil {
			t.Fatalf("Apply: %v", err)
		}
		deaths := c.died()
		if len(deaths) != 1 || !strings.Contains(deaths[0].Error(), "this monitor is older than the log; upgrade it") {
			t.Fatalf("deaths after an unknown event: got %v, want one that says to upgrade", deaths)
		}
		before := s.State()
		if _, err := s.Propose(t.Context(), note("after")); !errors.Is(err, planner.ErrOutcomeUnknown) {
			t.Errorf("Propose after the unknown event: got %v, want ErrOutcomeUnknown", err)
		}
		if s.State() != before {
			t.Error("the entry after an unknown event was applied")
		}
		if err := s.raft.Snapshot().Error(); err == nil {
			t.Error("Snapshot after the unknown event: got one, want an error")
		}
	})
}

func TestPanicDies(t *testing.T) {
	entry, err := planner.EncodeEntry(note("x"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fold(nil, &raft.Log{Index: 7, Data: entry})
	if err == nil || !strings.Contains(err.Error(), "apply entry 7: panic") || !strings.Contains(err.Error(), "plan_armed") {
		t.Errorf("fold that panics: got %v, want the index and the event", err)
	}
}

func TestEmptyDirectoryUnderKnownName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		victim := c.follower().opts.Name
		old := c.stores[victim].Hello().ID
		c.crash(victim)
		if err := os.RemoveAll(c.dir(victim)); err != nil {
			t.Fatal(err)
		}
		empty := c.start(victim)
		time.Sleep(15 * time.Second) // longer than raft's longest back-off
		if got := empty.raft.LastIndex(); got != 0 {
			t.Errorf("an empty directory took %d entries meant for %s", got, old)
		}
		err := empty.ObserveHello(leader.Hello())
		want := fmt.Sprintf("monitor %s was %s in this cluster and its data directory is now empty", victim, old)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "holter monitor replace "+victim) {
			t.Errorf("ObserveHello with an empty directory: got %v, want %q and what to do", err, want)
		}
		c.notes(leader, 0, 3) // two of three go on
	})
}

func TestRemovedDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		c.doomed = true
		leader := c.startAll()
		if err := leader.raft.RemoveServer(raft.ServerID(leader.dir.id), 0, 0).Error(); err != nil {
			t.Fatalf("RemoveServer: %v", err)
		}
		c.until("a death", func() bool { return len(c.died()) > 0 })
		if got := c.died()[0].Error(); !strings.Contains(got, "was removed from the cluster") {
			t.Errorf("death: got %q, want that it was removed", got)
		}
	})
}
