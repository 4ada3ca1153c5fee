package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// A host that is lost too often takes no workloads for a while.
const (
	flapWindow    = time.Hour
	flapLosses    = 3
	quarantineFor = 2 * time.Hour
)

// freed is the workload without an owner, by this evidence. Under the epoch that it had it is not started again by itself:
// its last host has to join anew first.
func (w Workload) freed(by Evidence) Workload {
	w.Last, w.Tried, w.Freed = w.Owner, w.Epoch, &by
	w.Owner, w.Epoch, w.Token, w.Ready, w.Stopping = "", 0, 0, false, false
	return w
}

// foldRevoked revokes the epoch of a host that is to be fenced.
func (s *State) foldRevoked(index uint64, e HostRevoked) error {
	host, err := s.inForce(e.Host, e.Inc, e.Epoch)
	if err != nil {
		return err
	}
	if !s.toBeFenced(e.Host) {
		return refuse(CodeState, "host %s is not to be fenced", e.Host)
	}
	s.revoke(index, e.Host, host)
	return nil
}

func (s *State) foldLost(index uint64, e HostLost) error {
	host, err := s.inForce(e.Host, e.Inc, e.Epoch)
	if err != nil {
		return err
	}
	if host.Silence.Holds(s.At) {
		return refuse(CodeState, "the silence of %s is wanted until %s", e.Host, host.Silence.Until.UTC().Format(time.RFC3339))
	}
	recent := slices.DeleteFunc(slices.Clone(host.Losses), func(at time.Time) bool { return s.At.Sub(at) >= flapWindow })
	host.Losses = append(recent, s.At)
	if len(host.Losses) >= flapLosses {
		host.Quarantine = s.At.Add(quarantineFor)
	}
	s.revoke(index, e.Host, host)
	s.Tally.Losses++
	return nil
}

// inForce returns an active host under the epoch.
func (s *State) inForce(name string, inc, epoch uint64) (Host, error) {
	host, ok := s.Hosts.Get(name)
	if !ok || host.Phase != Active || host.Epoch != epoch || host.Inc != inc {
		return Host{}, refuse(CodeStale, "host %s is not active under #%d", name, epoch)
	}
	return host, nil
}

func (s *State) revoke(index uint64, name string, host Host) {
	host.Phase, host.Revocation, host.Since = Revoking, index, s.At
	host.Handled, host.Evidence, host.Fence = nil, nil, nil
	s.Hosts = s.Hosts.With(name, host)
}

// foldReinstated takes a revocation back, unless fencing is under way or has succeeded: then the host may be about to lose
// its power, or has.
func (s *State) foldReinstated(e HostReinstated) error {
	host, err := s.revoked(e.Host, e.Epoch, e.Revocation)
	if err != nil {
		return err
	}
	switch {
	case s.toBeFenced(e.Host) || host.Fence != nil && host.Fence.mayBeOff():
		return refuse(CodeState, "host %s is being fenced", e.Host)
	case host.Unproven:
		return refuse(CodeState, "host %s has to join anew: the cluster was recovered at #%d", e.Host, s.Generation)
	}
	host.Phase, host.Revocation, host.Since, host.Handled, host.Fence = Active, 0, s.At, nil, nil
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// foldExpired accepts evidence that a revoked host runs nothing; what it owned is free, as far as it accepts this kind.
func (s *State) foldExpired(index uint64, entry Entry, e HostExpired) error {
	host, err := s.expiring(e)
	if err != nil {
		return err
	}
	if err := s.checkEvidence(host, entry, e); err != nil {
		return err
	}
	by := Evidence{Kind: e.Evidence, Host: e.Host, Index: index, At: s.At, By: entry.By, Reason: entry.Reason}
	freed := 0
	for _, name := range s.ownedBy(e.Host) {
		if !s.accepts(name, e.Evidence) {
			continue
		}
		w, _ := s.Workloads.Get(name)
		s.Workloads = s.Workloads.With(name, w.freed(by))
		freed++
	}
	if host.Phase == Expired && freed == 0 && (host.Evidence.Kind != LeaseExpired || e.Evidence == LeaseExpired) {
		return refuse(CodeStale, "that %s runs nothing is known already (%s)", e.Host, host.Evidence.Kind)
	}
	host.Phase, host.Since, host.Evidence, host.Unproven = Expired, s.At, &by, false
	s.Hosts = s.Hosts.With(e.Host, host)
	s.settle()
	return nil
}

// expiring returns the host of an expiry: revoked by the entry that it names, or expired since.
func (s *State) expiring(e HostExpired) (Host, error) {
	if host, _ := s.Hosts.Get(e.Host); host.Phase == Expired && host.Epoch == e.Epoch && host.Revocation == e.Revocation {
		return host, nil
	}
	return s.revoked(e.Host, e.Epoch, e.Revocation)
}

// checkEvidence refuses what proves nothing: the end of a lease that its host does not enforce, or that too few monitors
// bear witness to; a fencing that was not seen to succeed; a word without a reason.
func (s *State) checkEvidence(host Host, entry Entry, e HostExpired) error {
	switch e.Evidence {
	case Confirmed:
		if entry.Reason == "" {
			return refuse(CodeInvalid, "a confirmation needs a reason").with("holter fence confirm %s --reason …", e.Host)
		}
		return nil
	case Fenced:
		if host.Fence == nil || host.Fence.Outcome != wire.Done {
			return refuse(CodeEvidence, "host %s was not seen off", e.Host)
		}
		return nil
	case LeaseExpired:
		if host.Unproven && s.filesMissing() {
			return s.recovering()
		}
		if !host.Lease.Fences() {
			return refuse(CodeEvidence, "host %s does not fence itself: the end of its lease proves nothing", e.Host)
		}
		for _, voters := range s.votersSince(host.LeaseSince) {
			if !majorityOf(voters, e.Reports) {
				return refuse(CodeEvidence, "host %s: reports of %d monitors are no majority of those in force since #%d", e.Host, len(e.Reports), voters.Index)
			}
		}
		return nil
	case Stopped:
	}
	return refuse(CodeEvidence, "%q is no evidence of a whole host", e.Evidence)
}

func majorityOf(voters lease.Voters, reports []string) bool {
	n := 0
	for _, name := range voters.Names {
		if slices.Contains(reports, name) {
			n++
		}
	}
	return n >= voters.Majority()
}

// accepts says that a workload takes a kind of evidence for the end of its host.
func (s *State) accepts(workload string, kind EvidenceKind) bool {
	return kind != LeaseExpired || s.Inventory.Workloads[workload].Evidence != plans.EvidenceFenced
}

// foldReleased ends a quarantine before its time.
func (s *State) foldReleased(entry Entry, e HostReleased) error {
	host, ok := s.Hosts.Get(e.Host)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "there is no host %s", e.Host)
	case entry.Reason == "":
		return refuse(CodeInvalid, "a release needs a reason").with("--reason TEXT")
	case !host.Quarantined(s.At):
		return refuse(CodeState, "host %s is not quarantined", e.Host)
	}
	host.Quarantine, host.Losses = time.Time{}, nil
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// Quarantined says that the host takes no workload at a moment of log time.
func (h Host) Quarantined(at time.Time) bool { return at.Before(h.Quarantine) }

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
	if s.Recovery != nil {
		return s.recovering()
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
