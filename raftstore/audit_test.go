package raftstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/internal/audit"
	"github.com/holter-ha/holter/planner"
)

// audited starts a monitor with its audit files, on its own directory.
func (c *cluster) audited(name string) (*Store, *audit.Log) {
	c.Helper()
	opts := c.options(name)
	log, err := audit.Open(audit.Options{Monitor: name, Dir: c.dir(name)})
	if err != nil {
		c.Fatal(err)
	}
	opts.Observer = log
	return c.open(opts), log
}

// compact takes a snapshot and keeps nothing behind it.
func compact(t *testing.T, s *Store) {
	t.Helper()
	conf := s.raft.ReloadableConfig()
	conf.TrailingLogs = 0
	if err := errors.Join(s.raft.ReloadConfig(conf), s.raft.Snapshot().Error()); err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	if first, err := s.dir.db.FirstIndex(); err != nil || first != 0 && first <= s.State().Index {
		t.Fatalf("first index after a snapshot: got %d, %v, want the log empty", first, err)
	}
}

// trails verifies the audit files of monitors, all against one store's chain.
func (c *cluster) trails(s *Store, names ...string) *audit.Report {
	c.Helper()
	var files []audit.Source
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(c.dir(name), audit.FileName))
		if err != nil {
			c.Fatal(err)
		}
		files = append(files, audit.Source{Name: name, R: bytes.NewReader(text)})
	}
	state := s.State()
	report, err := audit.Verify(files, &audit.Cluster{Point: audit.Point{Index: state.Index, Chain: state.Chain}, From: state.ChainFrom})
	if err != nil || report.Broken() || len(report.Trails) != len(names) {
		c.Fatalf("Verify: got %+v, %v, want %d sound trails", report, err, len(names))
	}
	for _, trail := range report.Trails {
		if trail.Cluster != audit.Agrees || trail.End.Index != state.Index {
			c.Errorf("trail of %s: %s with the cluster up to #%d, want that it agrees up to #%d", trail, trail.Cluster, trail.End.Index, state.Index)
		}
	}
	return report
}

// TestAuditSurvivesCompaction restarts a monitor whose log has gone into snapshots: the audit file has every entry, the
// refused ones too.
func TestAuditSurvivesCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		want := 0
		for start := range 3 {
			s, log := c.audited("m1")
			c.until("leading", s.Leading)
			if start == 0 {
				if _, err := s.Propose(t.Context(), note("refused: there is no plan yet")); err == nil {
					t.Fatal("Propose of what must not be: got no error")
				}
				c.plan(s)
				want = 3 // and ClusterFormed
			}
			c.notes(s, 0, 10)
			compact(t, s)
			c.stop("m1")
			if err := log.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			want += 10
			trail := c.trails(s, "m1").Trails[0]
			if trail.Entries != want || trail.Refused != 1 || len(trail.Gaps) != 0 {
				t.Errorf("audit file: got %d entries, %d refused, gaps %v, want %d, 1, none", trail.Entries, trail.Refused, trail.Gaps, want)
			}
		}
	})
}

// TestAuditIsSafeBeforeCompaction reads the file at the moment when raft lets go of its log.
func TestAuditIsSafeBeforeCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s, log := c.audited("m1")
		c.until("leading", s.Leading)
		c.plan(s)
		c.notes(s, 0, 100)
		compact(t, s)
		c.trails(s, "m1")
		if err := log.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAuditGapOfASnapshot has a monitor that was away come back to a log that was compacted: its file has a gap, which
// another's closes, and both have the same chain.
func TestAuditGapOfASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2", "m3")
		logs := map[string]*audit.Log{}
		for name := range c.peers {
			_, logs[name] = c.audited(name)
		}
		leader := c.leader()
		c.plan(leader)
		away := c.follower().opts.Name
		c.settle()
		c.crash(away)
		if err := logs[away].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.notes(leader, 0, 10)
		compact(t, leader)
		_, logs[away] = c.audited(away)
		c.settle()
		c.notes(c.leader(), 10, 20)
		c.settle()
		for _, log := range logs {
			if err := log.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := log.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		report := c.trails(leader, leader.opts.Name, away)
		for _, trail := range report.Trails {
			if trail.Monitor == away && (len(trail.Gaps) != 1 || trail.Gaps[0].Closed != leader.opts.Name) {
				t.Errorf("gaps of %s, which was away: got %+v, want one that %s closes", away, trail.Gaps, leader.opts.Name)
			}
			if trail.Monitor != away && len(trail.Gaps) != 0 {
				t.Errorf("gaps of the leader: got %+v, want none", trail.Gaps)
			}
		}
	})
}

// TestChainIsOfTheRawEntries computes the chain by hand from what stands in the log.
func TestChainIsOfTheRawEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		c.plan(s)
		c.notes(s, 0, 3)
		chain := ""
		for index := uint64(1); index <= s.State().Index; index++ {
			var entry raft.Log
			if err := s.dir.db.GetLog(index, &entry); err != nil {
				t.Fatal(err)
			}
			if entry.Type == raft.LogCommand {
				chain = planner.Link(chain, index, entry.Data)
			}
		}
		if got := s.State().Chain; got != chain || s.State().ChainFrom != 0 {
			t.Errorf("chain: got %s from %d, want %s from 0", got, s.State().ChainFrom, chain)
		}
	})
}
