package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

var doctorNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ward is a cluster of three monitors and two hosts of one site each, which were applied and have joined.
func ward(t *testing.T) *Look {
	t.Helper()
	set, err := plans.Decode([]plans.File{{Name: "inventory.yaml", Text: []byte(`apiVersion: holter/v1
kind: Inventory
cluster: {name: ward}
sites: {ams: {}, fra: {}}
hosts:
  h1: {site: ams, address: 10.0.0.1, self_fence: guard}
  h2: {site: fra, address: 10.0.0.2, self_fence: guard}
workloads:
  db: {kind: memory, unit: db, hosts: [h1, h2]}
`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	look := &Look{
		Self: "m1", State: planner.NewState(), Now: doctorNow, Leader: "m1", Leading: true, Version: "v2",
		Picture: &planner.Picture{Hosts: map[string]planner.HostPicture{}, Workloads: map[string][]planner.WorkloadPicture{}},
	}
	apply := func(event planner.Event) uint64 {
		next, err := look.State.Apply(look.State.Index+1, planner.Entry{V: planner.EntryVersion, Name: event.Name(), By: "ann", At: doctorNow, Event: event})
		if err != nil {
			t.Fatal(err)
		}
		look.State = next
		return next.Index
	}
	apply(planner.ClusterFormed{Cluster: "c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0", Monitors: []string{"m1", "m2", "m3"}})
	apply(planner.FilesApplied{Set: *set})
	for i, host := range []string{"h1", "h2"} {
		nonce := apply(planner.JoinOffered{Host: host, Inc: uint64(i + 1), Ask: 1})
		apply(planner.HostJoined{Host: host, Boot: "b", Inc: uint64(i + 1), Nonce: nonce, Version: "v2"})
		look.Picture.Hosts[host] = planner.HostPicture{Heart: planner.HeartAlive, Age: time.Second, Clock: fine()}
	}
	for i, name := range []string{"m1", "m2", "m3"} {
		look.Members = append(look.Members, Member{Name: name, API: fmt.Sprintf("https://10.0.%d.1:7470", i+1), Suffrage: "voter"})
		look.Picture.Monitors = append(look.Picture.Monitors, planner.MonitorPicture{Name: name, Able: true, Version: "v2", Log: planner.LogVersion, Clock: fine()})
	}
	return look
}

func fine() *planner.ClockPicture {
	return &planner.ClockPicture{Expires: doctorNow.Add(80 * 24 * time.Hour)}
}

// TestDoctorChecks changes one thing of a cluster in which all is well, and looks what the doctor says of it. What is not asked for
// must stay well.
func TestDoctorChecks(t *testing.T) {
	host := func(look *Look, name string, change func(*planner.HostPicture)) {
		pic := look.Picture.Hosts[name]
		change(&pic)
		look.Picture.Hosts[name] = pic
	}
	ahead := func(d time.Duration) *planner.ClockPicture {
		return &planner.ClockPicture{Ahead: d, Expires: doctorNow.Add(80 * 24 * time.Hour)}
	}
	expiring := func(left time.Duration) *planner.ClockPicture {
		return &planner.ClockPicture{Expires: doctorNow.Add(left)}
	}
	monitor := func(look *Look, i int) *planner.MonitorPicture { return &look.Picture.Monitors[i] }
	for name, c := range map[string]struct {
		change func(*Look)
		check  string
		grade  Grade
		text   string // in it
	}{
		"nothing": {func(*Look) {}, CheckMonitors, GradeOK, "3 of 3 monitors answer; 1 may be lost"},
		"a silent monitor": {
			func(l *Look) { monitor(l, 2).Age = time.Minute }, CheckMonitors, GradeWarning, "2 of 3 monitors answer: when one more is lost",
		},
		"no leader":   {func(l *Look) { l.Leader = "" }, CheckMonitors, GradeCritical, "no monitor leads"},
		"one monitor": {func(l *Look) { l.Members = l.Members[:1]; l.Picture.Monitors = l.Picture.Monitors[:1] }, CheckMonitors, GradeWarning, "there is one monitor"},
		"an even number": {
			func(l *Look) { l.Members = l.Members[:2]; l.Picture.Monitors = l.Picture.Monitors[:2] }, CheckMonitors, GradeWarning, "there are 2 monitors",
		},
		"all in a site": {
			func(l *Look) {
				inv := l.State.Inventory
				for i := range l.Members {
					spec := inv.Hosts["h1"]
					spec.Address = fmt.Sprintf("10.0.%d.1", i+1)
					inv.Hosts[fmt.Sprintf("mon%d", i)] = spec
				}
			}, CheckMonitors, GradeWarning, "all monitors are in site ams",
		},
		"two in a site": {
			func(l *Look) { l.Members[0].API, l.Members[1].API = "https://10.0.0.1:1", "https://10.0.0.1:2" }, CheckMonitors, GradeWarning,
			"m1 m2 are on one machine (10.0.0.1)",
		},
		"a clock":           {func(l *Look) { host(l, "h1", func(p *planner.HostPicture) { p.Clock = ahead(-9 * time.Second) }) }, CheckClocks, GradeWarning, "the clock of host h1 is 9.0s behind the others'"},
		"a clock very far":  {func(l *Look) { host(l, "h1", func(p *planner.HostPicture) { p.Clock = ahead(time.Hour) }) }, CheckClocks, GradeCritical, "host h1 is 1h0m ahead of"},
		"a monitor's clock": {func(l *Look) { monitor(l, 1).Clock = ahead(6 * time.Second) }, CheckClocks, GradeCritical, "monitor m2 is 6.0s ahead of"},
		"a little":          {func(l *Look) { monitor(l, 1).Clock = ahead(2 * time.Second) }, CheckClocks, GradeOK, "within 2s"},
		"the one that looks": {
			func(l *Look) {
				monitor(l, 1).Clock, monitor(l, 2).Clock = ahead(-7*time.Second), ahead(-7*time.Second)
				host(l, "h1", func(p *planner.HostPicture) { p.Clock = ahead(-7 * time.Second) })
				host(l, "h2", func(p *planner.HostPicture) { p.Clock = ahead(-7 * time.Second) })
			}, CheckClocks, GradeCritical, "monitor m1 is 7.0s ahead of",
		},
		"a clock that is not told": {func(l *Look) { host(l, "h2", func(p *planner.HostPicture) { p.Clock = nil }) }, CheckClocks, GradeNote, "clock of h2"},
		"an agent's certificate": {
			func(l *Look) { host(l, "h1", func(p *planner.HostPicture) { p.Clock = expiring(13 * 24 * time.Hour) }) }, CheckCertificates, GradeWarning,
			"the certificate of the agent of h1 expires in 13 days",
		},
		"an agent's certificate, in time": {
			func(l *Look) { host(l, "h1", func(p *planner.HostPicture) { p.Clock = expiring(14 * 24 * time.Hour) }) }, CheckCertificates, GradeOK, "the agent of h1",
		},
		"a monitor's certificate": {func(l *Look) { monitor(l, 0).Clock = expiring(47 * time.Hour) }, CheckCertificates, GradeCritical, "monitor m1 expires in 1d23h"},
		"an expired certificate":  {func(l *Look) { monitor(l, 1).Clock = expiring(-time.Hour) }, CheckCertificates, GradeCritical, "monitor m2 has expired at 2026-11-22 11:00Z"},
		"no TLS": {
			func(l *Look) {
				for i := range l.Picture.Monitors {
					monitor(l, i).Clock = &planner.ClockPicture{}
				}
				for name := range l.Picture.Hosts {
					host(l, name, func(p *planner.HostPicture) { p.Clock = &planner.ClockPicture{} })
				}
			}, CheckCertificates, GradeNote, "without TLS",
		},
		"a token": {
			func(l *Look) { token(l, 6*24*time.Hour) }, CheckCertificates, GradeWarning, "token 1f2e of ci expires in 6 days",
		},
		"an expired token":          {func(l *Look) { token(l, -time.Hour) }, CheckCertificates, GradeOK, "good"},
		"an older monitor":          {func(l *Look) { monitor(l, 1).Log = 1 }, CheckVersions, GradeWarning, "the log stays at version 1: monitor m2 understands 1, m1 2"},
		"monitors of two versions":  {func(l *Look) { monitor(l, 1).Version = "v1" }, CheckVersions, GradeWarning, "v1 on monitor m2; v2 on host h1 host h2"},
		"a host that nobody fences": {func(l *Look) { spec(l, func(h *plans.Host) { h.Lease.Self = "none" }) }, CheckFencing, GradeWarning, "neither fences itself nor has a fence device: h2"},
		"a device never tested": {
			func(l *Look) { device(l, planner.Tested{}) }, CheckFencing, GradeWarning, "fence device bmc of h1 was never tested",
		},
		"a device tested long ago": {
			func(l *Look) { device(l, planner.Tested{At: doctorNow.Add(-25 * time.Hour), OK: true}) }, CheckFencing, GradeWarning, "was last tested 1d1h ago",
		},
		"a device tested well": {
			func(l *Look) { device(l, planner.Tested{At: doctorNow.Add(-23 * time.Hour), OK: true}) }, CheckFencing, GradeOK, "passed their last test: 1 of 1",
		},
		"a suspect host": {func(l *Look) { host(l, "h1", func(p *planner.HostPicture) { p.Heart = planner.HeartSuspect }) }, CheckCluster, GradeWarning, "h1 is suspect"},
		"an unseen host": {
			func(l *Look) {
				h, _ := l.State.Hosts.Get("h1")
				h.Phase = planner.Unseen
				l.State.Hosts = l.State.Hosts.With("h1", h)
			},
			CheckCluster, GradeWarning, "no agent was ever heard of h1",
		},
		"a stranger": {func(l *Look) { l.Picture.Strangers = []string{"x"} }, CheckCluster, GradeWarning, "x beats and is in no inventory"},
	} {
		t.Run(name, func(t *testing.T) {
			look := ward(t)
			state := *look.State
			look.State = &state
			c.change(look)
			var got []string
			found := false
			for _, f := range checkup(*look).Findings {
				if f.Check == c.check {
					got = append(got, string(f.Grade)+": "+f.Text)
					found = found || f.Grade == c.grade && strings.Contains(f.Text, c.text)
					if f.Grade.Wrong() && f.Do == "" {
						t.Errorf("it does not say what to do: %s", f.Text)
					}
				} else if f.Grade.Wrong() && name != "no leader" {
					t.Errorf("%s: %s: %s", f.Check, f.Grade, f.Text)
				}
				if c.grade == GradeOK && f.Check == c.check && f.Grade.Wrong() {
					t.Errorf("wrong: %s", f.Text)
				}
			}
			if !found {
				t.Errorf("%s says\n%s\nwant %s: …%s…", c.check, strings.Join(got, "\n"), c.grade, c.text)
			}
		})
	}
}

func token(l *Look, left time.Duration) {
	l.State.Users = l.State.Users.With("ci", planner.User{Tokens: map[string]planner.Token{"1f2e": {Expires: doctorNow.Add(left)}}})
}

// spec changes h2 in the inventory and under what it has joined.
func spec(l *Look, change func(*plans.Host)) {
	own := l.State.Inventory.Hosts["h2"]
	change(&own)
	l.State.Inventory.Hosts["h2"] = own
	host, _ := l.State.Hosts.Get("h2")
	host.Lease = own.Lease
	l.State.Hosts = l.State.Hosts.With("h2", host)
}

func device(l *Look, tested planner.Tested) {
	own := l.State.Inventory.Hosts["h1"]
	own.Fence = []plans.FenceLevel{{Devices: []plans.FenceDevice{{Name: "bmc", Agent: "fence_ipmilan"}}}}
	l.State.Inventory.Hosts["h1"] = own
	host, _ := l.State.Hosts.Get("h1")
	if !tested.At.IsZero() {
		host.Tests = map[string]planner.Tested{"bmc": tested}
	}
	l.State.Hosts = l.State.Hosts.With("h1", host)
}

// TestSelfFindings: what a monitor says of its own machine.
func TestSelfFindings(t *testing.T) {
	const gib = 1 << 30
	good := func() Self {
		return Self{
			Monitor: "m1", Disk: DiskItem{Dir: "/var/lib/holter", Free: 50 * gib, Total: 100 * gib, Least: gib}, NATS: NATSItem{Connected: true},
			Certificates: []CertificateItem{{"monitor", Time{doctorNow.Add(time.Hour)}}, {"root", Time{doctorNow.Add(authoritySoon)}}},
		}
	}
	for name, c := range map[string]struct {
		change func(*Self)
		check  string
		grade  Grade
		text   string
	}{
		"well":               {func(*Self) {}, CheckDisk, GradeOK, "50 GiB of 100 GiB free"},
		"nearly full":        {func(s *Self) { s.Disk.Free = 2*gib - 1 }, CheckDisk, GradeWarning, "2047 MiB of 100 GiB"},
		"a twentieth left":   {func(s *Self) { s.Disk.Free, s.Disk.Least = 5*gib-1, 0 }, CheckDisk, GradeWarning, "5119 MiB of 100 GiB"},
		"full":               {func(s *Self) { s.Disk.Free = gib - 1 }, CheckDisk, GradeCritical, "does not lead below 1024 MiB"},
		"not known":          {func(s *Self) { s.Disk.Total, s.Disk.Free = 0, 0 }, CheckDisk, GradeNote, "does not know"},
		"a log that refuses": {func(s *Self) { s.Disk.Trouble = "read-only" }, CheckDisk, GradeCritical, "read-only"},
		"audit":              {func(s *Self) { s.Audit = "no space left" }, CheckDisk, GradeCritical, "audit file: no space left"},
		"an authority":       {func(s *Self) { s.Certificates[1].Expires = Time{doctorNow.Add(authoritySoon - 1)} }, CheckCertificates, GradeWarning, "the root of m1"},
		"no bus":             {func(s *Self) { s.NATS.Connected = false }, CheckPorts, GradeCritical, "does not reach NATS"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			c.change(&s)
			found := false
			for _, f := range s.Findings(doctorNow) {
				if f.Check == c.check && f.Grade == c.grade && strings.Contains(f.Text, c.text) {
					found = true
				} else if f.Grade != GradeOK {
					t.Errorf("%s: %s: %s", f.Check, f.Grade, f.Text)
				}
			}
			if !found {
				t.Errorf("got %+v, want %s %s: …%s…", s.Findings(doctorNow), c.check, c.grade, c.text)
			}
		})
	}
}

// TestProspectItems: each fate in words, and of several reasons the one to see to first.
func TestProspectItems(t *testing.T) {
	look := *ward(t)
	why := []planner.Input{{Name: "h2", OK: true}}
	moves := planner.Prospect{Workload: "db", Plan: "p", To: "h2", Why: why, Evidence: []planner.EvidenceKind{planner.Fenced, planner.LeaseExpired}}
	with := func(change func(*planner.Prospect)) planner.Prospect {
		p := moves
		change(&p)
		return p
	}
	for _, c := range []struct {
		prospect planner.Prospect
		fate     Fate
		text     string
		do       bool
	}{
		{moves, FateMoves, "starts on h2 once h1 is fenced or its lease is over (within", false},
		{with(func(p *planner.Prospect) { p.Evidence = nil }), FateMoves, "starts on h2", false},
		{with(func(p *planner.Prospect) { p.Late = doctorNow }), FateMoves, "but not before 12:00:00Z", false},
		{with(func(p *planner.Prospect) { p.Why, p.To = nil, "" }), FateStays, "may run on h1 only", false},
		{with(func(p *planner.Prospect) { p.Why, p.To = []planner.Input{{Name: "h2", Value: "is lost"}}, "" }), FateNowhere, "no host can take it: h2 is lost", true},
		{with(func(p *planner.Prospect) { p.Plan, p.Disarmed = "", "q" }), FateWaits, "plan q is not armed", true},
		{with(func(p *planner.Prospect) { p.Plan = "" }), FateWaits, "no plan starts it", true},
		{with(func(p *planner.Prospect) { p.Held = true }), FateWaits, "the guard of plan p", true},
		{with(func(p *planner.Prospect) { p.Person, p.Evidence = true, nil }), FateWaits, "must confirm that h1 is off", true},
		{with(func(p *planner.Prospect) { p.Behind = "x" }), FateWaits, "waits for x, which it needs", false},
	} {
		item := prospectItem(look, "h1", c.prospect)
		if item.Fate != c.fate || !strings.Contains(item.Text, c.text) || (item.Do != "") != c.do {
			t.Errorf("%+v\ngot %+v\nwant %s …%s…, what to do: %v", c.prospect, item, c.fate, c.text, c.do)
		}
		if home := c.prospect.Home(); home != (c.fate == FateMoves) {
			t.Errorf("%s: the planner says home %v, the doctor %s", c.text, home, c.fate)
		}
	}
	state := *look.State
	db, _ := state.Workloads.Get("db")
	db.Twice = []string{"h1", "h2"}
	state.Workloads, look.State = state.Workloads.With("db", db), &state
	if item := prospectItem(look, "h1", moves); item.Fate != FateWaits {
		t.Errorf("what runs twice: got %+v", item)
	}
}

// TestUnfitHosts: a host that can take nothing is no home, whether the monitor hears why or the log says it.
func TestUnfitHosts(t *testing.T) {
	for name, change := range map[string]func(*planner.Host, *planner.HostPicture){
		"says a monitor": func(_ *planner.Host, p *planner.HostPicture) { p.Unfit = "is not heard" },
		"quarantined":    func(h *planner.Host, _ *planner.HostPicture) { h.Quarantine = doctorNow.Add(time.Hour) },
		"silent": func(h *planner.Host, _ *planner.HostPicture) {
			h.Silence = &planner.Silence{Until: doctorNow.Add(time.Hour)}
		},
		"lost": func(h *planner.Host, _ *planner.HostPicture) { h.Phase = planner.Revoking },
	} {
		look := *ward(t)
		state := *look.State
		db, _ := state.Workloads.Get("db")
		db.Wanted, db.Owner = planner.WantedRunning, "h1"
		state.Workloads, look.State = state.Workloads.With("db", db), &state
		if got := lossItems(look)[0].Workloads; len(got) != 1 || got[0].To != "h2" {
			t.Fatalf("while h2 is well: got %+v", got)
		}
		host, _ := state.Hosts.Get("h2")
		pic := look.Picture.Hosts["h2"]
		change(&host, &pic)
		look.Picture.Hosts["h2"] = pic
		state.Hosts = state.Hosts.With("h2", host)
		if got := lossItems(look)[0].Workloads; got[0].To != "" || got[0].Fate != FateNowhere {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestStatusNamesCertificates: a certificate that ends soon needs a person in status as well, and of many the first are named.
func TestStatusNamesCertificates(t *testing.T) {
	look := ward(t)
	if needs := status(*look).Needs; len(needs) != 0 {
		t.Fatalf("while all is well: %+v", needs)
	}
	for i := range look.Picture.Monitors {
		look.Picture.Monitors[i].Clock = &planner.ClockPicture{Expires: doctorNow.Add(time.Duration(i+3) * 24 * time.Hour)}
	}
	needs := status(*look).Needs
	if len(needs) != 3 || needs[0].About != "m1" || needs[0].Level != LevelWarning || !strings.Contains(needs[0].Text, "the certificate of monitor m1 expires in 3 days") || needs[0].Command == "" {
		t.Errorf("got %+v, want those of three monitors, the first to end first", needs)
	}
	for name, pic := range look.Picture.Hosts {
		pic.Clock = &planner.ClockPicture{Expires: doctorNow.Add(10 * 24 * time.Hour)}
		look.Picture.Hosts[name] = pic
	}
	if needs := status(*look).Needs; len(needs) != 4 || needs[3].Text != "and 2 more certificates that end soon" || needs[3].Command != "holter doctor" {
		t.Errorf("got %+v, want three and that there are two more", needs)
	}
	if found := checkCertificates(*look); len(found) != 5 {
		t.Errorf("the doctor names %d, want all 5", len(found))
	}
}
