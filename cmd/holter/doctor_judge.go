package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
)

const (
	// userSoon is when a user is told that a certificate ends: nobody renews it by itself.
	userSoon = 30 * 24 * time.Hour
	// clockHere is how far the clock of this machine may be off: times that people compare are shown by it.
	clockHere = 2 * time.Second
)

// doctorFacts is all that the doctor has found out. What it means is said by report, without asking anybody.
type doctorFacts struct {
	now        time.Time
	socket     bool
	monitors   []askedMonitor
	leaderless error // why the checkup is not the leader's; nil: it is
	checked    console.Checkup
	checkErr   error
	meta       console.Meta
	cluster    console.Status
	ports      []triedPort
	holder     identity.ID // of the certificate of whoever asks; zero: none
	expires    time.Time
	agent      *triedAgent // nil: not asked for
}

// doctorReport is what programs get.
type doctorReport struct {
	Well     bool               `json:"well"`
	Findings []console.Finding  `json:"findings"`
	Losses   []console.LossItem `json:"losses"`
}

// quorum says that a monitor that leads has answered.
func (f *doctorFacts) quorum() bool {
	return f.leaderless == nil && slices.ContainsFunc(f.monitors, func(m askedMonitor) bool { return m.err == nil })
}

// report judges the facts.
func (f *doctorFacts) report() doctorReport {
	list := slices.Concat(f.checked.Findings, f.reach(), f.clockHere(), f.ownCertificate(), f.selves(), f.permissions(), f.unchecked())
	r := doctorReport{Well: true, Findings: []console.Finding{}, Losses: append([]console.LossItem{}, f.checked.Losses...)}
	said := map[string]bool{}
	for _, one := range list {
		if !said[one.Text] {
			said[one.Text] = true
			r.Findings = append(r.Findings, one)
			r.Well = r.Well && !one.Grade.Wrong()
		}
	}
	checks := console.Checks()
	slices.SortStableFunc(r.Findings, func(a, b console.Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(checks, a.Check), slices.Index(checks, b.Check)), cmp.Compare(gradeRank(a.Grade), gradeRank(b.Grade)))
	})
	return r
}

func gradeRank(g console.Grade) int {
	return slices.Index([]console.Grade{console.GradeCritical, console.GradeWarning, console.GradeUnchecked, console.GradeOK, console.GradeNote}, g)
}

// reach says which ports answered from here.
func (f *doctorFacts) reach() []console.Finding {
	var list []console.Finding
	answered := 0
	var slowest time.Duration
	for _, m := range f.monitors {
		if m.err == nil {
			answered++
			slowest = max(slowest, m.took)
			continue
		}
		of := m.address
		if m.name != "" {
			of = fmt.Sprintf("of monitor %s (%s)", m.name, m.address)
		}
		list = append(list, console.Finding{
			Check: console.CheckPorts, Grade: console.GradeWarning, About: cmp.Or(m.name, m.address),
			Text: fmt.Sprintf("the API %s does not answer from here: %s", of, m.reason()),
			Do:   "there: systemctl status holter-monitor   and see that its port is open; or name others: --server, --identity",
		})
	}
	if answered == len(f.monitors) && answered > 0 {
		list = append(list, console.Finding{
			Check: console.CheckPorts, Grade: console.GradeOK,
			Text: fmt.Sprintf("API: %d of %d monitors answer from here, within %s", answered, len(f.monitors), atLeastMs(slowest)),
		})
	}
	reached := 0
	for _, p := range f.ports {
		if p.err == nil {
			reached++
			continue
		}
		list = append(list, console.Finding{
			Check: console.CheckPorts, Grade: console.GradeNote, About: p.of,
			Text: fmt.Sprintf("NATS at %s is not reached from here, and must be from every host: %v", p.address, p.err),
		})
	}
	if reached == len(f.ports) && reached > 0 {
		list = append(list, console.Finding{Check: console.CheckPorts, Grade: console.GradeOK, Text: fmt.Sprintf("NATS: %d of %d ports are reached from here", reached, len(f.ports))})
	}
	if f.socket {
		list = append(list, console.Finding{
			Check: console.CheckPorts, Grade: console.GradeNote, Text: "by --socket only the monitor on this machine is asked; of the others it says what it hears",
		})
	}
	return list
}

// clockHere compares the clock of this machine with the one in the middle of those that answered.
func (f *doctorFacts) clockHere() []console.Finding {
	var ahead []time.Duration
	for _, m := range f.monitors {
		if m.err == nil && m.selfErr == nil {
			ahead = append(ahead, m.ahead)
		}
	}
	if len(ahead) == 0 {
		return nil
	}
	slices.Sort(ahead)
	off := -ahead[len(ahead)/2]
	if off.Abs() <= clockHere {
		return []console.Finding{{
			Check: console.CheckClocks, Grade: console.GradeOK, Text: fmt.Sprintf("the clock of this machine is within %s of the monitors'", atLeastMs(off.Abs())),
		}}
	}
	word := "ahead of"
	if off < 0 {
		word = "behind"
	}
	return []console.Finding{{
		Check: console.CheckClocks, Grade: console.GradeWarning, About: "here",
		Text: fmt.Sprintf("the clock of this machine is %s %s the monitors': times that you read here and there do not fit together", console.Duration(off.Abs()), word),
		Do:   "timedatectl   (chronyd or systemd-timesyncd must run and reach a time server)",
	}}
}

func atLeastMs(d time.Duration) time.Duration {
	return max(d.Round(time.Millisecond), time.Millisecond)
}

func (f *doctorFacts) ownCertificate() []console.Finding {
	if f.holder.Name == "" {
		return nil
	}
	left := f.expires.Sub(f.now)
	one := console.Finding{
		Check: console.CheckCertificates, Grade: console.GradeOK, About: f.holder.Name,
		Text: fmt.Sprintf("yours, of %s, is good until %s", f.holder, f.expires.UTC().Format(time.DateOnly)),
	}
	if left < userSoon {
		one.Grade, one.Text = console.GradeWarning, fmt.Sprintf("your certificate, of %s, expires at %s, and nobody renews it by itself", f.holder, f.expires.UTC().Format("2006-01-02 15:04Z"))
		one.Do = fmt.Sprintf("an admin: holter user cert %s --dir NEW", f.holder.Name)
	}
	return []console.Finding{one}
}

// selves says what monitors find wrong with themselves.
func (f *doctorFacts) selves() []console.Finding {
	var list []console.Finding
	for _, m := range f.monitors {
		name := cmp.Or(m.name, m.address)
		switch {
		case m.err != nil:
			list = append(list, console.Finding{
				Check: console.CheckDisk, Grade: console.GradeUnchecked, About: name, Text: fmt.Sprintf("the disk of monitor %s: it does not answer", name),
			})
		case m.selfErr != nil:
			list = append(list, console.Finding{
				Check: console.CheckDisk, Grade: console.GradeUnchecked, About: name, Text: fmt.Sprintf("the disk of monitor %s: %v", name, m.selfErr),
				Do: "upgrade it, if its program is older than this one",
			})
		default:
			list = append(list, m.self.Item.Findings(f.now)...)
		}
	}
	return list
}

// unchecked names what only a monitor could have said.
func (f *doctorFacts) unchecked() []console.Finding {
	why := "no monitor answers"
	switch {
	case f.checkErr != nil:
		why = f.checkErr.Error()
	case slices.ContainsFunc(f.monitors, func(m askedMonitor) bool { return m.err == nil }):
		return nil
	}
	var list []console.Finding
	for _, check := range []struct{ name, what string }{
		{console.CheckMonitors, "how many monitors may be lost"},
		{console.CheckCluster, "what needs you now"},
		{console.CheckClocks, "the clocks of monitors and hosts"},
		{console.CheckCertificates, "the certificates of monitors and agents"},
		{console.CheckFencing, "fence devices"},
		{console.CheckVersions, "which programs run"},
		{console.CheckLosses, "what a host's loss would mean"},
	} {
		list = append(list, console.Finding{Check: check.name, Grade: console.GradeUnchecked, Text: check.what + ": " + why})
	}
	return list
}
