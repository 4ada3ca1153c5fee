package console

import (
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/planner"
)

const (
	// expiresSoon is when a certificate that should have been renewed long before is told of: processes renew theirs when a third
	// of its life is left, a month.
	expiresSoon = 14 * 24 * time.Hour
	// expiresNow is when nothing but a person helps in time.
	expiresNow = 2 * 24 * time.Hour
)

// expiry is until when somebody's certificate is good.
type expiry struct {
	holder, about string // holder: "monitor m1"
	at            time.Time
	repair        string // what to do about it
}

// expiries lists the certificates that monitors and agents have told of, the first to end first.
func expiries(look Look) []expiry {
	var list []expiry
	add := func(clock *planner.ClockPicture, e expiry) {
		if clock != nil && !clock.Expires.IsZero() {
			e.at = clock.Expires
			list = append(list, e)
		}
	}
	for _, m := range look.Picture.Monitors {
		add(m.Clock, expiry{
			holder: "monitor " + m.Name, about: m.Name,
			repair: fmt.Sprintf("on %s: journalctl -u holter-monitor -g certificate", m.Name),
		})
	}
	for name := range look.State.Hosts.All() {
		add(look.Picture.Hosts[name].Clock, expiry{
			holder: "the agent of " + name, about: name,
			repair: fmt.Sprintf("on %s: journalctl -u holter-agent -g certificate   or anew: holter agent invite %s", name, name),
		})
	}
	slices.SortStableFunc(list, func(a, b expiry) int { return a.at.Compare(b.at) })
	return list
}

// needsOfCertificates names the first certificates that end soon; the doctor names all.
func needsOfCertificates(look Look) []Need {
	all := ending(look)
	list := alike(all, "and %d more certificates that end soon")
	if len(all) > maxAlike {
		list[maxAlike].Command = "holter doctor"
	}
	return list
}

// ending names the certificates that end soon, because their processes could not renew them.
func ending(look Look) []Need {
	var list []Need
	for _, e := range expiries(look) {
		left := e.at.Sub(look.Now)
		if left >= expiresSoon {
			break
		}
		need := Need{Level: LevelWarning, About: e.about, Command: e.repair}
		if left < expiresNow {
			need.Level = LevelCritical
		}
		if left <= 0 {
			need.Text = fmt.Sprintf("the certificate of %s has expired at %s: whoever speaks with it next refuses it", e.holder, day(e.at))
		} else {
			need.Text = fmt.Sprintf("the certificate of %s expires in %s, at %s: it should have renewed itself a month before", e.holder, days(left), day(e.at))
		}
		list = append(list, need)
	}
	return list
}

// days is a long time for people.
func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); {
	case d < 48*time.Hour:
		return Duration(d.Round(time.Minute))
	default:
		return fmt.Sprintf("%d days", n)
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }
