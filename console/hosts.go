package console

import (
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// HostWord is the one word for a host that people see.
type HostWord string

// The words for a host.
const (
	HostUnseen    HostWord = "unseen"    // it never joined
	HostAlive     HostWord = "alive"     // it beats
	HostSuspect   HostWord = "suspect"   // it is late
	HostLost      HostWord = "lost"      // it is lost, and what it runs may still run
	HostFencing   HostWord = "fencing"   // its power is being taken away
	HostFenced    HostWord = "fenced"    // it was seen off
	HostExpired   HostWord = "expired"   // it is lost, and its lease is over: it has stopped what it ran
	HostConfirmed HostWord = "confirmed" // it is lost, and a person confirmed that it runs nothing
	HostSilent    HostWord = "silent"    // it is late or would be lost, but its silence is wanted
	HostReturning HostWord = "returning" // it was lost and beats again, but has not joined again
	HostUnknown   HostWord = "unknown"   // this monitor cannot judge it now
)

// The duties of a host, and the proofs beside the kinds of evidence.
const (
	dutyInService   = "in-service"
	dutyQuarantined = "quarantined"
	proofNone       = "none"
	proofFencing    = "fencing"
)

func duty(host planner.Host, at time.Time) string {
	if host.Quarantined(at) {
		return dutyQuarantined
	}
	return dutyInService
}

// heart is the first axis: what the log says, where it has spoken, else what this monitor hears.
func heart(host planner.Host, heard planner.HostPicture) planner.Heart {
	lost := host.Phase == planner.Revoking || host.Phase == planner.Expired
	switch {
	case lost && heard.Heart != planner.HeartAlive:
		return planner.HeartLost
	case lost:
		return planner.HeartAlive
	case host.Phase == planner.Active && (heard.Heart == "" || heard.Heart == planner.HeartUnseen):
		return planner.HeartUnknown
	case host.Phase == planner.Active && heard.Heart == planner.HeartLost:
		return planner.HeartSuspect // the log has not said so yet
	case heard.Heart == "":
		return planner.HeartUnseen
	}
	return heard.Heart
}

// proof is the third axis: how it is known that a lost host runs nothing.
func proof(host planner.Host) string {
	if host.Fence.Open() {
		return proofFencing
	}
	if host.Phase != planner.Expired || host.Evidence == nil {
		return proofNone
	}
	return string(host.Evidence.Kind)
}

// word is the one word for the axes of a host at a moment of log time.
func word(host planner.Host, heart planner.Heart, at time.Time) HostWord {
	switch host.Phase {
	case planner.Unseen:
		return HostUnseen
	case planner.Revoking, planner.Expired:
		return lostWord(host, heart)
	case planner.Active:
	}
	switch heart {
	case planner.HeartAlive:
		return HostAlive
	case planner.HeartSuspect, planner.HeartLost:
		if host.Silence.Holds(at) {
			return HostSilent
		}
		return HostSuspect
	case planner.HeartUnseen, planner.HeartUnknown:
	}
	return HostUnknown
}

func lostWord(host planner.Host, heart planner.Heart) HostWord {
	switch {
	case host.Fence.Open():
		return HostFencing
	case heart == planner.HeartAlive:
		return HostReturning
	case host.Phase == planner.Revoking || host.Evidence == nil:
		return HostLost
	}
	switch host.Evidence.Kind {
	case planner.Fenced:
		return HostFenced
	case planner.LeaseExpired:
		return HostExpired
	case planner.Confirmed, planner.Stopped:
	}
	return HostConfirmed
}

// hostItems lists the hosts by name.
func hostItems(look Look) []HostItem {
	items := make([]HostItem, 0, look.State.Hosts.Len())
	placed := placedItems(look)
	for name, host := range look.State.Hosts.All() {
		items = append(items, hostItem(look, name, host, placed[name]))
	}
	return items
}

func hostItem(look Look, name string, host planner.Host, placed []PlacedItem) HostItem {
	spec := inventory(look).Hosts[name]
	heard, ok := look.Picture.Hosts[name]
	if !ok {
		heard.Age = -1
	}
	h := heart(host, heard)
	item := HostItem{
		Name: name, Site: spec.Site, Address: spec.Address, Labels: spec.Labels,
		Word: word(host, h, look.Now), Heart: string(h), Duty: duty(host, look.Now), Proof: proof(host),
		AgeMs: ageMs(heard.Age), LostAfterMs: heard.LostAfter.Milliseconds(), LostBy: some(heard.LostBy),
		Epoch: host.Epoch, Version: host.Version, Since: Time{host.Since}, Workloads: some(placed),
	}
	item.Evidence = evidenceItem(host.Evidence)
	item.addSafety(look, host, spec, heard)
	return item
}

// placedItems lists the workloads of each host: what it owns, and what was found on it.
func placedItems(look Look) map[string][]PlacedItem {
	placed := map[string][]PlacedItem{}
	for _, w := range workloadItems(look) {
		if w.Owner != "" {
			placed[w.Owner] = append(placed[w.Owner], PlacedItem{w.Name, w.Word, w.Exclusive})
		}
		for _, host := range runsOn(w) {
			if host != w.Owner {
				placed[host] = append(placed[host], PlacedItem{w.Name, w.Word, w.Exclusive})
			}
		}
	}
	return placed
}

// inventory is the one in force, or an empty one.
func inventory(look Look) *plans.Inventory {
	if look.State.Inventory == nil {
		return &plans.Inventory{}
	}
	return look.State.Inventory
}
