package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
)

const (
	// clockTold is how far wall clocks may be apart before people are told; at clockWrong monitors do not agree on the time.
	clockTold  = 2 * time.Second
	clockWrong = 5 * time.Second
	// testOld is when the last test of a fence device is old: monitors test each every six hours.
	testOld = 24 * time.Hour
)

const setClock = "on %s: timedatectl   (chronyd or systemd-timesyncd must run and reach a time server)"

// checkMonitors looks at who the monitors are, and how many of them may be lost.
func checkMonitors(look Look, st Status) []Finding {
	f := &findings{check: CheckMonitors}
	f.needs(needsOfMonitors(look, st), "if it stays so, on %s: systemctl status holter-monitor")
	voters, answer := 0, 0
	for _, m := range st.Monitors {
		if m.Suffrage == "voter" {
			voters++
			if m.Answers {
				answer++
			}
		}
	}
	need := voters/2 + 1
	switch {
	case look.Leader == "":
		f.add(GradeCritical, "cluster", "no monitor leads: nothing fails over and nothing can be changed", "holter status")
	case voters == 1:
		f.add(GradeWarning, look.Self, "there is one monitor: when it is lost, nothing fails over", "run three: holter init, or holter monitor add")
	case answer < voters && answer <= need:
		f.add(GradeWarning, "cluster", fmt.Sprintf("%d of %d monitors answer: when one more is lost, nothing fails over any more", answer, voters),
			"start the missing one, or: holter monitor replace NAME")
	}
	if voters%2 == 0 {
		f.add(GradeWarning, "cluster", fmt.Sprintf("there are %d monitors: no more of them may be lost than of %d", voters, voters-1),
			"holter monitor add NAME, or holter monitor remove NAME")
	}
	f.placement(look)
	return f.orOK(fmt.Sprintf("%d of %d monitors answer; %d may be lost", answer, voters, answer-need))
}

// placement looks where the monitors are: the loss of what must not take the quorum along.
func (f *findings) placement(look Look) {
	sites, machines := map[string][]string{}, map[string][]string{}
	siteOf := map[string]string{}
	for _, host := range inventory(look).Hosts {
		siteOf[host.Address] = host.Site
	}
	voters, unplaced := 0, []string{}
	for _, m := range look.Members {
		u, err := url.Parse(m.API)
		if m.Suffrage != "voter" || err != nil || u.Hostname() == "" {
			continue
		}
		voters++
		machines[u.Hostname()] = append(machines[u.Hostname()], m.Name)
		if site := siteOf[u.Hostname()]; site != "" {
			sites[site] = append(sites[site], m.Name)
		} else {
			unplaced = append(unplaced, m.Name)
		}
	}
	for address, names := range machines {
		if len(names) > 1 && len(names) > voters-(voters/2+1) {
			f.add(GradeWarning, names[0], fmt.Sprintf("%s are on one machine (%s): its loss takes the quorum along", strings.Join(names, " "), address),
				"move them apart: holter monitor replace")
		}
	}
	if len(inventory(look).Sites) < 2 || voters < 2 {
		return
	}
	for site, names := range sites {
		switch {
		case len(names) == voters:
			f.add(GradeWarning, site, fmt.Sprintf("all monitors are in site %s: when it is lost, nothing fails over to the others", site),
				"put one monitor in each of three sites: holter monitor replace")
		case len(names) > voters-(voters/2+1):
			f.add(GradeNote, site, fmt.Sprintf("%s are in site %s: its loss takes the quorum along", strings.Join(names, " "), site), "")
		}
	}
	if len(unplaced) > 0 {
		f.add(GradeNote, "monitors", fmt.Sprintf("the inventory does not say in which site %s are: no host has their address", strings.Join(unplaced, " ")), "")
	}
}

// checkCluster takes over what status says needs a person, but for what other checks tell.
func checkCluster(look Look, st Status) []Finding {
	f := &findings{check: CheckCluster}
	f.needs(needsOfRecovery(look), "")
	f.needs(needsOfHosts(look), "turn it on again, or on %s: systemctl status holter-agent")
	f.needs(needsOfPlans(look), "")
	f.needs(needsOfWorkloads(look), "")
	f.needs(needsOfRuns(st.Runs), "")
	hosts, alive := 0, 0
	var unseen []string
	for _, host := range hostItems(look) {
		hosts++
		switch host.Word {
		case HostAlive:
			alive++
		case HostUnseen:
			unseen = append(unseen, host.Name)
		case HostUnknown:
			f.add(GradeWarning, host.Name, fmt.Sprintf("%s cannot tell now whether %s lives", look.Self, host.Name), "holter hosts "+host.Name)
		case HostSuspect:
			f.add(GradeWarning, host.Name, fmt.Sprintf("%s is suspect: no sign of life for %s", host.Name, Duration(time.Duration(host.AgeMs)*time.Millisecond)), "holter hosts "+host.Name)
		case HostLost, HostFencing, HostFenced, HostExpired, HostConfirmed, HostReturning, HostSilent: // needsOfHosts tells, or it is wanted
		}
	}
	if len(unseen) > 0 {
		f.add(GradeWarning, unseen[0], "no agent was ever heard of "+few(unseen), "on the host: systemctl status holter-agent   or enrol it: holter agent invite "+unseen[0])
	}
	return f.orOK(fmt.Sprintf("%d of %d hosts are alive, and nothing needs you", alive, hosts))
}

// checkClocks compares wall clocks. Leases and detection do not ask them.
func checkClocks(look Look) []Finding {
	f := &findings{check: CheckClocks}
	clocks, mute := clocksOf(look)
	usual := clocks[(len(clocks)-1)/2].ahead // the one in the middle: not everybody is wrong because the one that looks is
	if len(clocks) < 3 {
		usual = 0
	}
	var most time.Duration
	for _, c := range clocks {
		off := c.ahead - usual
		most = max(most, off.Abs())
		if off.Abs() <= clockTold {
			continue
		}
		grade, consequence := GradeWarning, "its logs do not fit together with those of the others"
		if off.Abs() > c.limit {
			grade, consequence = GradeCritical, "deadlines may be judged wrong, and certificates refused"
		}
		f.add(grade, c.name, fmt.Sprintf("the clock of %s is %s the others': %s", c.of, apart(off), consequence), fmt.Sprintf(setClock, c.name))
	}
	if len(mute) > 0 {
		f.add(GradeNote, mute[0], fmt.Sprintf("what the clock of %s shows is not known yet", few(mute)), "")
	}
	if len(clocks) < 2 {
		return f.orOK("nobody else's clock is known")
	}
	return f.orOK(fmt.Sprintf("%d wall clocks of monitors and hosts are within %s", len(clocks), max(most.Round(time.Millisecond), time.Millisecond)))
}

// wallClock is how far a wall clock is ahead of that of the monitor that looks, and by how much it may be off before something
// fails.
type wallClock struct {
	of, name     string
	ahead, limit time.Duration
}

// clocksOf lists the wall clocks that are known, the one furthest behind first, and the living hosts whose are not.
func clocksOf(look Look) (clocks []wallClock, mute []string) {
	clocks = []wallClock{{of: "monitor " + look.Self, name: look.Self, limit: clockWrong}}
	for _, m := range look.Picture.Monitors {
		if m.Clock != nil && m.Name != look.Self {
			clocks = append(clocks, wallClock{"monitor " + m.Name, m.Name, m.Clock.Ahead, clockWrong})
		}
	}
	for name := range look.State.Hosts.All() {
		switch pic := look.Picture.Hosts[name]; {
		case pic.Clock != nil:
			clocks = append(clocks, wallClock{"host " + name, name, pic.Clock.Ahead, certificateSlack})
		case pic.Heart == planner.HeartAlive:
			mute = append(mute, name)
		}
	}
	slices.SortStableFunc(clocks, func(a, b wallClock) int { return cmp.Compare(a.ahead, b.ahead) })
	return clocks, mute
}

// certificateSlack is how far a clock may be behind before a new certificate is not yet good for it.
const certificateSlack = 10 * time.Minute

func apart(ahead time.Duration) string {
	if ahead < 0 {
		return Duration(-ahead) + " behind"
	}
	return Duration(ahead) + " ahead of"
}

// checkCertificates looks until when everybody's certificate and every token is good.
func checkCertificates(look Look) []Finding {
	f := &findings{check: CheckCertificates}
	f.needs(ending(look), "")
	for name, user := range look.State.Users.All() {
		for id, token := range user.Tokens {
			if left := token.Expires.Sub(look.Now); left > 0 && left < expiresSoon/2 {
				f.add(GradeWarning, name, fmt.Sprintf("token %s of %s expires in %s", id, name, days(left)), "holter token make "+name)
			}
		}
	}
	all := expiries(look)
	if len(all) == 0 {
		f.add(GradeNote, "cluster", "no monitor and no agent has told of a certificate: without TLS whoever reaches a port may do everything", "")
		return f.list
	}
	return f.orOK(fmt.Sprintf("%d certificates of monitors and agents are good; the first, of %s, until %s", len(all), all[0].holder, day(all[0].at)))
}

// checkFencing looks how hosts are seen off, or see themselves off.
func checkFencing(look Look) []Finding {
	f := &findings{check: CheckFencing}
	devices, passed, self := 0, 0, 0
	var bare []string
	for _, host := range hostItems(look) {
		if host.Lease.SelfFence != string(lease.None) {
			self++
		} else if len(host.Fence) == 0 && len(waitingOnPerson(host)) == 0 {
			bare = append(bare, host.Name)
		}
		for _, d := range host.Fence {
			devices++
			age := look.Now.Sub(d.Tested.Time)
			switch {
			case d.Tested.IsZero():
				f.add(GradeWarning, host.Name, fmt.Sprintf("fence device %s of %s was never tested", d.Name, host.Name), "wait a minute; if it stays so: is "+d.Agent+" installed on the monitors?")
			case d.OK:
				passed++
			}
			if !d.Tested.IsZero() && age > testOld {
				f.add(GradeWarning, host.Name, fmt.Sprintf("fence device %s of %s was last tested %s ago", d.Name, host.Name, Duration(age)), "holter status: does a monitor lead?")
			}
		}
	}
	if len(bare) > 0 {
		f.add(GradeWarning, bare[0], fmt.Sprintf("neither fences itself nor has a fence device: %s; what is exclusive and runs there then waits for a person", few(bare)),
			"in the inventory: self_fence: guard, or fence: [{agent: …}]")
	}
	text := fmt.Sprintf("hosts that fence themselves: %d of %d", self, look.State.Hosts.Len())
	if devices > 0 {
		text += fmt.Sprintf("; fence devices that passed their last test: %d of %d", passed, devices)
	}
	return f.orOK(text)
}

// checkVersions looks which programs run.
func checkVersions(look Look, st Status) []Finding {
	f := &findings{check: CheckVersions}
	programs := map[string][]string{}
	for _, m := range st.Monitors {
		if m.Answers && m.Version != "" {
			programs[m.Version] = append(programs[m.Version], "monitor "+m.Name)
		}
	}
	for name, host := range look.State.Hosts.All() {
		if host.Version != "" && host.Phase == planner.Active {
			programs[host.Version] = append(programs[host.Version], "host "+name)
		}
	}
	if len(programs) > 1 {
		var parts []string
		for _, version := range slices.Sorted(maps.Keys(programs)) {
			parts = append(parts, version+" on "+few(programs[version]))
		}
		f.add(GradeWarning, "cluster", "programs of several versions run: "+strings.Join(parts, "; "), "finish the upgrade: one process at a time, docs/operations.md")
	}
	for _, m := range look.Picture.Monitors {
		if m.Log > 0 && m.Log < planner.LogVersion && m.Clock != nil {
			f.add(GradeWarning, m.Name, fmt.Sprintf("the log stays at version %d: monitor %s understands %d, %s %d", max(look.State.Log, 1), m.Name, m.Log, look.Self, planner.LogVersion),
				"upgrade "+m.Name)
		}
	}
	version := look.Version
	for v := range programs {
		version = v
	}
	return f.orOK(fmt.Sprintf("every monitor and agent that answers runs %s; the log is of version %d", version, max(look.State.Log, 1)))
}

// few names the first of many.
func few(names []string) string {
	slices.Sort(names)
	if len(names) > maxAlike+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxAlike], " "), len(names)-maxAlike)
	}
	return strings.Join(names, " ")
}
