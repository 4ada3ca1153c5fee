package planner

import (
	"slices"

	"github.com/holter-ha/holter/wire"
)

// maxPast is how many replaced incarnations of a host are remembered.
const maxPast = 8

// foldOffered lets an incarnation join, under the terms that the inventory has now. A former offer is void.
func (s *State) foldOffered(index uint64, e JoinOffered) error {
	host, ok := s.Hosts.Get(e.Host)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "host %s is not in the inventory", e.Host)
	case s.filesMissing():
		return s.recovering()
	case e.Inc == 0 || slices.Contains(host.Past, e.Inc):
		return refuse(CodeStale, "this incarnation of %s was replaced by a newer one", e.Host)
	}
	host.Offer = &JoinOffer{Nonce: index, Inc: e.Inc, Ask: e.Ask, Terms: s.Inventory.Hosts[e.Host].Lease}
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// foldJoined takes an incarnation of a host in. What the host owned and does not keep is free: the agent proved it gone
// before it asked to join. What it keeps stays with it by name, whatever the token: it may run under an older one, until the
// Assignment says that it has none. With another journal (lost, or another machine's under this name) it could not prove anything.
func (s *State) foldJoined(index uint64, entry Entry, e HostJoined) error {
	host, ok := s.Hosts.Get(e.Host)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "host %s is not in the inventory", e.Host)
	case slices.Contains(host.Past, e.Inc):
		return refuse(CodeStale, "this incarnation of %s was replaced by a newer one", e.Host)
	case host.Offer == nil || host.Offer.Nonce != e.Nonce || host.Offer.Inc != e.Inc:
		return refuse(CodeStale, "this join of %s does not answer the newest offer", e.Host)
	case !host.mayBeSucceeded(e):
		return refuse(CodeOwned, "another incarnation of %s may still run what it owns", e.Host)
	}
	gone := Evidence{
		Kind: Stopped, Host: e.Host, Index: index, At: s.At, By: entry.By,
		Reason: "its agent has joined anew and proved it gone",
	}
	for _, name := range s.ownedBy(e.Host) {
		w, _ := s.Workloads.Get(name)
		kept := slices.ContainsFunc(e.Keep, func(k wire.Kept) bool { return k.Workload == name })
		if kept || host.Journal != e.Journal {
			w.Epoch = index
		} else {
			w = w.freed(gone)
		}
		s.Workloads = s.Workloads.With(name, w)
	}
	s.believe(index, host, e)
	since := index
	if host.Phase == Active || host.Phase == Revoking { // what is left of the lease goes over
		since = host.LeaseSince
	}
	past := host.Past
	if host.Inc != 0 && host.Inc != e.Inc {
		past = append([]uint64{host.Inc}, past[:min(len(past), maxPast-1)]...)
	}
	s.Hosts = s.Hosts.With(e.Host, Host{
		Phase: Active, Epoch: index, Boot: e.Boot, Inc: e.Inc, Past: past, Version: e.Version, Journal: e.Journal,
		Nonce: e.Nonce, Ask: host.Offer.Ask, Lease: host.Offer.Terms, LeaseSince: since, Since: s.At,
		Silence: host.Silence, Losses: host.Losses, Quarantine: host.Quarantine,
		Acted: host.Acted, Damping: host.Damping, Tests: host.Tests,
	})
	s.settle()
	return nil
}

// foldConfirmed takes in that a host's lease stands on a set of voters, and on no older one.
func (s *State) foldConfirmed(e LeaseConfirmed) error {
	host, ok := s.Hosts.Get(e.Host)
	since := max(e.Epoch, e.Voters)
	if !ok || host.Phase != Active || host.Epoch != e.Epoch || host.LeaseSince >= since {
		return refuse(CodeStale, "that the lease of %s stands since #%d is nothing new", e.Host, since)
	}
	host.LeaseSince = since
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// mayBeSucceeded says that an incarnation can take the host over now: nobody holds it, it is the same agent, the successor
// on the same running machine, or the same machine started anew. The last is an agent's word that its disk was not copied,
// which is enough only where nobody else's life hangs on the lease.
func (h Host) mayBeSucceeded(e HostJoined) bool {
	switch {
	case h.Unproven:
		return !h.Lease.Fences() // its agent's word is all there is; where the lease counts, it counts first
	case h.Phase == Unseen, h.Phase == Expired, h.Inc == e.Inc:
		return true
	case h.Inc == e.Former && h.Epoch == e.Last:
		return true
	}
	return !h.Lease.Fences() && h.Journal == e.Journal && h.Boot != e.Boot
}
