package console

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

func TestHostWord(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	expired := func(kind planner.EvidenceKind) planner.Host {
		return planner.Host{Phase: planner.Expired, Evidence: &planner.Evidence{Kind: kind}}
	}
	wanted := planner.Host{Phase: planner.Active, Silence: &planner.Silence{Until: at.Add(time.Minute)}}
	over := planner.Host{Phase: planner.Active, Silence: &planner.Silence{Until: at}}
	fencing := planner.Host{Phase: planner.Revoking, Fence: &planner.Fencing{Attempt: 1}}
	for _, test := range []struct {
		host  planner.Host
		heard planner.Heart
		heart planner.Heart
		word  HostWord
		proof string
	}{
		{planner.Host{Phase: planner.Unseen}, "", planner.HeartUnseen, HostUnseen, "none"},
		{planner.Host{Phase: planner.Unseen}, planner.HeartAlive, planner.HeartAlive, HostUnseen, "none"},
		{planner.Host{Phase: planner.Active}, planner.HeartAlive, planner.HeartAlive, HostAlive, "none"},
		{planner.Host{Phase: planner.Active}, planner.HeartSuspect, planner.HeartSuspect, HostSuspect, "none"},
		{planner.Host{Phase: planner.Active}, planner.HeartLost, planner.HeartSuspect, HostSuspect, "none"},
		{planner.Host{Phase: planner.Active}, planner.HeartUnknown, planner.HeartUnknown, HostUnknown, "none"},
		{planner.Host{Phase: planner.Active}, planner.HeartUnseen, planner.HeartUnknown, HostUnknown, "none"},
		{wanted, planner.HeartAlive, planner.HeartAlive, HostAlive, "none"},
		{wanted, planner.HeartSuspect, planner.HeartSuspect, HostSilent, "none"},
		{wanted, planner.HeartLost, planner.HeartSuspect, HostSilent, "none"},
		{wanted, planner.HeartUnknown, planner.HeartUnknown, HostUnknown, "none"},
		{over, planner.HeartLost, planner.HeartSuspect, HostSuspect, "none"},
		{planner.Host{Phase: planner.Revoking}, planner.HeartLost, planner.HeartLost, HostLost, "none"},
		{planner.Host{Phase: planner.Revoking}, planner.HeartUnknown, planner.HeartLost, HostLost, "none"},
		{planner.Host{Phase: planner.Revoking}, planner.HeartAlive, planner.HeartAlive, HostReturning, "none"},
		{fencing, planner.HeartLost, planner.HeartLost, HostFencing, "fencing"},
		{fencing, planner.HeartAlive, planner.HeartAlive, HostFencing, "fencing"},
		{expired(planner.Fenced), planner.HeartLost, planner.HeartLost, HostFenced, "fenced"},
		{expired(planner.LeaseExpired), planner.HeartLost, planner.HeartLost, HostExpired, "lease-expired"},
		{expired(planner.Confirmed), planner.HeartLost, planner.HeartLost, HostConfirmed, "confirmed"},
		{expired(planner.Confirmed), planner.HeartAlive, planner.HeartAlive, HostReturning, "confirmed"},
	} {
		h := heart(test.host, planner.HostPicture{Heart: test.heard})
		if w := word(test.host, h, at); h != test.heart || w != test.word || proof(test.host) != test.proof {
			t.Errorf("%s, heard %q: %s, %s, %s; want %s, %s, %s", test.host.Phase, test.heard,
				h, w, proof(test.host), test.heart, test.word, test.proof)
		}
	}
}

func TestLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 4, 16, 233e6, time.UTC)
	named := map[string]bool{}
	for _, test := range []struct {
		event  planner.Event
		reason string
		want   string // name, subject, text
	}{
		{planner.ClusterFormed{Cluster: "0123456789abcdef"}, "", "cluster.formed cluster 01234567"},
		{planner.FilesApplied{}, "", "files.applied files revision #7, nothing was started"},
		{planner.PlanArmed{Plan: "p"}, "", "plan.armed p starts by itself from now on"},
		{planner.PlanDisarmed{Plan: "p"}, "", "plan.disarmed p does not start by itself any more"},
		{planner.HostJoined{Host: "h", Keep: []wire.Kept{{Workload: "db"}, {Workload: "api"}}}, "", "host.joined h keeps db api"},
		{planner.HostLost{Host: "h", Age: 3100 * time.Millisecond, Witnesses: []planner.Witness{{Monitor: "m1"}, {Monitor: "m2"}}}, "", "host.lost h not heard for 3.1s by m1 m2"},
		{planner.HostReinstated{Host: "h", Revocation: 5}, "", "host.reinstated h is heard again, nothing was moved: #5 is taken back"},
		{planner.HostExpired{Host: "h", Evidence: planner.Confirmed}, "unplugged", `host.expired h runs nothing any more, evidence: confirmed: "unplugged"`},
		{planner.HostExpired{Host: "h", Evidence: planner.Fenced}, "seen off by m1 through bmc", `host.expired h runs nothing any more, evidence: fenced: "seen off by m1 through bmc"`},
		{
			planner.ClusterRecovered{From: 41, Source: "the log of m1-00"},
			"",
			"cluster.recovered cluster was recovered from the log of m1-00, which went up to #41: every host has to prove what it runs",
		},
		{planner.MonitorsChanged{Monitors: []string{"m1", "m2", "m3"}}, "", "monitors.changed cluster leases are renewed by m1 m2 m3 from now on"},
		{planner.JoinOffered{Host: "h", Inc: 0xabc}, "", "join.offered h its agent 0000000000000abc may join"},
		{planner.LeaseConfirmed{Host: "h", Epoch: 5, Voters: 9}, "", "lease.confirmed h holds its lease by the monitors in force"},
		{planner.HostRevoked{Host: "h", Epoch: 5}, "to be fenced by R-0002: it hangs", `host.revoked h has no authority any more under #5: "to be fenced by R-0002: it hangs"`},
		{planner.HostReleased{Host: "h"}, "new cable", `host.released h takes workloads again: "new cable"`},
		{planner.FenceStarted{Host: "h", Monitor: "m1", Attempt: 2, Within: time.Minute}, "", "fence.started h is being fenced by m1, attempt 2, within 1m0s"},
		{planner.FenceFinished{Host: "h", Monitor: "m1", Attempt: 1, Outcome: wire.Done, Device: "bmc", Took: 2 * time.Second}, "", "fence.finished h was seen off by m1 through bmc in 2.0s, attempt 1"},
		{planner.FenceFinished{Host: "h", Monitor: "m2", Attempt: 2, Outcome: wire.Failed}, "no answer", `fence.finished h was not fenced by m2, attempt 2: failed: "no answer"`},
		{planner.FenceFinished{Host: "h", Monitor: "m2", Attempt: 3, Outcome: wire.Unknown}, "", "fence.finished h nobody knows whether m2 fenced it, attempt 3"},
		{planner.FencesTested{Tests: []planner.FenceTest{{Host: "h", Device: "bmc", OK: true}}}, "", "fences.tested fence 1 device tested, all answer"},
		{planner.FencesTested{Tests: []planner.FenceTest{{Host: "h", Device: "bmc", OK: true}, {Host: "i", Device: "psu", Reason: "timeout"}}}, "", "fences.tested fence 2 devices tested, these do not answer: psu of i (timeout)"},
		{planner.SilenceWanted{Host: "h", Until: at.Add(time.Hour)}, "kernel", `silence.wanted h may be silent until 13:04:16Z: "kernel"`},
		{planner.SilenceEnded{Workload: "db"}, "", "silence.ended db may not be silent any more"},
		{planner.WorkloadSeenTwice{Workload: "db", Hosts: []string{"h", "i"}}, "", "workload.seen_twice db runs on h and i at once: nothing of it is granted"},
		{planner.WorkloadSeenOnce{Workload: "db"}, "", "workload.seen_once db does not run twice any more"},
		{planner.WorkloadAdopted{Workload: "db", Host: "h"}, "", "workload.adopted db was found running on h and is adopted there"},
		{planner.RunStarted{Kind: planner.RunHomeless, Steps: make([]planner.Step, 2)}, "", "run.started R-0003 workloads that should run, where they were last, 2 steps"},
		{planner.RunStarted{Kind: planner.RunStop, Steps: make([]planner.Step, 1)}, "", "run.started R-0003 stop, 1 step"},
		{planner.StepStarted{Run: 3, Step: "up/db", Host: "h", Attempt: 2, Within: time.Minute}, "", "step.started R-0003/up/db on h, attempt 2, within 1m0s"},
		{planner.StepStarted{Run: 3, Step: "up/db", Host: "h", Attempt: 1, Why: []planner.Input{{Name: "i", Value: "is lost"}, {Name: planner.InputEvidence, Value: "fenced (#22) by m1"}}}, "", "step.started R-0003/up/db on h; evidence: fenced (#22) by m1"},
		{planner.StepFinished{Run: 3, Step: "up/db", Outcome: wire.Failed, Took: 2 * time.Second}, "exit status 1", "step.finished R-0003/up/db failed in 2.0s: exit status 1"},
		{planner.StepFinished{Run: 3, Step: "up/db", Outcome: wire.Done, Already: true}, "", "step.finished R-0003/up/db nothing to do"},
		{planner.StepReset{Run: 3, Step: "up/db"}, "", "step.reset R-0003/up/db its host is lost: it is placed anew"},
		{planner.StepRetried{Run: 3, Step: "up/db"}, "", "step.retried R-0003/up/db may begin again"},
		{planner.StepSkipped{Run: 3, Step: "up/db"}, "by hand", `step.skipped R-0003/up/db is skipped: the run goes on without it: "by hand"`},
		{planner.RunAborted{Run: 3}, "", "run.aborted R-0003 is aborted: nothing more of it begins"},
		{planner.RunEnded{Run: 3, Outcome: planner.RunSucceeded}, "", "run.ended R-0003 succeeded"},
		{planner.UserSet{User: "ann", Grants: []planner.Grant{{Role: planner.Operator, Sites: []string{"ams"}}}, Groups: []string{"dba"}}, "", "user.set ann is a user: operator:site=ams, group dba"},
		{planner.UserRemoved{User: "ann"}, "", "user.removed ann is no user any more"},
		{planner.GroupSet{Group: "dba"}, "", "group.set dba is a group: without any role"},
		{planner.GroupRemoved{Group: "dba"}, "", "group.removed dba is no group any more"},
		{planner.TokenMade{User: "ann", ID: "00112233", Expires: at}, "", "token.made ann has a token 00112233 until " + moment(at, at)},
		{planner.TokenRevoked{User: "ann", ID: "00112233"}, "", "token.revoked ann has no token 00112233 any more"},
		{planner.HostInvited{Host: "h", Expires: at}, "", "host.invited h its agent may enrol until " + moment(at, at)},
		{planner.HostEnrolled{Host: "h", SPKI: "0123456789ab"}, "", "host.enrolled h its agent is enrolled, key 01234567"},
		{planner.HostBarred{Host: "h"}, "", "host.barred h its agent is cut off until it enrols anew"},
	} {
		line := Line(planner.Logged{Index: 7, Run: 3, Entry: planner.Entry{At: at, By: "m1", Reason: test.reason, Event: test.event}})
		if got := line.Name + " " + line.Subject + " " + line.Text; got != test.want {
			t.Errorf("Line = %s\nwant   %s", got, test.want)
		}
		named[test.event.Name()] = true
	}
	goldens, err := filepath.Glob("../planner/testdata/events/*.json") // one for each kind of event
	if err != nil || len(goldens) == 0 {
		t.Fatalf("%d kinds of event, %v", len(goldens), err)
	}
	for _, path := range goldens {
		if name := strings.TrimSuffix(filepath.Base(path), ".json"); !named[name] {
			t.Errorf("the line of %s is not tested", name)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "never", 0: "0.0s", 240 * time.Millisecond: "0.2s", 41 * time.Second: "41s", 192 * time.Second: "3m12s",
		90 * time.Minute: "1h30m", 148 * time.Hour: "6d4h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestParseRun(t *testing.T) {
	for text, want := range map[string]struct {
		id   uint64
		step string
	}{"R-0142": {142, ""}, "r-1": {1, ""}, "7": {7, ""}, "R-0142/up/db": {142, "up/db"}} {
		if id, step, err := ParseRun(text); err != nil || id != want.id || step != want.step {
			t.Errorf("ParseRun(%q) = %d, %q, %v; want %d, %q", text, id, step, err, want.id, want.step)
		}
	}
	for _, text := range []string{"", "R-", "R-0", "run", "-1"} {
		if _, _, err := ParseRun(text); err == nil {
			t.Errorf("ParseRun(%q) is no error", text)
		}
	}
}

func TestExits(t *testing.T) {
	last := Exit(-1)
	for _, line := range Exits() {
		if line.Code <= last || line.Meaning == "" {
			t.Errorf("code %d comes after %d with meaning %q", line.Code, last, line.Meaning)
		}
		last = line.Code
	}
}
