package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
)

// What the log keeps of the past.
const (
	maxEvents    = 10_000
	maxEndedRuns = 500
)

// Apply folds one entry of the log and returns the next state. An entry that must not be is refused: the error is a
// *Refusal, and the state returned differs from s only in Index, At and Refused.
func (s *State) Apply(index uint64, e Entry) (*State, error) {
	next := *s
	next.Index = index
	if e.At.After(next.At) {
		next.At = e.At
	}
	folded := next
	if refusal := folded.fold(index, e); refusal != nil {
		next.Refused++
		return &next, refusal
	}
	if level := levelOf(e.Event); level > 1 {
		folded.Log = max(folded.Log, level)
	}
	e.V, e.Name, e.At = EntryVersion, e.Event.Name(), folded.At
	logged := Logged{Index: index, Entry: trimmed(e)}
	if _, started := e.Event.(RunStarted); started {
		logged.Run = folded.LastRun
	}
	folded.Events = folded.Events.With(indexKey(index), logged)
	for oldest := range folded.Events.All() {
		if folded.Events.Len() <= maxEvents {
			break
		}
		folded.Events = folded.Events.Without(oldest)
	}
	return &folded, nil
}

// trimmed is the entry as the event list keeps it: without the files' text, which State holds already.
func trimmed(e Entry) Entry {
	applied, ok := e.Event.(FilesApplied)
	if !ok {
		return e
	}
	applied.Set.Inventory = nil
	applied.Set.Plans = nil
	e.Event = applied
	return e
}

// fold changes s, which is Apply's own copy. Every rule of the last door is reached from here.
func (s *State) fold(index uint64, e Entry) error {
	switch event := e.Event.(type) {
	case ClusterFormed:
		return s.foldFormed(index, event)
	case MonitorsChanged:
		return s.foldMonitors(index, event)
	case ClusterRecovered:
		return s.foldRecovered(index, e, event)
	case FilesApplied:
		return s.foldFiles(index, event)
	case PlanArmed:
		return s.foldArmed(event.Plan, true)
	case PlanDisarmed:
		return s.foldArmed(event.Plan, false)
	case JoinOffered, HostJoined, LeaseConfirmed, HostRevoked, HostLost, HostReinstated, HostExpired, HostReleased:
		return s.foldHost(index, e)
	case UserSet, UserRemoved, GroupSet, GroupRemoved, TokenMade, TokenRevoked, HostInvited, HostEnrolled, HostBarred:
		return s.foldAccess(index, e)
	case FenceStarted:
		return s.foldFenceStarted(event)
	case FenceFinished:
		return s.foldFenceFinished(e, event)
	case FencesTested:
		return s.foldFencesTested(event)
	case SilenceWanted:
		return s.foldSilenceWanted(e, event)
	case SilenceEnded:
		return s.foldSilenceEnded(event)
	case WorkloadAdopted:
		return s.foldAdopted(index, event)
	case WorkloadSeenTwice:
		return s.foldSeenTwice(event)
	case WorkloadSeenOnce:
		return s.foldSeenOnce(event)
	default:
		return s.foldRun(index, e)
	}
}

// foldHost folds what happens to a host.
func (s *State) foldHost(index uint64, e Entry) error {
	switch event := e.Event.(type) {
	case JoinOffered:
		return s.foldOffered(index, event)
	case HostJoined:
		return s.foldJoined(index, e, event)
	case LeaseConfirmed:
		return s.foldConfirmed(event)
	case HostRevoked:
		return s.foldRevoked(index, event)
	case HostLost:
		return s.foldLost(index, event)
	case HostReinstated:
		return s.foldReinstated(event)
	case HostExpired:
		return s.foldExpired(index, e, event)
	case HostReleased:
		return s.foldReleased(e, event)
	}
	panic(unruled(index, e))
}

// foldRun folds what happens to a run.
func (s *State) foldRun(index uint64, e Entry) error {
	switch event := e.Event.(type) {
	case RunStarted:
		return s.foldRunStarted(e, event)
	case StepStarted:
		return s.foldStepStarted(index, event)
	case StepFinished:
		return s.foldStepFinished(index, e, event)
	case StepReset:
		return s.foldStepReset(event)
	case StepRetried:
		return s.foldStepRetried(event)
	case StepSkipped:
		return s.foldStepSkipped(event)
	case RunAborted:
		return s.foldRunAborted(event)
	case RunEnded:
		return s.foldRunEnded(event)
	}
	panic(unruled(index, e))
}

// unruled is what Apply panics with: an event that was registered and has no rule is a mistake of this program's.
func unruled(index uint64, e Entry) string {
	return fmt.Sprintf("apply: no rule for event %q at %d", e.Event.Name(), index)
}

// refuse makes a Refusal.
func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// with adds what to do about it.
func (r *Refusal) with(format string, args ...any) *Refusal {
	r.Hint = fmt.Sprintf(format, args...)
	return r
}

func (s *State) foldFormed(index uint64, e ClusterFormed) error {
	if s.Cluster != "" {
		return refuse(CodeStale, "the cluster is formed already")
	}
	if e.Cluster == "" {
		return refuse(CodeInvalid, "a cluster needs an id")
	}
	s.Cluster = e.Cluster
	if e.Admin != "" {
		if err := s.foldUserSet(UserSet{User: e.Admin, Grants: []Grant{{Role: Admin}}}); err != nil {
			return err
		}
		first, _ := s.Users.Get(e.Admin)
		first.Since = time.Time{} // the certificate was made before the cluster
		s.Users = s.Users.With(e.Admin, first)
	}
	return s.vote(index, e.Monitors)
}

// foldMonitors sets new lease voters. The former sets are kept for as long as a host's lease may hang on them.
func (s *State) foldMonitors(index uint64, e MonitorsChanged) error {
	if s.Cluster == "" {
		return refuse(CodeStale, "the cluster is not formed yet")
	}
	oldest := index
	for _, host := range s.Hosts.All() {
		if host.Phase == Active || host.Phase == Revoking {
			oldest = min(oldest, host.LeaseSince)
		}
	}
	s.Voters = slices.Clone(s.votersSince(oldest))
	return s.vote(index, e.Monitors)
}

func (s *State) vote(index uint64, monitors []string) error {
	names := slices.Compact(slices.Sorted(slices.Values(monitors)))
	if len(names) == 0 || len(names) != len(monitors) || names[0] == "" {
		return refuse(CodeInvalid, "the lease voters must be monitors, each once")
	}
	s.Voters = append(s.Voters, lease.Voters{Index: index, Names: names})
	return nil
}

// votersSince lists the sets of lease voters that were in force at some time since an index of the log.
func (s *State) votersSince(index uint64) []lease.Voters {
	for i := len(s.Voters) - 1; i > 0; i-- {
		if s.Voters[i].Index <= index {
			return s.Voters[i:]
		}
	}
	return s.Voters
}

// LeaseVoters is the set in force.
func (s *State) LeaseVoters() lease.Voters {
	if len(s.Voters) == 0 {
		return lease.Voters{}
	}
	return s.Voters[len(s.Voters)-1]
}

func (s *State) foldArmed(name string, armed bool) error {
	plan, ok := s.Plans.Get(name)
	if !ok {
		return refuse(CodeNoSuch, "there is no plan %q", name).with("holter plan list")
	}
	plan.Armed = armed
	s.Plans = s.Plans.With(name, plan)
	return nil
}
