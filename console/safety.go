package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

func evidenceItem(e *planner.Evidence) *EvidenceItem {
	if e == nil {
		return nil
	}
	return &EvidenceItem{Kind: string(e.Kind), Host: e.Host, Index: e.Index, At: Time{e.At}, By: e.By, Reason: e.Reason}
}

func silenceItem(look Look, s *planner.Silence) *SilenceItem {
	if !s.Holds(look.Now) {
		return nil
	}
	return &SilenceItem{Until: Time{s.Until}, By: s.By, Reason: s.Reason}
}

// heldBack says that a host would be lost if its silence were not wanted.
func heldBack(host planner.Host, heard planner.HostPicture, at time.Time) bool {
	return host.Phase == planner.Active && heard.Heart == planner.HeartLost && host.Silence.Holds(at)
}

// masked says that it is no alarm that a workload does not run: its silence is wanted, or its host's.
func masked(look Look, w WorkloadItem) bool {
	owner, _ := look.State.Hosts.Get(w.Owner)
	return w.Silence != nil || owner.Silence.Holds(look.Now)
}

// wantedItems lists the silences that are wanted now.
func wantedItems(look Look) []WantedItem {
	list := []WantedItem{}
	for _, host := range hostItems(look) {
		if host.Silence == nil {
			continue
		}
		item := WantedItem{Name: host.Name, Kind: "host", SilenceItem: *host.Silence}
		switch {
		case host.HeldBack:
			item.HeldBack = "it would be lost: not heard for " + Duration(time.Duration(host.AgeMs)*time.Millisecond)
		case host.Word == HostSilent:
			item.HeldBack = "it is late"
		}
		list = append(list, item)
	}
	for _, w := range workloadItems(look) {
		if w.Silence == nil {
			continue
		}
		item := WantedItem{Name: w.Name, Kind: "workload", SilenceItem: *w.Silence}
		if alarming(w) {
			item.HeldBack = "it is " + string(w.Word)
		}
		list = append(list, item)
	}
	return list
}

// addSafety says what stands between a host and running something twice: its lease and its fence devices.
func (item *HostItem) addSafety(look Look, host planner.Host, spec plans.Host, heard planner.HostPicture) {
	item.Lease = leaseItem(host, spec, heard)
	item.Fence = deviceItems(host, spec)
	if f := host.Fence; f != nil {
		item.Fencing = &FencingItem{
			Attempt: f.Attempt, Monitor: f.Monitor, Begun: Time{f.Begun}, Ended: Time{f.Ended},
			Outcome: string(f.Outcome), Device: f.Device, Reason: f.Reason,
		}
	}
	item.Twin, item.Anew, item.Silence = heard.Twin, heard.Anew, silenceItem(look, host.Silence)
	item.HeldBack = heldBack(host, heard, look.Now)
	item.Losses = len(slices.DeleteFunc(slices.Clone(host.Losses), func(at time.Time) bool { return look.Now.Sub(at) >= time.Hour }))
	if until := host.Acted.Add(host.Damping); host.Phase != planner.Active && len(host.Handled) == 0 && look.Now.Before(until) {
		item.Damped = Time{until}
	}
	if host.Quarantined(look.Now) {
		item.Quarantine = Time{host.Quarantine}
	}
}

func leaseItem(host planner.Host, spec plans.Host, heard planner.HostPicture) LeaseItem {
	terms := host.Lease
	if host.Phase == planner.Unseen {
		terms = spec.Lease
	}
	word := heard.Lease
	item := LeaseItem{
		SelfFence: string(cmp.Or(terms.Self, lease.None)), Held: word.Held, LeftMs: word.Left.Milliseconds(), Why: word.Why,
		Fenced: word.Fenced, FencedAgoMs: word.FencedAgo.Milliseconds(),
		Pending: host.Phase != planner.Unseen && host.Lease != spec.Lease,
	}
	if item.SelfFence == string(lease.None) {
		return item
	}
	item.TakeoverMs, item.Sum = terms.Takeover().Milliseconds(), terms.Sum()
	if host.Phase == planner.Revoking {
		// No monitor that has folded the revocation renews, and those that have not are a moment behind.
		item.OverBy = Time{host.Since.Add(terms.Takeover())}
	}
	return item
}

func deviceItems(host planner.Host, spec plans.Host) []DeviceItem {
	items := []DeviceItem{}
	for i, level := range spec.Fence {
		for _, device := range level.Devices {
			test := host.Tests[device.Name]
			items = append(items, DeviceItem{
				Name: device.Name, Agent: device.Agent, Level: i + 1, Tested: Time{test.At}, OK: test.OK, Reason: test.Reason,
			})
		}
	}
	return items
}
