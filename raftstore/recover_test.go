package raftstore

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/planner"
)

func (c *cluster) rescue(name string) Recovery {
	return Recovery{Name: name, Dir: c.dir(name), Address: c.peers[name], By: "ann", Reason: "two disks are gone", Source: "a test", At: time.Now()}
}

func (c *cluster) copyOf(name string) *Copy {
	c.Helper()
	copied, err := ReadCopy(c.dir(name), name)
	if err != nil {
		c.Fatal(err)
	}
	return copied
}

// Two of three directories are lost. The third one, which lacks the newest entries, goes on alone, and takes the others in.
func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		leader := c.startAll()
		c.plan(leader)
		c.notes(leader, 0, 5)
		survivor := c.follower().opts.Name
		if _, err := ReadCopy(c.dir(survivor), survivor); err == nil || !strings.Contains(err.Error(), "stop monitor") {
			t.Errorf("ReadCopy of a monitor that runs: got %v, want that it is to be stopped", err)
		}
		c.settle()
		c.crash(survivor)
		c.notes(leader, 5, 9) // the survivor never hears of these
		lost := leader.raft.LastIndex()
		old := map[string]*Store{}
		for _, name := range []string{"m1", "m2", "m3"} {
			if name != survivor {
				old[name] = c.stores[name]
				c.crash(name)
			}
		}
		copied := c.copyOf(survivor)
		if copied.Last >= lost || copied.State.Index == 0 || len(copied.Members) != 3 {
			t.Errorf("copy: got %+v, want what the survivor knows, less than #%d", copied, lost)
		}
		recovered, err := Recover(c.rescue(survivor), copied)
		if err != nil {
			t.Fatal(err)
		}
		if recovered.Index <= lost || recovered.ID == copied.ID || recovered.From != copied.Last {
			t.Errorf("recovered: got %+v, want another id than %s and an index above #%d", recovered, copied.ID, lost)
		}
		if id, err := os.ReadFile(filepath.Join(recovered.Former, idFile)); err != nil || strings.TrimSpace(string(id)) != copied.ID {
			t.Errorf("former files in %q: got id %q, %v, want %s", recovered.Former, id, err, copied.ID)
		}
		s := c.start(survivor)
		c.leader()
		if diff := cmp.Diff([]string{"note 0", "note 1", "note 2", "note 3", "note 4", "two disks are gone"}, noted(s)); diff != "" {
			t.Errorf("what the recovered cluster knows (-want +got):\n%s", diff)
		}
		if state := s.State(); state.Generation != recovered.Index || !slices.Equal(state.LeaseVoters().Names, []string{recovered.ID}) || len(state.Voters) != 1 {
			t.Errorf("state: generation #%d, voters %v, want #%d, %s only", state.Generation, state.Voters, recovered.Index, recovered.ID)
		}
		if index := c.propose(s, note("after")); index <= recovered.Index {
			t.Errorf("the next entry: got #%d, want one above #%d", index, recovered.Index)
		}
		// One of the others comes back after all, with its old log: it must go.
		for name := range old {
			stale := c.start(name)
			if err := stale.ObserveHello(s.Hello()); err == nil || !strings.Contains(err.Error(), "was recovered by "+survivor) {
				t.Errorf("a monitor of the former cluster hears of the recovery: got %v, want that it must stop", err)
			}
			c.crash(name)
			c.wiped(name)
			c.greetFor(time.Second)
			if err := c.changed(s, Change{Verb: AddMember, Name: name}); err != nil {
				t.Fatalf("add %s: %v", name, err)
			}
		}
		c.settle()
		c.crash(survivor)
		c.propose(c.leader(), note("without the survivor"))
	})
}

// A copy that goes back to a snapshot and the entries behind it is read whole.
func TestReadCopyWithSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		c.plan(s)
		c.notes(s, 0, 5)
		if err := s.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		c.notes(s, 5, 8)
		want, members := string(encoded(t, s)), s.Info().Members
		c.stop("m1")
		copied := c.copyOf("m1")
		var got bytes.Buffer
		if err := copied.State.Encode(&got); err != nil || got.String() != want {
			t.Errorf("state of the copy, %v:\n%s\nwant\n%s", err, got.String(), want)
		}
		if diff := cmp.Diff(members, copied.Members); diff != "" || copied.Snapshot == 0 {
			t.Errorf("copy: snapshot #%d, members (-want +got):\n%s", copied.Snapshot, diff)
		}
	})
}

// A recovery that is interrupted between any two renames leaves a directory that is not opened, and goes on when it is asked
// for again.
func TestRecoveryIsResumed(t *testing.T) {
	for interrupted := range 6 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "m1")
			s := c.startAll()
			c.plan(s)
			c.notes(s, 0, 5)
			c.stop("m1")
			dir, copied := c.dir("m1"), c.copyOf("m1")
			before := copied.ID
			recovered, err := Recover(c.rescue("m1"), copied)
			if err != nil {
				t.Fatal(err)
			}
			// Take the moves back, the last first: three in, three out.
			pending := filepath.Join(dir, recoveredDir)
			if err := os.Mkdir(pending, 0o700); err != nil {
				t.Fatal(err)
			}
			back := func(from, to string) {
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			moved := []string{idFile, logFile, "snapshots"}
			for i, name := range moved {
				if i < 6-interrupted {
					back(filepath.Join(dir, name), filepath.Join(pending, name))
				}
			}
			for i, name := range slices.Backward(moved) {
				if 6-interrupted > 3+len(moved)-1-i {
					back(filepath.Join(recovered.Former, name), filepath.Join(dir, name))
				}
			}
			if _, err := Open(c.options("m1")); err == nil || !strings.Contains(err.Error(), "was interrupted") {
				t.Fatalf("after %d moves: Open: got %v, want that the recovery was interrupted", interrupted, err)
			}
			if resumed, err := Resume(dir); err != nil || !resumed {
				t.Fatalf("after %d moves: Resume: got %t, %v", interrupted, resumed, err)
			}
			if s = c.startAll(); s.ID() != recovered.ID || s.State().Generation != recovered.Index || len(noted(s)) != 6 {
				t.Errorf("after %d moves: got %s at generation #%d with %v, want %s", interrupted, s.ID(), s.State().Generation, noted(s), recovered.ID)
			}
			if id, err := os.ReadFile(filepath.Join(recovered.Former, idFile)); err != nil || strings.TrimSpace(string(id)) != before {
				t.Errorf("after %d moves: the former id: got %q, %v, want %s", interrupted, id, err, before)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		c.plan(s)
		c.notes(s, 0, 5)
		var saved bytes.Buffer
		if err := s.Save(&saved); err != nil {
			t.Fatal(err)
		}
		c.notes(s, 5, 9)
		c.stop("m1")
		h, state, err := ReadSaved(bytes.NewReader(saved.Bytes()))
		if err != nil || h.Index != state.Index || h.Monitor != "m1" || h.Plans != 1 {
			t.Fatalf("ReadSaved: got %+v, %v", h, err)
		}
		if _, err := Restore(c.rescue("m1"), state, h.Index, h.Term); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("Restore into a directory that is used: got %v, want a refusal", err)
		}
		if got := len(c.copyOf("m1").State.Cluster); got == 0 {
			t.Error("the refused Restore has changed the directory")
		}
		if err := os.RemoveAll(c.dir("m1")); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(c.rescue("m1"), state, h.Index, h.Term); err != nil {
			t.Fatal(err)
		}
		s = c.startAll()
		if got := noted(s); len(got) != 6 || s.State().Cluster != h.Cluster || s.State().Recovery == nil {
			t.Errorf("restored: got %v of cluster %s, want 5 notes and the recovery of %s", got, s.State().Cluster, h.Cluster)
		}
	})
}

// Whatever is done to a saved snapshot, it is refused.
func TestDamagedSnapshot(t *testing.T) {
	state := planner.NewState()
	state, err := state.Apply(1, planner.Entry{At: time.Unix(1, 0), By: "m1", Event: planner.ClusterFormed{Cluster: "c", Monitors: []string{"m1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var saved bytes.Buffer
	if err := save(&saved, state, SavedHeader{Term: 3, Monitor: "m1"}); err != nil {
		t.Fatal(err)
	}
	whole := saved.Bytes()
	if _, _, err := ReadSaved(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, _, err := ReadSaved(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("cut to %d of %d bytes: read, want a refusal", n, len(whole))
		}
		flipped := slices.Clone(whole)
		flipped[n] ^= 1
		if _, _, err := ReadSaved(bytes.NewReader(flipped)); err == nil {
			t.Errorf("byte %d changed: read, want a refusal", n)
		}
	}
	if _, _, err := ReadSaved(bytes.NewReader(append(slices.Clone(whole), '\n'))); err == nil {
		t.Error("with a byte more: read, want a refusal")
	}
}
