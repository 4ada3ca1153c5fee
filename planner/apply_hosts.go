package planner

import (
	"slices"

	"github.com/holter-ha/holter/wire"
)

// maxPast is how many replaced incarnations of a host are remembered.
const maxPast = 8

// foldJoined takes an incarnation of a host in. What the host owned and does not keep is free: the agent proved it gone
// before it asked to join. With another journal (lost, or another machine's under this name) it could not prove anything.
func (s *State) foldJoined(index uint64, e HostJoined) error {
	host, ok := s.Hosts.Get(e.Host)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "host %s is not in the inventory", e.Host)
	case host.Inc == e.Inc && host.Phase != Expired:
		return refuse(CodeStale, "this incarnation of %s has joined already", e.Host)
	case slices.Contains(host.Past, e.Inc):
		return refuse(CodeStale, "this incarnation of %s was replaced by a newer one", e.Host)
	}
	for _, kept := range e.Keep {
		if w, _ := s.Workloads.Get(kept.Workload); w.Owner != e.Host || w.Token != kept.Token {
			return refuse(CodeOwned, "%s cannot keep %s: the log does not bear it out", e.Host, kept.Workload)
		}
	}
	for _, name := range s.ownedBy(e.Host) {
		w, _ := s.Workloads.Get(name)
		kept := slices.ContainsFunc(e.Keep, func(k wire.Kept) bool { return k.Workload == name })
		if kept || host.Journal != e.Journal {
			w.Epoch = index
			s.Workloads = s.Workloads.With(name, w)
			continue
		}
		s.Workloads = s.Workloads.With(name, w.freed())
	}
	past := host.Past
	if host.Inc != 0 && host.Inc != e.Inc {
		past = append([]uint64{host.Inc}, past[:min(len(past), maxPast-1)]...)
	}
	s.Hosts = s.Hosts.With(e.Host, Host{
		Phase: Active, Epoch: index, Boot: e.Boot, Inc: e.Inc, Past: past, Version: e.Version, Journal: e.Journal,
		Since: s.At,
	})
	return nil
}

// freed is the workload without an owner. Under the epoch that it had it is not started again by itself: its last host has
// to join anew first.
func (w Workload) freed() Workload {
	w.Last, w.Tried = w.Owner, w.Epoch
	w.Owner, w.Epoch, w.Token, w.Ready, w.Stopping = "", 0, 0, false, false
	return w
}

func (s *State) foldLost(index uint64, e HostLost) error {
	host, ok := s.Hosts.Get(e.Host)
	if !ok || host.Phase != Active || host.Epoch != e.Epoch || host.Inc != e.Inc {
		return refuse(CodeStale, "host %s is not active under #%d", e.Host, e.Epoch)
	}
	host.Phase, host.Revocation, host.Since = Revoking, index, s.At
	host.Handled, host.Evidence = nil, nil
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

func (s *State) foldReinstated(e HostReinstated) error {
	host, err := s.revoked(e.Host, e.Epoch, e.Revocation)
	if err != nil {
		return err
	}
	host.Phase, host.Revocation, host.Since, host.Handled = Active, 0, s.At, nil
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// foldExpired accepts evidence that a lost host runs nothing; what it owned is free.
func (s *State) foldExpired(index uint64, entry Entry, e HostExpired) error {
	host, err := s.revoked(e.Host, e.Epoch, e.Revocation)
	if err != nil {
		return err
	}
	switch e.Evidence {
	case Confirmed:
		if entry.Reason == "" {
			return refuse(CodeInvalid, "a confirmation needs a reason").with("holter fence confirm %s --reason …", e.Host)
		}
	case Assumed:
		if !s.UnsafeDemo {
			return refuse(CodeEvidence, "evidence assumed is accepted only in a demo cluster")
		}
	default:
		return refuse(CodeEvidence, "evidence %q is not known", e.Evidence)
	}
	host.Phase, host.Since = Expired, s.At
	host.Evidence = &Evidence{Kind: e.Evidence, Index: index, At: s.At, By: entry.By, Reason: entry.Reason}
	s.Hosts = s.Hosts.With(e.Host, host)
	for _, name := range s.ownedBy(e.Host) {
		w, _ := s.Workloads.Get(name)
		s.Workloads = s.Workloads.With(name, w.freed())
	}
	return nil
}

// revoked returns a host whose present revocation is the one named.
func (s *State) revoked(name string, epoch, revocation uint64) (Host, error) {
	host, ok := s.Hosts.Get(name)
	if !ok {
		return Host{}, refuse(CodeNoSuch, "there is no host %s", name)
	}
	if host.Phase != Revoking || host.Epoch != epoch || host.Revocation != revocation {
		return Host{}, refuse(CodeStale, "host %s is not lost any more, or lost anew (it is %s, #%d)", name, host.Phase, host.Revocation).
			with("holter hosts %s", name)
	}
	return host, nil
}

// foldAdopted gives a found workload to the host where it runs. Only a workload that never had an owner can be found.
func (s *State) foldAdopted(index uint64, e WorkloadAdopted) error {
	w, ok := s.Workloads.Get(e.Workload)
	if !ok {
		return refuse(CodeNoSuch, "there is no workload %s", e.Workload)
	}
	if w.Owner != "" || w.Last != "" || w.Wanted != "" || w.Run != 0 {
		return refuse(CodeOwned, "workload %s has been Holter's before", e.Workload)
	}
	if err := s.activeUnder(e.Host, e.Epoch); err != nil {
		return err
	}
	if !slices.Contains(s.Inventory.Workloads[e.Workload].Hosts, e.Host) {
		return refuse(CodeHost, "workload %s may not run on %s", e.Workload, e.Host)
	}
	w.Wanted, w.Owner, w.Last, w.Epoch, w.Token, w.Ready = WantedRunning, e.Host, e.Host, e.Epoch, index, true
	s.Workloads = s.Workloads.With(e.Workload, w)
	return nil
}

// activeUnder refuses a host that is not active under the epoch.
func (s *State) activeUnder(name string, epoch uint64) error {
	host, ok := s.Hosts.Get(name)
	if !ok {
		return refuse(CodeNoSuch, "there is no host %q", name)
	}
	if host.Phase != Active || host.Epoch != epoch {
		return refuse(CodeHost, "host %s is not active under #%d (it is %s under #%d)", name, epoch, host.Phase, host.Epoch)
	}
	return nil
}
