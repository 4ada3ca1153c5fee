package demo

import "time"

// asked is one request of the client and what came of it.
type asked struct {
	sent   time.Time
	done   time.Time
	answer string // what the shop said
	err    error
}

// outage is a time without an answer: from the first request that failed, when it was sent, to the first answer after it.
type outage struct {
	from, to time.Time
	lost     int // requests that failed
}

// lasted is how long the shop did not answer.
func (o outage) lasted() time.Duration { return o.to.Sub(o.from) }

// meter finds outages in the client's requests.
type meter struct {
	open    *outage
	outages []outage // that have ended
	asked   int
}

// observe takes the next request, in the order in which they were sent. It reports whether an outage has begun or ended.
func (m *meter) observe(a asked) (began, ended bool) {
	m.asked++
	switch {
	case a.err != nil && m.open == nil:
		m.open = &outage{from: a.sent, lost: 1}
		return true, false
	case a.err != nil:
		m.open.lost++
	case m.open != nil:
		m.open.to = a.done
		m.outages = append(m.outages, *m.open)
		m.open = nil
		return false, true
	}
	return false, false
}

// last is the outage that ended last.
func (m *meter) last() outage { return m.outages[len(m.outages)-1] }
