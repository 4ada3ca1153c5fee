package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
)

// A quorum that is lost for good takes entries of the log with it that were committed, and acted on: joins, grants, losses,
// files. A recovered cluster goes on from one copy of the log, or from a snapshot, and must not trust what that says of
// hosts. Its index is raised above everything that anybody may have seen, so that no epoch, token or nonce is used twice,
// and every host has to prove anew what it runs: its agent joins and says so, or there is evidence that it runs nothing.
// Until all have, and the operators have applied their files, nothing is granted.

// ClusterRecovered begins another life of the log. Its index is the generation. It is never proposed: it is the last entry
// in the snapshot with which the recovered monitor starts.
type ClusterRecovered struct {
	From     uint64   `json:"from"`     // the newest index of the copy
	Monitors []string `json:"monitors"` // the lease voters from here on
	Source   string   `json:"source"`   // where the copy comes from, for people
}

// Name implements Event.
func (ClusterRecovered) Name() string { return "cluster_recovered" }

// Recovery is what a recovered cluster still waits for, beside the hosts that are Unproven.
type Recovery struct {
	At    time.Time `json:"at"`
	From  uint64    `json:"from"`
	Files bool      `json:"files"` // the files have to be applied: the lost entries may have changed them
}

// runsApart is so large that the numbers of lost runs, and with them ids of commands, are not used again.
const runsApart = 10_000

// Above every index that a life of the log can have come to: indexes grow by less than perSecond, and a life begins above
// perSecond times the wall clock's seconds.
const (
	perSecond  = 10_000
	leastApart = 1_000_000_000
)

// NextGeneration is the index at which a log is recovered that goes up to last: above what the lost entries may have had, and
// above what any other copy of the log may be recovered at before now. Above is a floor of the operator's; 0: none.
func NextGeneration(last, above uint64, now time.Time) uint64 {
	return max(last+leastApart, above+1, uint64(max(now.Unix(), 0))*perSecond)
}

// foldRecovered revokes what the log knows of every host, ends what was under way and disarms every plan.
func (s *State) foldRecovered(index uint64, entry Entry, e ClusterRecovered) error {
	switch {
	case s.Cluster == "":
		return refuse(CodeState, "there is no cluster to recover")
	case entry.Reason == "":
		return refuse(CodeInvalid, "to recover a cluster needs a reason").with("--reason TEXT")
	}
	s.Voters = nil // who has renewed a lease until now is gone, and was before the recovered monitor was started
	if err := s.vote(index, e.Monitors); err != nil {
		return err
	}
	s.Generation, s.Recovery = index, &Recovery{At: s.At, From: e.From, Files: true}
	s.LastRun = (s.LastRun/runsApart + 1) * runsApart
	for _, run := range s.Runs.All() {
		if run.Open() {
			s.giveUp(*run)
		}
	}
	for name, plan := range s.Plans.All() {
		plan.Armed = false
		s.Plans = s.Plans.With(name, plan)
	}
	for name, host := range s.Hosts.All() {
		s.doubt(name, host)
	}
	return nil
}

// giveUp ends a run of which nobody knows how far it has come.
func (s *State) giveUp(run Run) {
	run.Steps = slices.Clone(run.Steps)
	for i := range run.Steps {
		if step := &run.Steps[i]; step.State == StateStarted {
			step.State, step.Ended, step.Reason = StateUnknown, s.At, "the cluster was recovered"
		}
	}
	run.State, run.Ended, run.Until = RunFailed, s.At, time.Time{}
	s.Runs = s.Runs.With(indexKey(run.ID), &run)
	for name, w := range s.Workloads.All() {
		if w.Run == run.ID {
			w.Run = 0
			s.Workloads = s.Workloads.With(name, w)
		}
	}
}

// doubt revokes whatever a host may have, also one that the log has never seen: the lost entries may have.
func (s *State) doubt(name string, host Host) {
	if host.Phase == Unseen && s.Inventory != nil {
		host.Lease = s.Inventory.Hosts[name].Lease
	}
	host.Offer, host.Unproven, host.LeaseSince = nil, true, s.Generation
	s.revoke(s.Generation, name, host)
}

// doubtAll takes the operators' files into a recovery: hosts that the log did not know of are as unproven as the others, and a
// lease may be as long as either copy of the files says.
func (s *State) doubtAll(inv *plans.Inventory) {
	if !s.filesMissing() {
		return
	}
	s.Inventory = inv
	for name, host := range s.Hosts.All() {
		if host.Phase == Unseen {
			s.doubt(name, host)
			continue
		}
		if host.Unproven {
			host.Lease = longest(host.Lease, inv.Hosts[name].Lease)
			s.Hosts = s.Hosts.With(name, host)
		}
	}
}

// longest are terms under which a lease ends no earlier than under both, and is enforced only if both say so.
func longest(a, b lease.Terms) lease.Terms {
	a.Length, a.Kill = max(a.Length, b.Length), max(a.Kill, b.Kill)
	if !b.Fences() {
		a.Self = lease.None
	}
	return a
}

// believe gives a host that joins for the first time since a recovery what it says it keeps: nobody knows better, unless
// somebody who has joined before it has it.
func (s *State) believe(index uint64, host Host, e HostJoined) {
	if s.Generation == 0 || host.Revocation != s.Generation {
		return
	}
	for _, kept := range e.Keep {
		w, ok := s.Workloads.Get(kept.Workload)
		if owner, _ := s.Hosts.Get(w.Owner); !ok || w.Owner != "" && !owner.Unproven {
			continue
		}
		w.Wanted, w.Owner, w.Last, w.Epoch, w.Token, w.Ready = WantedRunning, e.Host, e.Host, index, kept.Token, true
		w.Stopping, w.Freed = false, nil
		s.Workloads = s.Workloads.With(kept.Workload, w)
	}
}

// filesMissing says that a recovery waits for the operators' files.
func (s *State) filesMissing() bool { return s.Recovery != nil && s.Recovery.Files }

// settle ends a recovery when every host is proven.
func (s *State) settle() {
	if s.Recovery == nil || s.Recovery.Files || len(s.UnprovenHosts()) > 0 {
		return
	}
	s.Recovery = nil
}

// UnprovenHosts lists the hosts of which nobody knows yet what they run, sorted.
func (s *State) UnprovenHosts() []string {
	var names []string
	for name, host := range s.Hosts.All() {
		if host.Unproven {
			names = append(names, name)
		}
	}
	return names
}

// Recovering says why nothing can be started yet; nil: the cluster is not being recovered.
func (s *State) Recovering() *Refusal {
	if s.Recovery == nil {
		return nil
	}
	return s.recovering()
}

// recovering refuses what has to wait for the end of a recovery.
func (s *State) recovering() *Refusal {
	if s.Recovery.Files {
		return refuse(CodeState, "the cluster was recovered at #%d and does not know whether its files are the newest; nothing was changed", s.Generation).
			with("apply the files that you have now: holter apply -f FILE…")
	}
	text := strings.Join(s.UnprovenHosts(), " ")
	return refuse(CodeState, "the cluster was recovered at #%d and does not know yet what runs on %s; nothing was changed", s.Generation, text).
		with("%s", fmt.Sprintf("holter status; of a host that is off: holter fence confirm %s --reason …", s.UnprovenHosts()[0]))
}
