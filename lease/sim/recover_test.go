package sim

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// unfenced are hosts of which half do not fence themselves: what runs there goes on without a quorum.
var unfenced = []lease.SelfFence{lease.None, lease.Guard}

// raised is how far a recovery raises the index, in short for planner.NextGeneration.
const raised = 1_000_000

// successor lets another machine take the place of the third monitor, which is cut off and goes on renewing by what it knows.
// A host reaches that one, and the second one, which hears nothing more of the log.
func successor(s *sim) {
	s.after(10*time.Second, func() {
		first, second, third, next := s.monitors[0], s.monitors[1], s.monitors[2], s.monitors[3]
		first.leads, second.leads, third.leads = true, false, false
		victim := s.runner()
		second.behind = s.now + time.Hour
		s.setMembers(0, 1, 3)
		third.up = true
		s.cut(victim.node, first.node, time.Hour)
		s.cut(victim.node, next.node, time.Hour)
		s.cut(first.node, victim.node, time.Hour)
		s.cut(next.node, victim.node, time.Hour)
		s.after(s.upTo(5*time.Second), func() { s.lose(victim) })
	})
}

// loseQuorum lets one monitor fall behind and then loses the others for good. It is recovered from what it knows, the files are
// applied, and after a while two others are taken in.
func loseQuorum(s *sim) {
	s.after(s.between(15*time.Second, 30*time.Second), func() {
		survivor := pick(s, s.monitors[:3])
		survivor.leads = false
		if !slices.ContainsFunc(s.monitors[:3], func(m *monitor) bool { return m.leads && m != survivor }) {
			s.monitors[(survivor.node+1)%3].leads = true
		}
		survivor.behind = s.now + time.Hour
		s.after(s.upTo(10*time.Second), func() {
			// What the lost entries say is drawn: anything, or a workload that was taken from its host in them.
			if victim := s.runner(); s.chance(0.5) {
				s.cutOff(victim, 20*time.Second, false, false)
				s.lose(victim)
			}
		})
		s.after(s.between(time.Second, 20*time.Second), func() { s.recover(survivor) })
	})
}

// recover goes on with one monitor and what it knows of the log. The others never come back.
func (s *sim) recover(survivor *monitor) {
	inv := s.head().Inventory // the operators have their newest files
	for _, m := range s.monitors {
		m.up, m.member, m.gone, m.leads = false, m == survivor, true, false
		m.gen++
	}
	at := max(survivor.applied, 2) // formed, with files
	s.lost += s.newest() - at
	s.say("recovered by %s at %d of %d entries", survivor.name, at, s.newest())
	s.after(s.upTo(3*time.Second), func() {
		s.states, s.entries = s.states[:at+1:at+1], s.entries[:at+1:at+1]
		from := s.head().Index
		s.life++
		s.raise += raised
		if err := s.commit("ann", "disks are gone", planner.ClusterRecovered{From: from, Monitors: s.members(), Source: "a test"}); err != nil {
			panic(err)
		}
		survivor.applied, survivor.behind, survivor.gone = s.newest(), 0, false
		s.must(planner.FilesApplied{Base: s.head().Revision, Set: plans.Set{Inventory: inv}})
		survivor.start()
		survivor.leads = true
		s.done.starts, s.done.moves = s.starts, s.moves
		clear(s.granted) // grants that were lost have no evidence in this log but that every host was proven
	})
	s.after(s.between(10*time.Second, 25*time.Second), func() {
		for _, m := range s.monitors {
			if m.gone { // others of the same names, with empty directories
				m.gone, m.applied = false, survivor.applied
			}
		}
		s.setMembers(0, 1, 2)
	})
}

// TestRecovery: nothing runs twice after a quorum was lost with entries that only agents know of, and everything goes on.
func TestRecovery(t *testing.T) {
	const runs = 400
	var seeds, lost, starts, moves, stuck atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := seeds.Add(1); seed <= runs && !t.Failed(); seed = seeds.Add(1) {
				p := storm()
				p.script, p.twin, p.members, p.files = loseQuorum, 0, 0, 0
				s := newSim(seed, p, none, nil)
				if why := s.run(); why != "" {
					t.Errorf("seed %d: %s", seed, why)
				}
				if s.life != 1 {
					t.Errorf("seed %d: the cluster was recovered %d times, want once", seed, s.life)
				}
				lost.Add(s.lost)
				starts.Add(s.starts - s.done.starts)
				moves.Add(s.moves - s.done.moves)
				if s.head().Recovery != nil {
					stuck.Add(1)
				}
				if err := s.reapply(); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d recoveries, %d entries lost, %d starts afterwards, %d of them on another host than before, %d not settled at the end",
		runs, lost.Load(), starts.Load(), moves.Load(), stuck.Load())
	if lost.Load() < runs || starts.Load() < runs || stuck.Load() > runs/10 {
		t.Errorf("the recoveries prove nothing: %d entries lost, %d starts afterwards, %d of %d not settled", lost.Load(), starts.Load(), stuck.Load(), runs)
	}
}
