package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/internal/node"
)

var judged = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// wellFacts are facts in which nothing is wrong.
func wellFacts() *doctorFacts {
	f := &doctorFacts{
		now: judged, holder: identity.ID{Kind: identity.User, Name: "ann"}, expires: judged.Add(userSoon),
		ports: []triedPort{{address: "10.0.0.1:7472", of: "m1"}},
	}
	for _, name := range []string{"m1", "m2", "m3"} {
		m := askedMonitor{probe: probe{name: name, address: "https://" + name}, took: time.Millisecond}
		m.self.Item = console.Self{
			Monitor: name, Disk: console.DiskItem{Free: 50 << 30, Total: 100 << 30, Least: 1 << 30}, NATS: console.NATSItem{Connected: true},
		}
		f.monitors = append(f.monitors, m)
	}
	return f
}

// TestDoctorJudges changes one fact, and looks what is made of it. All else must stay well.
func TestDoctorJudges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*doctorFacts)
		check  string
		grade  console.Grade
		text   string
	}{
		"nothing": {func(*doctorFacts) {}, console.CheckPorts, console.GradeOK, "API: 3 of 3 monitors answer from here, within 1ms"},
		"a NATS port": {
			func(f *doctorFacts) { f.ports[0].err = errors.New("refused") }, console.CheckPorts, console.GradeNote, "NATS at 10.0.0.1:7472 is not reached from here",
		},
		"by the socket":       {func(f *doctorFacts) { f.socket = true }, console.CheckPorts, console.GradeNote, "only the monitor on this machine"},
		"one clock is wrong":  {func(f *doctorFacts) { f.monitors[1].ahead = time.Hour }, console.CheckClocks, console.GradeOK, "within 1ms"},
		"ours is behind":      {func(f *doctorFacts) { aheadBy(f, 3*time.Second) }, console.CheckClocks, console.GradeWarning, "3.0s behind the monitors'"},
		"ours is ahead":       {func(f *doctorFacts) { aheadBy(f, -3*time.Second) }, console.CheckClocks, console.GradeWarning, "3.0s ahead of the monitors'"},
		"ours is a bit ahead": {func(f *doctorFacts) { aheadBy(f, -clockHere) }, console.CheckClocks, console.GradeOK, "within 2s"},
		"our certificate":     {func(f *doctorFacts) { f.expires = f.expires.Add(-1) }, console.CheckCertificates, console.GradeWarning, "your certificate, of user ann, expires at 2026-12-22"},
		"our certificate, yet good": {
			func(*doctorFacts) {}, console.CheckCertificates, console.GradeOK, "yours, of user ann, is good until 2026-12-22",
		},
		"an older monitor": {
			func(f *doctorFacts) { f.monitors[1].selfErr = errors.New("no such way") }, console.CheckDisk, console.GradeUnchecked, "the disk of monitor m2: no such way",
		},
		"a full disk": {func(f *doctorFacts) { f.monitors[2].self.Item.Disk.Free = 1 }, console.CheckDisk, console.GradeCritical, "on m3 has 0 MiB free"},
		"a foreign NATS": {
			func(f *doctorFacts) { f.monitors[0].self.Item.NATS.Foreign = true }, console.CheckPermissions, console.GradeNote, "holter doctor --agent FILE",
		},
		"a foreign NATS that was tried": {
			func(f *doctorFacts) {
				f.monitors[0].self.Item.NATS.Foreign = true
				f.agent = &triedAgent{host: "h1", servers: []node.Tried{{Server: "n:4222", Tries: 61}}}
			}, console.CheckPermissions, console.GradeOK, "lets the agent of h1 do what it must and nothing else (61 tries)",
		},
		"a NATS that is open": {
			func(f *doctorFacts) {
				f.agent = &triedAgent{host: "h1", servers: []node.Tried{{Server: "n:4222", Tries: 61, Wrong: []string{"a", "b", "c", "d", "e", "f", "g"}}}}
			}, console.CheckPermissions, console.GradeCritical, "and 2 more of 61 tries",
		},
		"the monitors' own word": {
			func(f *doctorFacts) {
				f.checked.Findings = []console.Finding{{Check: console.CheckVersions, Grade: console.GradeWarning, Text: "they differ"}}
			}, console.CheckVersions, console.GradeWarning, "they differ",
		},
		"the leader does not say": {
			func(f *doctorFacts) { f.checkErr = errors.New("not allowed") }, console.CheckFencing, console.GradeUnchecked, "fence devices: not allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := wellFacts()
			c.change(f)
			r := f.report()
			found := false
			for _, one := range r.Findings {
				if one.Check == c.check && one.Grade == c.grade && strings.Contains(one.Text, c.text) {
					found = true
				}
				if one.Check != c.check && one.Grade.Wrong() && f.checkErr == nil {
					t.Errorf("%+v", one)
				}
			}
			if !found || r.Well == c.grade.Wrong() {
				t.Errorf("well: %v, findings: %+v\nwant %s %s: …%s…", r.Well, r.Findings, c.check, c.grade, c.text)
			}
		})
	}
}

func aheadBy(f *doctorFacts, d time.Duration) {
	for i := range f.monitors {
		f.monitors[i].ahead = d
	}
}

// TestDoctorWithoutSome: a monitor that does not answer is named with its reason, the rest is checked; nothing is said twice; and
// without a leader there is no quorum.
func TestDoctorWithoutSome(t *testing.T) {
	f := wellFacts()
	f.monitors[1] = askedMonitor{probe: probe{name: "m2", address: "https://m2", err: errors.New("timeout")}}
	twice := console.Finding{Check: console.CheckMonitors, Grade: console.GradeWarning, Text: "monitor m2 is silent"}
	f.checked.Findings = []console.Finding{twice, twice}
	r := f.report()
	var wrong []string
	for _, one := range r.Findings {
		if one.Grade.Wrong() {
			wrong = append(wrong, one.Text)
		}
	}
	want := "monitor m2 is silent; the API of monitor m2 (https://m2) does not answer from here: timeout; the disk of monitor m2: it does not answer"
	if got := strings.Join(wrong, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if slices.ContainsFunc(r.Findings, func(one console.Finding) bool { return strings.HasPrefix(one.Text, "API: ") }) {
		t.Error("it says that the API answers")
	}
	f.monitors[0].selfErr, f.monitors[2].ahead = errors.New("no such way"), 3*time.Second // m3 alone tells the time
	if here := f.clockHere(); len(here) != 1 || !strings.Contains(here[0].Text, "3.0s behind") {
		t.Errorf("got %+v, want that this machine is 3 s behind", here)
	}
	f.monitors[2].ahead, f.monitors[2].selfErr = 0, errors.New("no such way")
	if here := f.clockHere(); len(here) != 0 {
		t.Errorf("got %+v, although nobody tells the time", here)
	}
	if !f.quorum() {
		t.Error("no quorum, although one that leads has answered")
	}
	f.leaderless = errors.New("no leader")
	if f.quorum() {
		t.Error("a quorum without a leader")
	}
}
