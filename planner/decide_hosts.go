package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// joins answers agents that ask to join: first with an offer, then, when they have said what runs, by taking them in.
func (d *decision) joins() {
	for _, a := range d.v.asking() {
		host, known := d.s.Hosts.Get(a.Host)
		switch {
		case !known || !d.v.heard(a.Host, a.Inc, d.now): // a late message of an incarnation that is no more
		case host.Inc == a.Inc && host.Phase == Active && a.Ask <= host.Ask: // taken in, and it has not heard of it
			d.assign(a.Host)
		case !d.mayJoin(host, a):
		case host.Offer == nil || host.Offer.Inc != a.Inc || host.Offer.Ask != a.Ask:
			d.propose("offer/"+a.Host, 0, "", JoinOffered{Host: a.Host, Inc: a.Inc, Ask: a.Ask})
		case host.Offer.Nonce != a.Nonce:
			d.out = append(d.out, Intent{Key: "offer/" + a.Host, Offer: &wire.Offer{
				V: wire.Version, Host: a.Host, Inc: a.Inc, Ask: a.Ask, Nonce: host.Offer.Nonce, Terms: host.Offer.Terms,
			}})
		default:
			d.propose("join/"+a.Host, 0, "", joinedBy(host, a))
		}
	}
}

// mayJoin says that the last door would take an incarnation in, that the host is not about to lose its power, and that it is not a second machine of this name: one that
// was started anew takes over only when its former incarnation is silent.
func (d *decision) mayJoin(host Host, j wire.Join) bool {
	if slices.Contains(host.Past, j.Inc) || d.s.filesMissing() || host.Fence.Open() || d.s.toBeFenced(j.Host) {
		return false
	}
	e := joinedBy(host, j)
	if !host.mayBeSucceeded(e) {
		return false
	}
	successor := host.Phase != Active || host.Inc == j.Inc || host.Inc == e.Former
	return successor || !d.v.heard(j.Host, host.Inc, d.now)
}

// joinedBy is the event that takes an incarnation in. It proves its succession by what was held last, or by a join since then
// that was taken in without the agent having heard of it.
func joinedBy(host Host, j wire.Join) HostJoined {
	e := HostJoined{
		Host: j.Host, Boot: j.Boot, Inc: j.Inc, Version: j.Version, Journal: j.Journal, Nonce: j.Nonce, Former: j.Former, Last: j.Epoch,
		Keep: j.Keep,
	}
	if slices.Contains(j.Tried, lease.Try{Inc: host.Inc, Nonce: host.Nonce}) {
		e.Former, e.Last = host.Inc, host.Epoch
	}
	return e
}

// reports looks at the statuses that came: an agent that has not got its newest assignment gets it.
func (d *decision) reports() {
	for _, name := range sortedKeys(d.v.touched) {
		host, known := d.s.Hosts.Get(name)
		status := d.v.reports[name].status
		if known && host.Phase == Active && host.Inc == status.Inc && (status.Epoch != host.Epoch || status.Index < d.assignedAt(name, host)) {
			d.assign(name)
		}
		d.confirmLease(name, host, status)
	}
}

// confirmLease lets the log forget older lease voters: the agent says that a majority of newer ones has renewed its lease.
func (d *decision) confirmLease(name string, host Host, status wire.Status) {
	held := known(status, host) && status.Lease.Held && host.Phase == Active
	if held && len(d.s.votersSince(host.LeaseSince)) > len(d.s.votersSince(max(host.Epoch, status.Lease.Voters))) {
		d.propose("confirm/"+name, 0, "", LeaseConfirmed{Host: name, Epoch: host.Epoch, Voters: status.Lease.Voters})
	}
}

// known says that a status is of a host's present epoch.
func known(status wire.Status, host Host) bool {
	return status.Inc == host.Inc && status.Epoch == host.Epoch
}

// assignedAt is the index from which on an assignment of a host is the newest: the log changed nothing of it since.
func (d *decision) assignedAt(name string, host Host) uint64 {
	return max(host.Epoch, d.s.Revision, d.m.granted[name], d.s.LeaseVoters().Index)
}

func (d *decision) assign(name string) {
	host, _ := d.s.Hosts.Get(name)
	a := &wire.Assignment{
		V: wire.Version, Host: name, Inc: host.Inc, Epoch: host.Epoch, Nonce: host.Nonce, Index: d.s.Index,
		Terms: host.Lease, Voters: d.s.LeaseVoters(), Rejoin: host.Lease != d.s.Inventory.Hosts[name].Lease,
		Keep: []wire.Kept{}, Watch: []wire.Watched{}, Interval: d.s.Inventory.Cluster.Heartbeat.Interval,
	}
	for _, workload := range sortedKeys(d.s.Inventory.Workloads) {
		spec := d.s.Inventory.Workloads[workload]
		if w, _ := d.s.Workloads.Get(workload); w.Owner == name {
			a.Keep = append(a.Keep, wire.Kept{Workload: workload, Token: w.Token})
		}
		if slices.Contains(spec.Hosts, name) {
			a.Watch = append(a.Watch, wire.Watched{
				Target: targetOf(workload, spec), Ready: d.s.readyOn(spec, workload, name), Exclusive: spec.Exclusive,
			})
		}
	}
	d.out = append(d.out, Intent{Key: "assign/" + name, Assign: a})
}

// losses proposes HostLost for the active hosts that a majority of the configured monitors does not hear. When that would
// leave nobody who is heard in time, it is our own hearing that is lost, and nothing is proposed.
func (d *decision) losses() {
	var lost []HostLost
	for i := range d.v.targets {
		t := &d.v.targets[i]
		if d.now.Watch < t.lost {
			continue
		}
		host, known := d.s.Hosts.Get(t.name)
		young := d.now.Log.Sub(host.Since) < d.v.heart.LostAfter+digestFresh
		if !known || host.Phase != Active || young || host.Silence.Holds(d.now.Log) || d.succeeded(t.name, host) {
			continue
		}
		witnesses := d.v.witnesses(t.name, host.Inc, d.now)
		if len(witnesses) < d.v.majority() {
			continue
		}
		age := witnesses[0].Age
		for _, w := range witnesses {
			age = min(age, w.Age)
		}
		lost = append(lost, HostLost{Host: t.name, Inc: host.Inc, Epoch: host.Epoch, Witnesses: witnesses, Age: age})
	}
	if len(lost) == 0 || !d.hearsSomebody() {
		return
	}
	for _, e := range lost {
		reason := fmt.Sprintf("silent for %s, say %d of %d monitors", e.Age.Round(time.Millisecond), len(e.Witnesses), len(d.v.monitors))
		d.propose("lost/"+e.Host, 0, reason, e)
	}
}

// succeeded says that an incarnation that may take the host over asks to: that is a sign of life, too.
func (d *decision) succeeded(name string, host Host) bool {
	return slices.ContainsFunc(d.v.asking(), func(j wire.Join) bool { return j.Host == name && d.mayJoin(host, j) })
}

// hearsSomebody says that at least one active host is not even late. When all fall silent at once, some are lost a little
// earlier than others, but all are late by then.
func (d *decision) hearsSomebody() bool {
	return slices.ContainsFunc(d.v.targets, func(t target) bool {
		return d.now.Watch < t.late && d.s.phaseOf(t.name) == Active
	})
}

// revoked brings in the evidence that hosts whose epoch is revoked run nothing, or takes the revocation back when the host
// is heard again.
func (d *decision) revoked() {
	for _, name := range d.m.silent {
		host, _ := d.s.Hosts.Get(name)
		d.closeFencing(name, host)
		expired := HostExpired{Host: name, Epoch: host.Epoch, Revocation: host.Revocation}
		reports := d.v.reportsOf(name, host)
		switch {
		case host.Fence != nil && host.Fence.Outcome == wire.Done && d.betters(name, host, Fenced):
			expired.Evidence = Fenced
			reason := fmt.Sprintf("seen off by %s through %s", host.Fence.Monitor, host.Fence.Device)
			d.propose("expire/"+name, host.Revocation, reason, expired)
		case host.Phase != Revoking:
		case d.enough(host, reports):
			expired.Evidence, expired.Reports = LeaseExpired, reports
			reason := fmt.Sprintf("not renewed by %s for %s: %s", andAll(MonitorNames(reports)), host.Lease.Takeover(), host.Lease.Sum())
			d.propose("expire/"+name, host.Revocation, reason, expired)
		case d.backAgain(name, host):
			d.propose("back/"+name, host.Revocation, "heard again by a majority of the monitors",
				HostReinstated{Host: name, Epoch: host.Epoch, Revocation: host.Revocation})
		}
	}
}

// betters says that evidence of a kind would change something.
func (d *decision) betters(name string, host Host, kind EvidenceKind) bool {
	return host.Phase == Revoking || host.Evidence.Kind == LeaseExpired && kind != LeaseExpired || len(d.s.ownedBy(name)) > 0
}

// enough says that reports come from a majority of every set of voters that may have renewed the host's lease.
func (d *decision) enough(host Host, reports []string) bool {
	if host.Unproven && d.s.filesMissing() {
		return false
	}
	return len(reports) > 0 && !slices.ContainsFunc(d.s.votersSince(host.LeaseSince), func(v lease.Voters) bool { return !majorityOf(v, reports) })
}

// backAgain says that a revocation may be taken back: the host is heard again, and it is not being fenced.
func (d *decision) backAgain(name string, host Host) bool {
	if host.Unproven || d.s.toBeFenced(name) || host.Fence != nil && host.Fence.mayBeOff() {
		return false
	}
	return d.v.heard(name, host.Inc, d.now) && d.v.hearers(name, d.now) >= d.v.majority()
}

// twice notes exclusive workloads that agents report running on several hosts, and those that do so no more.
func (d *decision) twice() {
	for _, name := range d.m.twice {
		if hosts := d.v.runners(d.s, name); len(hosts) < 2 {
			d.propose("twice/"+name, 0, "", WorkloadSeenOnce{Workload: name})
		}
	}
	for _, name := range sortedKeys(d.v.double) {
		if d.now.Watch-d.v.double[name] < twiceAfter || !d.s.Inventory.Workloads[name].Exclusive {
			continue
		}
		w, _ := d.s.Workloads.Get(name)
		if hosts := d.v.runners(d.s, name); len(hosts) > 1 && !slices.Equal(hosts, w.Twice) {
			d.propose("twice/"+name, 0, "agents of "+andAll(hosts)+" report it running", WorkloadSeenTwice{Workload: name, Hosts: hosts})
		}
	}
}
