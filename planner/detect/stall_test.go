package detect

import (
	"testing"
	"time"
)

// Limits of the monitor's loop, as package monitor has them.
const (
	tick    = 50 * ms
	maxStep = 150 * ms // the watch clock never goes further at once
)

// loop is a monitor's loop in virtual time: it hears beats, advances its watch clock and judges.
type loop struct {
	guarded bool // the watch clock is
	drains  bool // hears all that has arrived before it judges; else one beat at a time

	hosts    []detector
	suspects []bool
	waiting  []mail
	last     time.Duration // real time of the last round
	watch    time.Duration
	mistakes int
}

// mail is a beat of one of several hosts.
type mail struct {
	host int
	beat beat
}

// round is one turn of the loop at a real time.
func (m *loop) round(now time.Duration) {
	step := now - m.last
	m.last = now
	if m.guarded {
		step = min(step, maxStep)
	}
	m.watch += step
	for len(m.waiting) > 0 && m.waiting[0].beat.arrived <= now {
		next := m.waiting[0]
		m.waiting = m.waiting[1:]
		next.beat.arrived = m.watch
		m.hosts[next.host].observe(next.beat)
		if !m.drains {
			break
		}
	}
	for i, host := range m.hosts {
		suspect := m.watch >= host.deadline()
		if suspect && !m.suspects[i] {
			m.mistakes++
		}
		m.suspects[i] = suspect
	}
}

// behind says that a beat has arrived that was not heard.
func (m *loop) behind(now time.Duration) bool {
	return len(m.waiting) > 0 && m.waiting[0].beat.arrived <= now
}

// run lets the hosts beat for a minute. For five seconds the monitor stalls: its rounds take pause each.
func (m *loop) run(pause time.Duration, hosts int, build func() detector) {
	const stall, over, end = 30 * time.Second, 35 * time.Second, time.Minute
	m.last, m.watch = began, began
	m.suspects = make([]bool, hosts)
	for range hosts {
		m.hosts = append(m.hosts, build())
	}
	interval := usual().Interval
	for at := began; at < began+end; at += interval {
		for host := range hosts {
			sent := at + interval*time.Duration(host)/time.Duration(hosts)
			m.waiting = append(m.waiting, mail{host, beat{seq: uint32((at-began)/interval) + 1, sent: sent, stamp: sent - boot, arrived: sent + ms}})
		}
	}
	for _, first := range m.waiting[:hosts] { // nobody is judged before it was heard
		m.hosts[first.host].observe(first.beat)
	}
	for now := began + interval; now < began+end; {
		m.round(now)
		switch {
		case now >= began+stall && now < began+over:
			now += pause
		case m.behind(now): // the next round comes at once
		default:
			now += tick
		}
	}
}

// longest is the longest silence after which a host would be lost now.
func (m *loop) longest() time.Duration {
	longest := time.Duration(0)
	for _, host := range m.hosts {
		longest = max(longest, host.deadline()-m.watch)
	}
	return longest
}

// TestStall: a monitor that stalls for 5 s while beats queue holds nobody lost and learns nothing from it, because its watch
// clock does not count the stall and because it hears all that has arrived before it judges. One alone is not enough: the
// clock does not help a monitor that crawls, and the draining does not keep a stall from being remembered as a silence.
func TestStall(t *testing.T) {
	const frozen, crawling, hosts = 5 * time.Second, 140 * ms, 20
	after, most := usual().LostAfter, usual().LostAfterMax
	for _, c := range []struct {
		name            string
		pause           time.Duration
		guarded, drains bool
		mistakes        bool
		lostAfter       time.Duration
	}{
		{"frozen", frozen, true, true, false, after},
		{"crawling", crawling, true, true, false, after},
		{"crawling without draining", crawling, true, false, true, most},
		{"frozen without guard", frozen, false, true, false, most},
		{"frozen without either", frozen, false, false, true, most},
	} {
		for name, build := range map[string]func() detector{
			"view":      func() detector { return newViewed(usual()) },
			"reference": func() detector { return &reference{heart: usual()} },
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				m := loop{guarded: c.guarded, drains: c.drains}
				m.run(c.pause, hosts, build)
				if (m.mistakes > 0) != c.mistakes {
					t.Errorf("%d mistakes, want any: %t", m.mistakes, c.mistakes)
				}
				if got := m.longest(); got > c.lostAfter || got < c.lostAfter-usual().Interval-tick {
					t.Errorf("afterwards a host is lost after %s, want %s", got, c.lostAfter)
				}
			})
		}
	}
}
