package planner

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// Between two attempts to fence a host.
const (
	refenceFirst = 10 * time.Second
	refenceMost  = 5 * time.Minute
)

// fence sees to it that a host whose fence step has begun is fenced: attempt after attempt, each by the next monitor, for as
// long as the step waits. A host without devices is left to other evidence.
func (d *decision) fence(run *Run, st *Step) {
	host, _ := d.s.Hosts.Get(st.Host)
	levels := d.s.Inventory.Hosts[st.Host].Fence
	switch {
	case run.State == RunAborting:
		return
	case run.Kind == RunFence && host.Phase == Active:
		d.propose("revoke/"+st.Host, run.Cause, "to be fenced by "+RunID(run.ID)+": "+run.Reason, HostRevoked{Host: st.Host, Inc: host.Inc, Epoch: host.Epoch})
		return
	case len(levels) == 0 || host.Phase != Revoking && host.Phase != Expired || host.Fence.Open():
		return
	case host.Fence != nil && (host.Fence.Outcome == wire.Done || d.now.Log.Before(host.Fence.again())):
		return
	}
	attempt := host.attempts() + 1
	d.propose("fence/"+st.Host, host.Revocation, "", FenceStarted{
		Host: st.Host, Revocation: host.Revocation, Attempt: attempt, Monitor: d.fencer(attempt), Within: fenceTime(levels),
	})
}

// again is when the next attempt begins.
func (f *Fencing) again() time.Time {
	delay := refenceFirst
	for range f.Attempt - 1 {
		delay = min(2*delay, refenceMost)
	}
	return f.Ended.Add(delay)
}

// fencer elects who carries an attempt out: the leader first, then the others that can be heard, for its own path to the
// device may be what is broken.
func (d *decision) fencer(attempt int) string {
	able := []string{d.v.self}
	for _, name := range d.v.monitors {
		if name != d.v.self && d.v.fresh(name, d.now) {
			able = append(able, name)
		}
	}
	return able[(attempt-1)%len(able)]
}

// fenceTime is how long one attempt over all devices may take.
func fenceTime(levels []plans.FenceLevel) time.Duration {
	limit := answerSlop
	for _, level := range levels {
		var longest, sum time.Duration
		for _, device := range level.Devices {
			took := device.Timeout * time.Duration(max(device.Attempts, 1))
			longest, sum = max(longest, took), sum+took
		}
		if level.OneByOne {
			limit += sum
		} else {
			limit += longest
		}
	}
	return limit
}

// closeFencing takes in what came of an open attempt, or gives it up when its time is over.
func (d *decision) closeFencing(name string, host Host) {
	if !host.Fence.Open() {
		return
	}
	f := host.Fence
	e := FenceFinished{Host: name, Revocation: host.Revocation, Attempt: f.Attempt, Monitor: f.Monitor}
	said, heard := d.v.fenced[name]
	heard = heard && said.Monitor == f.Monitor && said.Revocation == host.Revocation && said.Attempt == f.Attempt
	switch {
	case heard:
		e.Outcome, e.Device, e.Took = said.Outcome, said.Device, said.Took
		d.propose("fence/"+name, host.Revocation, said.Reason, e)
	case !d.now.Log.Before(f.Begun.Add(f.Within + answerSlop)):
		e.Outcome = wire.Unknown
		d.propose("fence/"+name, host.Revocation, fmt.Sprintf("no word from %s in %s", f.Monitor, f.Within+answerSlop), e)
	}
}

// NewFence makes the run that fences a host, whether it beats or not.
func NewFence(s *State, name string) (RunStarted, error) {
	host, ok := s.Hosts.Get(name)
	if !ok {
		return RunStarted{}, refuse(CodeNoSuch, "there is no host %q; nothing was changed", name).with("holter hosts")
	}
	step := defaultStep
	run := RunStarted{
		Kind: RunFence, Hosts: []string{name}, Losses: []uint64{host.Revocation}, Why: []Input{},
		Steps: []Step{{
			ID: "fence/" + name, Plan: "fence", Kind: plans.StepFence, Host: name, After: []string{},
			Within: fenceLimit, OnFailure: step.OnFailure,
		}},
	}
	if host.seenOff() {
		return run, refuse(CodeNothing, "%s is off, that is known already (%s)", name, host.Evidence.Kind)
	}
	return run, s.checkFence(run)
}

// andAll joins names for people.
func andAll(names []string) string {
	text := ""
	for i, name := range slices.All(names) {
		switch {
		case i == 0:
		case i == len(names)-1:
			text += " and "
		default:
			text += ", "
		}
		text += name
	}
	return text
}
