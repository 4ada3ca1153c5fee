package planner

import (
	"fmt"
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
		return s.foldFormed(event)
	case FilesApplied:
		return s.foldFiles(index, event)
	case PlanArmed:
		return s.foldArmed(event.Plan, true)
	case PlanDisarmed:
		return s.foldArmed(event.Plan, false)
	case HostJoined:
		return s.foldJoined(index, event)
	case HostLost:
		return s.foldLost(index, event)
	case HostReinstated:
		return s.foldReinstated(event)
	case HostExpired:
		return s.foldExpired(index, e, event)
	case WorkloadAdopted:
		return s.foldAdopted(index, event)
	case RunStarted:
		return s.foldRunStarted(e, event)
	case StepStarted:
		return s.foldStepStarted(index, event)
	case StepFinished:
		return s.foldStepFinished(e, event)
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
	panic(fmt.Sprintf("apply: no rule for event %q at %d", e.Name, index))
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

func (s *State) foldFormed(e ClusterFormed) error {
	if s.Cluster != "" {
		return refuse(CodeStale, "the cluster is formed already")
	}
	if e.Cluster == "" {
		return refuse(CodeInvalid, "a cluster needs an id")
	}
	s.Cluster, s.UnsafeDemo = e.Cluster, e.UnsafeDemo
	return nil
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
