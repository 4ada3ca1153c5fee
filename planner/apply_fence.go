package planner

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// maxFenceTests bounds one FencesTested.
const maxFenceTests = 1000

// foldFenceStarted gives the fencing of a host to a monitor. One attempt is open at a time, and only while a run wants it.
func (s *State) foldFenceStarted(e FenceStarted) error {
	host, ok := s.Hosts.Get(e.Host)
	switch {
	case !ok:
		return refuse(CodeNoSuch, "there is no host %s", e.Host)
	case host.Revocation != e.Revocation || host.Phase != Revoking && host.Phase != Expired:
		return refuse(CodeStale, "host %s is not revoked by #%d any more", e.Host, e.Revocation)
	case len(s.Inventory.Hosts[e.Host].Fence) == 0:
		return refuse(CodeInvalid, "host %s has no fence device", e.Host)
	case !s.fenceWanted(e.Host):
		return refuse(CodeState, "no run wants %s fenced", e.Host)
	case e.Monitor == "" || e.Within <= 0:
		return refuse(CodeInvalid, "a fence attempt needs a monitor and a limit")
	}
	last := host.attempts()
	if host.Fence.Open() || e.Attempt != last+1 {
		return refuse(CodeStale, "attempt %d to fence %s cannot begin: attempt %d is the last", e.Attempt, e.Host, last)
	}
	if host.Fence != nil && host.Fence.Outcome == wire.Done {
		return refuse(CodeStale, "host %s was fenced", e.Host)
	}
	host.Fence = &Fencing{Attempt: e.Attempt, Monitor: e.Monitor, Begun: s.At, Within: e.Within}
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// foldFenceFinished takes what came of the open attempt.
func (s *State) foldFenceFinished(entry Entry, e FenceFinished) error {
	host, ok := s.Hosts.Get(e.Host)
	if !ok || host.Revocation != e.Revocation || !host.Fence.Open() || host.Fence.Attempt != e.Attempt || host.Fence.Monitor != e.Monitor {
		return refuse(CodeStale, "attempt %d of %s to fence %s is not under way", e.Attempt, e.Monitor, e.Host)
	}
	switch e.Outcome {
	case wire.Done, wire.Failed, wire.Unknown:
	default:
		return refuse(CodeInvalid, "outcome %q is not known", e.Outcome)
	}
	ended := *host.Fence
	ended.Ended, ended.Outcome, ended.Device, ended.Reason = s.At, e.Outcome, e.Device, entry.Reason
	host.Fence = &ended
	s.Hosts = s.Hosts.With(e.Host, host)
	return nil
}

// Of says that an attempt is under way and is this monitor's.
func (f *Fencing) Of(monitor string) bool { return f.Open() && f.Monitor == monitor }

// Open says that an attempt is under way.
func (f *Fencing) Open() bool { return f != nil && f.Outcome == "" }

func (f *Fencing) reason() string {
	if f == nil {
		return "not begun yet"
	}
	return f.Reason
}

// mayBeOff says that the host is off, or may be any moment.
func (f *Fencing) mayBeOff() bool { return f.Open() || f.Outcome == wire.Done }

// attempts is the number of the last attempt to fence a host under its present revocation.
func (h Host) attempts() int {
	if h.Fence == nil {
		return 0
	}
	return h.Fence.Attempt
}

// fenceWanted says that an open run has begun a fence step for a host.
func (s *State) fenceWanted(host string) bool {
	return s.hasStep(func(run *Run, st *Step) bool {
		return st.Kind == plans.StepFence && st.Host == host && st.State == StateStarted && run.State != RunAborting
	})
}

// toBeFenced says that an operator wants a host fenced, whether it beats or not.
func (s *State) toBeFenced(host string) bool {
	return s.hasStep(func(run *Run, st *Step) bool {
		return run.Kind == RunFence && st.Host == host && st.State == StateStarted && run.State != RunAborting
	})
}

func (s *State) hasStep(is func(*Run, *Step) bool) bool {
	for _, run := range s.Runs.All() {
		if run.Open() && slices.ContainsFunc(run.Steps, func(st Step) bool { return is(run, &st) }) {
			return true
		}
	}
	return false
}

// foldFencesTested keeps what came of the tests of fence devices.
func (s *State) foldFencesTested(e FencesTested) error {
	if len(e.Tests) == 0 || len(e.Tests) > maxFenceTests {
		return refuse(CodeInvalid, "a round of fence tests has 1 to %d of them, this one %d", maxFenceTests, len(e.Tests))
	}
	for _, test := range e.Tests {
		host, ok := s.Hosts.Get(test.Host)
		if !ok {
			continue // it has left the inventory since
		}
		tests := map[string]Tested{test.Device: {At: s.At, OK: test.OK, Reason: test.Reason}}
		for _, level := range s.Inventory.Hosts[test.Host].Fence {
			for _, device := range level.Devices {
				if former, known := host.Tests[device.Name]; known && device.Name != test.Device {
					tests[device.Name] = former
				}
			}
		}
		host.Tests = tests
		s.Hosts = s.Hosts.With(test.Host, host)
	}
	return nil
}

// MaxSilence bounds a wanted silence.
const MaxSilence = 7 * 24 * time.Hour

// foldSilenceWanted masks the silence of a host or a workload for a while.
func (s *State) foldSilenceWanted(entry Entry, e SilenceWanted) error {
	length := e.Until.Sub(s.At)
	switch {
	case entry.Reason == "":
		return refuse(CodeInvalid, "a wanted silence needs a reason").with("--reason TEXT")
	case length <= 0 || length > MaxSilence:
		return refuse(CodeInvalid, "a wanted silence ends within %s from now", MaxSilence)
	}
	return s.silence(e.Host, e.Workload, &Silence{Until: e.Until, By: entry.By, Reason: entry.Reason})
}

func (s *State) foldSilenceEnded(e SilenceEnded) error {
	host, _ := s.Hosts.Get(e.Host)
	w, _ := s.Workloads.Get(e.Workload)
	if !host.Silence.Holds(s.At) && !w.Silence.Holds(s.At) {
		return refuse(CodeState, "the silence of %s is not wanted anyway", e.Host+e.Workload)
	}
	return s.silence(e.Host, e.Workload, nil)
}

// silence sets the silence of a host or of a workload.
func (s *State) silence(hostName, workload string, silence *Silence) error {
	host, isHost := s.Hosts.Get(hostName)
	w, isWorkload := s.Workloads.Get(workload)
	switch {
	case isHost == isWorkload:
		return refuse(CodeNoSuch, "there is no host or workload %s", hostName+workload)
	case isHost:
		host.Silence = silence
		s.Hosts = s.Hosts.With(hostName, host)
	default:
		w.Silence = silence
		s.Workloads = s.Workloads.With(workload, w)
	}
	return nil
}

// Holds says that silence is wanted at a moment of log time.
func (w *Silence) Holds(at time.Time) bool { return w != nil && at.Before(w.Until) }

// foldSeenTwice notes that an exclusive workload runs on several hosts.
func (s *State) foldSeenTwice(e WorkloadSeenTwice) error {
	w, ok := s.Workloads.Get(e.Workload)
	switch {
	case !ok || !s.Inventory.Workloads[e.Workload].Exclusive:
		return refuse(CodeNoSuch, "there is no exclusive workload %s", e.Workload)
	case len(e.Hosts) < 2 || !slices.IsSorted(e.Hosts):
		return refuse(CodeInvalid, "a workload is seen twice on two hosts or more, sorted")
	case slices.Equal(e.Hosts, w.Twice):
		return refuse(CodeStale, "that %s runs on these hosts is known", e.Workload)
	}
	w.Twice = e.Hosts
	s.Workloads = s.Workloads.With(e.Workload, w)
	return nil
}

func (s *State) foldSeenOnce(e WorkloadSeenOnce) error {
	w, _ := s.Workloads.Get(e.Workload)
	if w.Twice == nil {
		return refuse(CodeStale, "workload %s is not known to run twice", e.Workload)
	}
	w.Twice = nil
	s.Workloads = s.Workloads.With(e.Workload, w)
	return nil
}
