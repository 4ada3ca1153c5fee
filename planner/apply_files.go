package planner

import (
	"reflect"

	"github.com/holter-ha/holter/plans"
)

// foldFiles sets inventory and plans. What something still holds on to cannot be taken away.
func (s *State) foldFiles(index uint64, e FilesApplied) error {
	if e.Base != s.Revision {
		return refuse(CodeStale, "the files were checked against revision #%d, but #%d is in force now; nothing was changed", e.Base, s.Revision).
			with("look at what changed (holter events) and apply again")
	}
	if e.Set.Inventory != nil {
		if err := s.foldInventory(e.Set.Inventory); err != nil {
			return err
		}
	}
	for _, plan := range e.Set.Plans {
		held, known := s.Plans.Get(plan.Name)
		if known && held.Plan.Hash == plan.Hash {
			continue
		}
		s.Plans = s.Plans.With(plan.Name, Plan{Plan: plan, Rev: index, Armed: held.Armed})
	}
	s.Revision = index
	if s.Recovery != nil && e.Set.Inventory != nil {
		applied := *s.Recovery
		applied.Files = false
		s.Recovery = &applied
		s.settle()
	}
	return nil
}

func (s *State) foldInventory(inv *plans.Inventory) error {
	for name, host := range s.Hosts.All() {
		if is, stays := inv.Hosts[name]; stays {
			if host.Tests != nil && !reflect.DeepEqual(is.Fence, s.Inventory.Hosts[name].Fence) {
				host.Tests = nil // of other devices
				s.Hosts = s.Hosts.With(name, host)
			}
			continue
		}
		if owned := s.ownedBy(name); len(owned) > 0 {
			return refuse(CodeOwned, "host %s cannot be removed: %s is there", name, owned[0]).with("stop or move it first")
		}
		if host.Phase == Revoking {
			return refuse(CodeHost, "host %s cannot be removed: it is lost and nobody has said that it runs nothing", name).
				with("holter fence confirm %s --reason …", name)
		}
		s.Hosts = s.Hosts.Without(name)
	}
	for name := range inv.Hosts {
		if _, known := s.Hosts.Get(name); !known {
			s.Hosts = s.Hosts.With(name, Host{Phase: Unseen})
		}
	}
	s.doubtAll(inv)
	for name, w := range s.Workloads.All() {
		if err := s.mayChange(name, w, inv); err != nil {
			return err
		}
		if _, stays := inv.Workloads[name]; !stays {
			s.Workloads = s.Workloads.Without(name)
		}
	}
	for name := range inv.Workloads {
		if _, known := s.Workloads.Get(name); !known {
			s.Workloads = s.Workloads.With(name, Workload{})
		}
	}
	s.Inventory, s.behind = inv, behind(inv)
	return nil
}

// mayChange refuses to take away, or to give another body, to a workload that something holds on to.
func (s *State) mayChange(name string, w Workload, inv *plans.Inventory) error {
	was := s.Inventory.Workloads[name]
	is, stays := inv.Workloads[name]
	same := stays && was.Kind == is.Kind && was.Unit == is.Unit && was.Exclusive == is.Exclusive
	switch {
	case same, s.filesMissing(): // what holds on to it may long be past
		return nil
	case w.Owner != "":
		return refuse(CodeOwned, "workload %s cannot be removed or get another kind, unit or exclusive: it is on %s", name, w.Owner).
			with("holter stop %s", name)
	case w.Run != 0:
		return refuse(CodeOpenRun, "workload %s cannot be removed or get another kind, unit or exclusive: %s needs it", name, RunID(w.Run)).
			with("holter run abort %s", RunID(w.Run))
	}
	return nil
}

// ownedBy lists the workloads that a host owns, sorted.
func (s *State) ownedBy(host string) []string {
	var owned []string
	for name, w := range s.Workloads.All() {
		if w.Owner == host {
			owned = append(owned, name)
		}
	}
	return owned
}
