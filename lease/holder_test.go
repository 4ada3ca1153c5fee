package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	inc   = 7
	epoch = 100
)

var (
	terms  = Terms{Length: 6 * time.Second, Renew: time.Second, Stop: 1200 * time.Millisecond, Kill: GuardKill, Self: Guard}
	voters = Voters{Index: 50, Names: []string{"m1", "m2", "m3"}}
)

// joined is a holder under the epoch that has sent a renewal at each of the stamps.
func joined(stamps ...time.Duration) *Holder {
	h := NewHolder(inc, nil)
	h.Join(epoch, terms, voters)
	for _, stamp := range stamps {
		h.Due(stamp)
	}
	return h
}

func ackOf(monitor string, stamp time.Duration) Ack {
	return Ack{Monitor: monitor, Inc: inc, Epoch: epoch, Stamp: stamp, Voters: voters.Index}
}

func TestMajorityMakesTheLease(t *testing.T) {
	h := joined(10*time.Second, 11*time.Second)
	if h.Until() != 0 || h.Phase(11*time.Second) != Missing || h.Confirmed() || h.Kept() != nil {
		t.Errorf("a lease without an answer: until %s, phase %d", h.Until(), h.Phase(11*time.Second))
	}
	for _, step := range []struct {
		ack  Ack
		want time.Duration
	}{
		{ackOf("m1", 11*time.Second), 0},
		{ackOf("m1", 11*time.Second), 0},                // the same one twice is no majority
		{ackOf("m2", 10*time.Second), 16 * time.Second}, // the older of the two
		{ackOf("m3", 11*time.Second), 17 * time.Second},
		{ackOf("m2", 10*time.Second), 17 * time.Second}, // a late copy takes nothing back
	} {
		h.Ack(step.ack)
		if h.Until() != step.want {
			t.Errorf("after %+v the lease ends at %s, want %s", step.ack, h.Until(), step.want)
		}
	}
	if !h.Confirmed() {
		t.Error("a majority has answered and the lease is not confirmed")
	}
}

func TestAnswersThatDoNotCount(t *testing.T) {
	for name, spoil := range map[string]func(*Ack){
		"another incarnation":      func(a *Ack) { a.Inc++ },
		"a former epoch":           func(a *Ack) { a.Epoch-- },
		"a later epoch":            func(a *Ack) { a.Epoch++ },
		"a stamp of the future":    func(a *Ack) { a.Stamp = 10*time.Second + 1 },
		"nobody's":                 func(a *Ack) { a.Monitor = "m9" },
		"one who is no voter yet":  func(a *Ack) { a.Voters = voters.Index - 1 },
		"a monitor without a name": func(a *Ack) { a.Monitor = "" },
	} {
		t.Run(name, func(t *testing.T) {
			h := joined(10 * time.Second)
			h.Ack(ackOf("m1", 10*time.Second))
			a := ackOf("m2", 10*time.Second)
			spoil(&a)
			h.Ack(a)
			if h.Confirmed() || h.Until() != 0 {
				t.Errorf("%+v made a majority", a)
			}
			h.Ack(ackOf("m2", 10*time.Second))
			if !h.Confirmed() {
				t.Error("the right one did not")
			}
		})
	}
}

func TestMajority(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3} {
		if got := (Voters{Names: make([]string, n)}).Majority(); got != want {
			t.Errorf("the majority of %d is %d, want %d", n, got, want)
		}
	}
}

// TestLateAnswerTakesNothingBack: neither of the lease nor of what its monitor has answered since.
func TestLateAnswerTakesNothingBack(t *testing.T) {
	h := joined(10*time.Second, 11*time.Second)
	h.Ack(ackOf("m1", 11*time.Second))
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 11*time.Second))
	if h.Until() != 17*time.Second {
		t.Errorf("the lease ends at %s, want 17 s", h.Until())
	}
	h.SetVoters(Voters{Index: 60, Names: []string{"m4"}})
	h.Ack(Ack{Monitor: "m4", Inc: inc, Epoch: epoch, Stamp: 10 * time.Second, Voters: 60})
	if h.Until() != 17*time.Second {
		t.Errorf("an old answer of a new voter took the lease back to %s", h.Until())
	}
}

func TestPhases(t *testing.T) {
	h := joined(10 * time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 10*time.Second))
	for _, step := range []struct {
		now  time.Duration
		want Phase
	}{
		{10 * time.Second, Held},
		{14799 * time.Millisecond, Held},
		{14800 * time.Millisecond, Ending}, // Stop before the end
		{16*time.Second - 1, Ending},
		{16 * time.Second, Over},
	} {
		if got := h.Phase(step.now); got != step.want {
			t.Errorf("at %s the phase is %d, want %d", step.now, got, step.want)
		}
	}
}

func TestDue(t *testing.T) {
	h := NewHolder(inc, nil)
	if h.Due(10 * time.Second) {
		t.Error("a renewal is due without an epoch")
	}
	h.Join(epoch, terms, voters)
	h.End()
	if h.Due(20 * time.Second) {
		t.Error("a lease that is being ended is renewed")
	}
}

// TestEnd: once what is exclusive is being stopped, no answer prolongs the lease.
func TestEnd(t *testing.T) {
	h := joined(10*time.Second, 11*time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 10*time.Second))
	h.End()
	h.Ack(ackOf("m1", 11*time.Second))
	h.Ack(ackOf("m2", 11*time.Second))
	if h.Until() != 16*time.Second || h.Phase(11*time.Second) != Ending {
		t.Errorf("after the end has begun the lease goes to %s", h.Until())
	}
	h.Join(epoch+1, terms, voters)
	if h.Phase(11*time.Second) != Held {
		t.Error("the next epoch is over before it has begun")
	}
	if !h.Due(13 * time.Second) {
		t.Error("the next epoch is not renewed")
	}
}

// TestLeave: what was asked under the former epoch counts no more; the lease that is left goes on.
func TestLeave(t *testing.T) {
	h := joined(10*time.Second, 11*time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 10*time.Second))
	h.Leave()
	h.Ack(ackOf("m1", 11*time.Second))
	h.Ack(ackOf("m2", 11*time.Second))
	if h.Until() != 16*time.Second || h.Confirmed() || h.Due(12*time.Second) {
		t.Errorf("after leaving: until %s, confirmed %t", h.Until(), h.Confirmed())
	}
	h.Join(epoch+1, terms, voters)
	h.Ack(ackOf("m3", 11*time.Second)) // of the former epoch
	if h.Until() != 16*time.Second || h.Confirmed() || h.Phase(12*time.Second) != Held {
		t.Errorf("after joining anew: until %s, confirmed %t", h.Until(), h.Confirmed())
	}
}

// TestKept: the successor of an incarnation goes on by the same lease, with the terms that were in force.
func TestKept(t *testing.T) {
	h := joined(10 * time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 10*time.Second))
	short := terms
	short.Length = 4 * time.Second
	h.Offer(short)
	next := NewHolder(inc+1, h.Kept())
	if diff := cmp.Diff(Kept{Anchor: 10 * time.Second, Terms: short}, *next.Kept()); diff != "" {
		t.Errorf("kept differs (-want +got):\n%s", diff)
	}
	if next.Until() != 14*time.Second || next.Confirmed() || next.Phase(11*time.Second) != Held {
		t.Errorf("the successor's lease ends at %s", next.Until())
	}
}

func TestTermsInForce(t *testing.T) {
	guard := func(length, kill time.Duration) Terms {
		return Terms{Length: length * time.Second, Renew: time.Second, Kill: kill * time.Second, Self: Guard}
	}
	none := Terms{Length: 3 * time.Second, Renew: time.Second, Self: None}
	dog := guard(6, 5)
	dog.Self = Watchdog
	tightDog := guard(6, 1)
	for name, step := range map[string]struct {
		has, offered, want Terms
		until              time.Duration
	}{
		"shorter":             {guard(6, 1), guard(3, 1), guard(3, 1), 13 * time.Second},
		"longer":              {guard(3, 1), guard(6, 1), guard(3, 1), 13 * time.Second},
		"a quicker kill":      {dog, guard(6, 1), tightDog, 16 * time.Second},
		"a slower kill":       {guard(6, 1), dog, Terms{Length: 6 * time.Second, Renew: time.Second, Kill: time.Second, Self: Watchdog}, 16 * time.Second},
		"no fencing any more": {guard(6, 1), none, guard(6, 1), 16 * time.Second},
		"fencing from now on": {none, guard(6, 1), guard(6, 1), 16 * time.Second},
		"none and none":       {none, none, none, 13 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewHolder(inc, &Kept{Anchor: 10 * time.Second, Terms: step.has})
			h.Offer(step.offered)
			if diff := cmp.Diff(step.want, h.Terms()); diff != "" || h.Until() != step.until {
				t.Errorf("in force until %s, want %s (-want +got):\n%s", h.Until(), step.until, diff)
			}
		})
	}
}

// TestJoinProlongsNothing: longer terms bind from the first answer under their epoch on.
func TestJoinProlongsNothing(t *testing.T) {
	h := NewHolder(inc, &Kept{Anchor: 10 * time.Second, Terms: terms})
	long := terms
	long.Length = time.Minute
	h.Offer(long)
	h.Join(epoch, long, voters)
	if h.Until() != 16*time.Second {
		t.Errorf("the join prolonged the lease to %s", h.Until())
	}
	h.Due(12 * time.Second)
	h.Ack(ackOf("m1", 12*time.Second))
	h.Ack(ackOf("m2", 12*time.Second))
	if h.Until() != 72*time.Second {
		t.Errorf("after the first answers the lease ends at %s, want 72 s", h.Until())
	}
}

// TestJoinForgetsAnswers: those to the former epoch make no majority with those to the next.
func TestJoinForgetsAnswers(t *testing.T) {
	h := joined(10 * time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Join(epoch+1, terms, voters)
	a := ackOf("m2", 10*time.Second)
	a.Epoch++
	h.Ack(a)
	if h.Confirmed() || h.Until() != 0 {
		t.Error("answers to two epochs made a majority")
	}
}

func TestSetVoters(t *testing.T) {
	h := joined(10*time.Second, 11*time.Second)
	h.Ack(ackOf("m1", 10*time.Second))
	h.Ack(ackOf("m2", 10*time.Second))
	h.Ack(ackOf("m1", 11*time.Second)) // counts no more when there are other voters
	h.SetVoters(Voters{Index: 60, Names: []string{"m1", "m4", "m5"}})
	h.SetVoters(voters) // older: nothing
	h.Ack(ackOf("m2", 11*time.Second))
	h.Ack(ackOf("m3", 11*time.Second))
	if h.Until() != 16*time.Second {
		t.Errorf("the former voters prolonged the lease to %s", h.Until())
	}
	for i, want := range []time.Duration{16 * time.Second, 17 * time.Second} {
		h.Ack(Ack{Monitor: []string{"m4", "m5"}[i], Inc: inc, Epoch: epoch, Stamp: 11 * time.Second, Voters: 60})
		if h.Until() != want {
			t.Errorf("after %d answers of the new voters the lease ends at %s, want %s", i+1, h.Until(), want)
		}
	}
}

// TestHolderNeverHoldsMoreThanAMajorityGave lets a holder live through joins, offers, changes of voters and answers of all
// sorts, and counts beside it: the lease never ends later than the newest stamp that a majority of the voters answered under
// the epoch of that time, plus the shortest length in force since.
func TestHolderNeverHoldsMoreThanAMajorityGave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHolder(inc, nil)
		m := &model{h: h, limit: -1}
		t.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"renew":  m.renew,
			"ack":    m.ack,
			"leave":  func(*rapid.T) { h.Leave(); m.epoch = 0 },
			"offer":  m.offer,
			"join":   m.join,
			"voters": m.voters,
		})
	})
}

// model counts in the plainest way what the holder may have.
type model struct {
	h       *Holder
	now     time.Duration
	epoch   uint64
	newest  uint64 // of the epochs and sets of voters
	set     Voters
	length  time.Duration // of the epoch
	sent    []time.Duration
	answers []Ack         // all that count under the present epoch and voters
	limit   time.Duration // the latest end; -1: no lease
}

func (m *model) check(t *rapid.T) {
	if got := m.h.Until(); got > max(m.limit, 0) {
		t.Fatalf("the lease ends at %s, a majority gave %s", got, m.limit)
	}
}

func (m *model) renew(t *rapid.T) {
	m.now += time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond
	if m.h.Due(m.now) {
		m.sent = append(m.sent, m.now)
	}
}

func (m *model) ack(t *rapid.T) {
	a := Ack{
		Monitor: fmt.Sprintf("m%d", rapid.IntRange(1, 5).Draw(t, "monitor")),
		Inc:     uint64(rapid.SampledFrom([]int{inc, inc, inc, inc + 1}).Draw(t, "inc")),
		Epoch:   m.newest - uint64(rapid.IntRange(0, min(2, int(m.newest))).Draw(t, "older")),
		Voters:  m.newest - uint64(rapid.IntRange(0, min(2, int(m.newest))).Draw(t, "known")),
		Stamp:   m.now + time.Second,
	}
	if len(m.sent) > 0 && rapid.IntRange(0, 9).Draw(t, "true stamp") > 0 {
		a.Stamp = m.sent[len(m.sent)-1-rapid.IntRange(0, min(3, len(m.sent)-1)).Draw(t, "age")]
	}
	m.h.Ack(a)
	if a.Inc != inc || m.epoch == 0 || a.Epoch != m.epoch || !slices.Contains(m.sent, a.Stamp) || !slices.Contains(m.set.Names, a.Monitor) {
		return
	}
	m.answers = append(m.answers, a)
	for _, stamp := range m.sent {
		var by []string
		for _, a := range m.answers {
			if a.Stamp >= stamp && !slices.Contains(by, a.Monitor) {
				by = append(by, a.Monitor)
			}
		}
		if 2*len(by) > len(m.set.Names) {
			m.limit = max(m.limit, stamp+m.length)
		}
	}
}

func drawTerms(t *rapid.T) Terms {
	return Terms{Length: time.Duration(rapid.IntRange(2, 10).Draw(t, "length")) * time.Second, Renew: 500 * time.Millisecond, Kill: GuardKill, Self: Guard}
}

func (m *model) offer(t *rapid.T) {
	offered := drawTerms(t)
	anchor := m.h.anchor
	m.h.Offer(offered)
	if m.limit >= 0 {
		m.limit = min(m.limit, anchor+offered.Length)
	}
}

func (m *model) join(t *rapid.T) {
	m.newest++
	m.epoch = m.newest
	m.set = m.drawVoters(t)
	joined := drawTerms(t)
	m.length, m.answers = joined.Length, nil
	m.h.Join(m.epoch, joined, m.set)
}

func (m *model) drawVoters(t *rapid.T) Voters {
	n := rapid.IntRange(1, 5).Draw(t, "voters")
	names := rapid.Permutation([]string{"m1", "m2", "m3", "m4", "m5"}).Draw(t, "names")[:n]
	return Voters{Index: m.newest, Names: names}
}

func (m *model) voters(t *rapid.T) {
	m.newest++
	set := m.drawVoters(t)
	m.h.SetVoters(set)
	m.set, m.answers = set, nil
}

// TestRenewalsUntilConfirmed: the first renewal of an epoch is due at once, and until a majority has answered the others come
// quickly, for an epoch with long pauses between renewals must not lose the lease that is left.
func TestRenewalsUntilConfirmed(t *testing.T) {
	h := NewHolder(7, nil)
	slow := Terms{Length: 20 * time.Second, Renew: 5 * time.Second, Stop: time.Second}
	now := 10 * time.Second
	h.Join(1, slow, Voters{Index: 1, Names: []string{"m"}})
	if !h.Due(now) || h.Due(now+confirmEvery-1) || !h.Due(now+confirmEvery) {
		t.Fatal("renewals are not due at first and then each confirmEvery")
	}
	h.Ack(Ack{Monitor: "m", Inc: 7, Epoch: 1, Stamp: now, Voters: 1})
	now += confirmEvery
	if h.Due(now+slow.Renew-1) || !h.Due(now+slow.Renew) {
		t.Error("renewals of a confirmed epoch are not due each Renew")
	}
	h.Leave()
	if h.Join(2, slow, Voters{Index: 1, Names: []string{"m"}}); !h.Due(now + slow.Renew + 1) {
		t.Error("the first renewal of a new epoch is not due at once")
	}
}
