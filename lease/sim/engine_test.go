package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holter-ha/holter/planner"
)

// sim is one world and one run of it.
type sim struct {
	rnd   *rand.Rand
	now   time.Duration // real time
	queue queue
	seq   uint64
	p     profile
	mut   mutant
	tell  func(string) // hears the story, nil: nobody

	states   []*planner.State // by index of the log
	entries  []planner.Entry  // entries[i] made states[i]
	monitors []*monitor
	machines []*machine
	cuts     [nodes][nodes]time.Duration // from, to: until when nothing gets through

	granted   map[string]uint64              // by workload: index of the last grant
	ran       map[string]*machine            // by workload: where it was started last
	fenceRuns map[string]uint64              // by host: the newest run that fences it
	raise     uint64                         // how much larger the log's indexes are than those of states: it was recovered
	life      int                            // how often it was recovered
	lost      uint64                         // entries that were lost then
	done      struct{ starts, moves uint64 } // before the last recovery
	wrong     string                         // the first thing that went wrong
	starts    uint64
	moves     uint64 // starts on another machine than the last one
}

// What there is at most. A twin is a second machine of the first host's name.
const (
	maxMonitors = 6
	maxMachines = 4
	nodes       = maxMonitors + maxMachines
)

// newSim makes the world of a seed.
func newSim(seed uint64, p profile, mut mutant, tell func(string)) *sim {
	s := &sim{
		rnd: rand.New(rand.NewPCG(seed, 0)), mut: mut, tell: tell, states: []*planner.State{planner.NewState()},
		entries: make([]planner.Entry, 1), granted: map[string]uint64{}, ran: map[string]*machine{},
		fenceRuns: map[string]uint64{},
	}
	s.p = p.drawn(s)
	s.form()
	if s.p.script != nil {
		s.p.script(s)
	}
	return s
}

// run lets time pass until the end, or until something went wrong.
func (s *sim) run() string {
	for len(s.queue) > 0 && s.wrong == "" {
		e := s.queue.pop()
		if e.at > s.p.length {
			break
		}
		s.now = e.at
		e.do()
	}
	return s.wrong
}

func (s *sim) fail(format string, args ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("%.3fs: ", s.now.Seconds()) + fmt.Sprintf(format, args...)
		s.say("WRONG: %s", s.wrong)
	}
}

// say tells a line of the story.
func (s *sim) say(format string, args ...any) {
	if s.tell != nil {
		s.tell(fmt.Sprintf("%8.3f  ", s.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

// at lets something happen at a moment of real time.
func (s *sim) at(when time.Duration, do func()) {
	s.seq++
	s.queue.push(event{at: max(when, s.now), seq: s.seq, do: do})
}

func (s *sim) after(d time.Duration, do func()) { s.at(s.now+d, do) }

// often lets something happen again and again, with this mean time between; never if that is 0.
func (s *sim) often(mean time.Duration, do func()) {
	if mean <= 0 {
		return
	}
	s.after(time.Duration(s.rnd.ExpFloat64()*float64(mean)), func() {
		do()
		s.often(mean, do)
	})
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rnd.Float64() < p }

// upTo draws a duration.
func (s *sim) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(s.rnd.Int64N(int64(d)))
}

func (s *sim) between(least, most time.Duration) time.Duration { return least + s.upTo(most-least) }

func pick[T any](s *sim, from []T) T { return from[s.rnd.IntN(len(from))] }

// mail lets something happen when a message arrives, if it does.
func (s *sim) mail(from, to int, do func()) { s.slowMail(from, to, 0, do) }

// slowMail is mail over a way that is so much longer.
func (s *sim) slowMail(from, to int, longer time.Duration, do func()) {
	if s.now < s.cuts[from][to] || s.chance(s.p.loss) {
		return
	}
	copies := 1
	if s.chance(s.p.twice) {
		copies = 2
	}
	for range copies {
		delay := s.between(time.Millisecond, 30*time.Millisecond)
		if s.chance(s.p.late) {
			delay = s.upTo(s.p.latest)
		}
		s.after(longer+delay, do)
	}
}

// clock is CLOCK_BOOTTIME of one machine: it begins anew with each boot.
type clock struct {
	rate  float64
	base  time.Duration // real time of the boot
	start time.Duration // what it showed then
}

func (c clock) at(real time.Duration) time.Duration {
	return c.start + time.Duration(float64(real-c.base)*c.rate)
}

// real is the first moment of real time at which the clock shows local or more.
func (c clock) real(local time.Duration) time.Duration {
	return c.base + time.Duration(float64(local-c.start)/c.rate) + 2
}

// event is something that happens at a moment; those of one moment happen in the order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 && e.before(&h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = e
	*q = h
}

func (q *queue) pop() event {
	h := *q
	top, e := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&e) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = e
	return top
}
