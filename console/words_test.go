package console

import (
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

func TestHostWord(t *testing.T) {
	confirmed := &planner.Evidence{Kind: planner.Confirmed}
	assumed := &planner.Evidence{Kind: planner.Assumed}
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
		{planner.Host{Phase: planner.Revoking}, planner.HeartLost, planner.HeartLost, HostLost, "none"},
		{planner.Host{Phase: planner.Revoking}, planner.HeartUnknown, planner.HeartLost, HostLost, "none"},
		{planner.Host{Phase: planner.Revoking}, planner.HeartAlive, planner.HeartAlive, HostReturning, "none"},
		{planner.Host{Phase: planner.Expired, Evidence: confirmed}, planner.HeartLost, planner.HeartLost, HostConfirmed, "confirmed"},
		{planner.Host{Phase: planner.Expired, Evidence: assumed}, planner.HeartLost, planner.HeartLost, HostAssumed, "assumed"},
		{planner.Host{Phase: planner.Expired, Evidence: assumed}, planner.HeartAlive, planner.HeartAlive, HostReturning, "assumed"},
	} {
		h := heart(test.host, planner.HostPicture{Heart: test.heard})
		if h != test.heart || word(test.host, h) != test.word || proof(test.host) != test.proof {
			t.Errorf("%s, heard %q: %s, %s, %s; want %s, %s, %s", test.host.Phase, test.heard,
				h, word(test.host, h), proof(test.host), test.heart, test.word, test.proof)
		}
	}
}

func TestLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 4, 16, 233e6, time.UTC)
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
		{planner.WorkloadAdopted{Workload: "db", Host: "h"}, "", "workload.adopted db was found running on h and is adopted there"},
		{planner.RunStarted{Kind: planner.RunHomeless, Steps: make([]planner.Step, 2)}, "", "run.started R-0003 workloads that should run, where they were last, 2 steps"},
		{planner.RunStarted{Kind: planner.RunStop, Steps: make([]planner.Step, 1)}, "", "run.started R-0003 stop, 1 step"},
		{planner.StepStarted{Run: 3, Step: "up/db", Host: "h", Attempt: 2, Within: time.Minute}, "", "step.started R-0003/up/db on h, attempt 2, within 1m0s"},
		{planner.StepFinished{Run: 3, Step: "up/db", Outcome: wire.Failed, Took: 2 * time.Second}, "exit status 1", "step.finished R-0003/up/db failed in 2.0s: exit status 1"},
		{planner.StepFinished{Run: 3, Step: "up/db", Outcome: wire.Done, Already: true}, "", "step.finished R-0003/up/db nothing to do"},
		{planner.StepReset{Run: 3, Step: "up/db"}, "", "step.reset R-0003/up/db its host is lost: it is placed anew"},
		{planner.StepRetried{Run: 3, Step: "up/db"}, "", "step.retried R-0003/up/db may begin again"},
		{planner.StepSkipped{Run: 3, Step: "up/db"}, "by hand", `step.skipped R-0003/up/db is skipped: the run goes on without it: "by hand"`},
		{planner.RunAborted{Run: 3}, "", "run.aborted R-0003 is aborted: nothing more of it begins"},
		{planner.RunEnded{Run: 3, Outcome: planner.RunSucceeded}, "", "run.ended R-0003 succeeded"},
	} {
		line := Line(planner.Logged{Index: 7, Run: 3, Entry: planner.Entry{At: at, By: "m1", Reason: test.reason, Event: test.event}})
		if got := line.Name + " " + line.Subject + " " + line.Text; got != test.want {
			t.Errorf("Line = %s\nwant   %s", got, test.want)
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
