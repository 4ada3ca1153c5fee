package planner

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const ms = time.Millisecond

// ear is a view that hears hosts beat.
type ear struct {
	t    *testing.T
	view *View
	now  time.Duration
	seq  uint32
}

// newEar makes the view of m1, of three monitors, that is able to judge, with a host that beats all the time, so that the
// monitor does not think itself deaf.
func newEar(t *testing.T, hosts ...string) *ear {
	t.Helper()
	e := &ear{t: t, now: time.Hour}
	e.view = NewView("m1", []string{"m1", "m2", "m3"})
	inv := &plans.Inventory{Cluster: plans.Cluster{Heartbeat: heartbeat}, Hosts: map[string]plans.Host{"busy": {}}}
	for _, host := range hosts {
		inv.Hosts[host] = plans.Host{}
	}
	e.view.Configure(inv, e.time())
	e.health(Health{Stalled: never, Disconnected: never, Echo: ms})
	e.pass(heartbeat.LostAfter)
	return e
}

func (e *ear) time() Now { return Now{Watch: e.now, Boot: e.now, Log: epoch0.Add(e.now)} }

func (e *ear) health(h Health) { e.view.SetHealth(h) }

// pass lets time pass; the busy host and the other monitors are heard all the while.
func (e *ear) pass(d time.Duration) {
	for end := e.now + d; e.now < end; {
		e.now += min(50*ms, end-e.now)
		e.beat("busy", 1, e.now)
		for _, m := range []string{"m2", "m3"} {
			e.view.ObservePeer(wire.View{Monitor: m, Sent: e.now, Able: true}, e.time())
		}
	}
}

// beat hears a beat with a stamp of the sender's clock.
func (e *ear) beat(host string, inc uint64, stamp time.Duration) {
	e.seq++
	e.view.Observe(&wire.Beat{Host: []byte(host), Inc: inc, Seq: e.seq, Stamp: stamp}, e.time())
}

// beats hears a host beat each 250 ms, each beat underway for delay. The sender's clock is an hour behind.
func (e *ear) beats(host string, inc uint64, n int, delay time.Duration) {
	for range n {
		e.pass(heartbeat.Interval)
		e.beat(host, inc, e.now-time.Hour-delay)
	}
}

func (e *ear) want(host string, want wire.Verdict) {
	e.t.Helper()
	got := e.view.targets[e.view.index[host]].verdict(e.now)
	if got != want {
		e.t.Errorf("at %s the verdict on %s is %s, want %s", e.now, host, got, want)
	}
}

// lostAfter is the silence after which the host is lost, found by waiting.
func (e *ear) lostAfter(host string) time.Duration {
	e.t.Helper()
	began := e.now
	for e.view.targets[e.view.index[host]].verdict(e.now) != wire.Lost {
		if e.now-began > time.Minute {
			e.t.Fatalf("%s is never lost", host)
		}
		e.pass(10 * ms)
	}
	return e.now - began
}

// TestAgeIsCountedFromTheSendStamp: a beat that was long under way is old news. (A view that counts from the arrival hears
// h1 for 2 s longer.)
func TestAgeIsCountedFromTheSendStamp(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 1, 20, 5*ms)
	sent := e.now - 5*ms
	e.pass(2 * time.Second)
	e.beat("h1", 1, sent-time.Hour+ms) // sent right after the last one, arrives 2 s late
	e.want("h1", wire.Late)
	if got, want := e.lostAfter("h1"), time.Second; got < want-20*ms || got > want+20*ms {
		t.Errorf("h1 is lost %s after the late beat, want %s", got, want)
	}
}

// TestOldBeatChangesNothing: beats that arrive twice or out of order neither renew nor age the evidence.
func TestOldBeatChangesNothing(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 1, 20, 5*ms)
	before := e.view.targets[e.view.index["h1"]]
	e.pass(500 * ms)
	e.beat("h1", 1, e.now-time.Hour-1500*ms)
	after := e.view.targets[e.view.index["h1"]]
	if after.late != before.late || after.lost != before.lost || after.seq != before.seq {
		t.Errorf("an old beat changed the deadlines: %+v, before %+v", after, before)
	}
}

// TestHealedSilence: a silence that heals makes the next one take longer, up to the limit, and is forgotten in time.
func TestHealedSilence(t *testing.T) {
	for _, c := range []struct{ silence, want time.Duration }{
		{0, 3 * time.Second},
		{1900 * ms, 3 * time.Second},         // 1.5 × is less than lost_after
		{2800 * ms, 4200 * ms},               // 1.5 ×
		{3600 * ms, 5400 * ms},               // it was lost and came back
		{30 * time.Second, 6 * time.Second},  // lost_after_max
		{400 * time.Second, 6 * time.Second}, // no matter how long
	} {
		t.Run(c.silence.String(), func(t *testing.T) {
			e := newEar(t, "h1")
			e.beats("h1", 1, 20, 0)
			e.pass(c.silence)
			e.beat("h1", 1, e.now-time.Hour)
			if got := e.lostAfter("h1"); got < c.want-20*ms || got > c.want+20*ms {
				t.Errorf("after a healed silence of %s it is lost after %s, want %s", c.silence, got, c.want)
			}
		})
	}
}

func TestHealedSilenceIsForgotten(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 1, 20, 0)
	e.pass(3900 * ms)
	for _, want := range []time.Duration{5850 * ms, 4137 * ms, 3 * time.Second} { // 1.5 × 3.9 s, then × 2^-½ each half hour
		e.beat("h1", 1, e.now-time.Hour)
		target := e.view.targets[e.view.index["h1"]]
		if got := target.lost - e.now; got < want-5*ms || got > want+5*ms {
			t.Errorf("lost after %s, want %s", got, want)
		}
		e.beats("h1", 1, 30*60*4, 0)
	}
}

// TestReplacedIncarnation: late beats of an incarnation that was replaced do not count, of the last two at least.
func TestReplacedIncarnation(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 1, 4, 0)
	e.beats("h1", 2, 4, 0)
	e.beats("h1", 3, 4, 0)
	e.pass(2 * time.Second)
	e.beat("h1", 1, e.now)
	e.beat("h1", 2, e.now)
	e.want("h1", wire.Late)
	if got := e.view.targets[e.view.index["h1"]].inc; got != 3 {
		t.Errorf("incarnation %d is heard, want 3", got)
	}
	if e.view.heard("h1", 2, e.time()) {
		t.Error("a replaced incarnation is heard")
	}
	e.view.ObserveJoin(wire.Join{Host: "h1", Inc: 2}, e.time())
	e.view.ObserveStatus(wire.Status{Host: "h1", Inc: 2}, e.time())
	if len(e.view.joins) != 0 || len(e.view.reports) != 0 {
		t.Error("a replaced incarnation asks and reports")
	}
	e.beat("h1", 4, 7*ms) // a boot clock that has just begun
	e.want("h1", wire.Alive)
	if got := e.lostAfter("h1"); got < 2980*ms || got > 3020*ms {
		t.Errorf("a new incarnation is lost after %s, want 3s", got)
	}
}

// TestLateBeatOfAnOldIncarnation: a monitor that has heard nothing yet cannot tell that a beat is late. It takes it for
// the newest incarnation, but only until that one is lost.
func TestLateBeatOfAnOldIncarnation(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 2, 4, 0)
	e.beat("h1", 1, 7*ms)
	e.beats("h1", 2, 4, 0)
	if e.view.heard("h1", 2, e.time()) {
		t.Error("the new incarnation is heard before the old one is lost: the test shows nothing")
	}
	e.beats("h1", 2, 20, 0)
	if !e.view.heard("h1", 2, e.time()) || e.view.replaced("h1", 2) {
		t.Error("the new incarnation is never heard again")
	}
}

// TestSuccessorHeardBeforeTheLog: a monitor that was started anew hears the next incarnation before it has read in the log
// who joined last. The next one is not replaced by that: its join counts.
func TestSuccessorHeardBeforeTheLog(t *testing.T) {
	e := newEar(t, "h1")
	e.beats("h1", 2, 4, 0)
	s := NewState()
	s.Hosts = s.Hosts.With("h1", Host{Phase: Active, Inc: 1})
	e.view.Learn(s, e.time())
	e.beats("h1", 2, 4, 0)
	e.view.ObserveJoin(wire.Join{Host: "h1", Inc: 2}, e.time())
	if len(e.view.asking()) != 1 || !e.view.heard("h1", 2, e.time()) {
		t.Error("the next incarnation is not heard, or cannot ask to join")
	}
	s = NewState()
	s.Hosts = s.Hosts.With("h1", Host{Phase: Active, Inc: 2, Past: []uint64{1}})
	e.view.Learn(s, e.time())
	if !e.view.replaced("h1", 1) || e.view.replaced("h1", 2) {
		t.Error("the log has replaced 1 by 2, the view has not")
	}
}

// TestNeverHeard: a host of the inventory that never beat is as old as the view.
func TestNeverHeard(t *testing.T) {
	e := newEar(t)
	e.view.Configure(&plans.Inventory{Cluster: plans.Cluster{Heartbeat: heartbeat}, Hosts: map[string]plans.Host{"h9": {}}}, e.time())
	e.want("h9", wire.Alive)
	if got := e.lostAfter("h9"); got < 2980*ms || got > 3020*ms {
		t.Errorf("a host that never beat is lost after %s, want 3s", got)
	}
}

// TestAble: a monitor that has reason to doubt itself does not judge.
func TestAble(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(e *ear)
		want bool
	}{
		{"well", func(*ear) {}, true},
		{"stalled", func(e *ear) { e.health(Health{Stalled: e.now - 2900*ms, Disconnected: never, Echo: ms}) }, false},
		{"stalled long ago", func(e *ear) { e.health(Health{Stalled: e.now - 3100*ms, Disconnected: never, Echo: ms}) }, true},
		{"cut off", func(e *ear) { e.health(Health{Stalled: never, Disconnected: e.now, Echo: ms}) }, false},
		{"slow canary", func(e *ear) { e.health(Health{Stalled: never, Disconnected: never, Echo: 701 * ms}) }, false},
		{"no canary", func(e *ear) { e.health(Health{Stalled: never, Disconnected: never, Echo: never}) }, false},
		{"alone", func(e *ear) { e.now += 1100 * ms; e.beat("busy", 1, e.now) }, false},
		{"deaf", func(e *ear) { e.quiet(2 * time.Second) }, false},
		{"deaf until now", func(e *ear) { e.quiet(2 * time.Second); e.pass(2900 * ms) }, false},
		{"deaf a while ago", func(e *ear) { e.quiet(2 * time.Second); e.pass(3200 * ms) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEar(t)
			e.pass(5 * time.Second)
			c.do(e)
			able, why := e.view.able(e.time())
			if able != c.want || able == (why != "") {
				t.Errorf("able: %t (%q), want %t", able, why, c.want)
			}
			if published := e.view.Opinions(e.time()); published.Able != able || published.Why != why {
				t.Errorf("published: %t (%q), want %t (%q)", published.Able, published.Why, able, why)
			}
		})
	}
}

// quiet lets time pass in which no host is heard, but the monitors are.
func (e *ear) quiet(d time.Duration) {
	e.now += d
	for _, m := range []string{"m2", "m3"} {
		e.view.ObservePeer(wire.View{Monitor: m, Sent: e.now, Able: true}, e.time())
	}
}

// TestWitnesses: a host is lost when a majority of the configured monitors says so, each able and heard a moment ago.
func TestWitnesses(t *testing.T) {
	lost := []wire.Opinion{{Host: "h1", Verdict: wire.Lost, Age: 4 * time.Second}}
	late := []wire.Opinion{{Host: "h1", Verdict: wire.Late, Age: 2 * time.Second}}
	for _, c := range []struct {
		name    string
		m2, m3  []wire.Opinion
		unable  bool          // m2
		silence time.Duration // of m2 and m3, since
		want    int
	}{
		{"all three", lost, lost, false, 0, 3},
		{"a majority", lost, nil, false, 0, 2},
		{"late is not lost", late, late, false, 0, 1},
		{"who is not able does not count", lost, nil, true, 0, 1},
		{"old views do not count", lost, lost, false, 1100 * ms, 0}, // and this monitor is not able without them
		{"views of a moment ago count", lost, lost, false, 900 * ms, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEar(t, "h1")
			e.pass(4 * time.Second)
			e.view.ObservePeer(wire.View{Monitor: "m2", Sent: e.now, Able: !c.unable, Opinions: c.m2}, e.time())
			e.view.ObservePeer(wire.View{Monitor: "m3", Sent: e.now, Able: true, Opinions: c.m3}, e.time())
			e.view.ObservePeer(wire.View{Monitor: "m4", Sent: e.now, Able: true, Opinions: lost}, e.time()) // not configured
			e.view.ObservePeer(wire.View{Monitor: "m2", Sent: e.now - 200*ms, Able: true}, e.time())        // out of order
			for range c.silence / (100 * ms) {
				e.now += 100 * ms
				e.beat("busy", 1, e.now)
			}
			if got := len(e.view.witnesses("h1", 1, e.time())); got != c.want {
				t.Errorf("%d witnesses, want %d", got, c.want)
			}
		})
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	v, beats := manyHosts(1000)
	i := 0
	if n := testing.AllocsPerRun(5000, func() {
		b := &beats[i%len(beats)]
		b.Stamp += heartbeat.Interval
		v.Observe(b, Now{Watch: b.Stamp})
		i++
	}); n != 0 {
		t.Errorf("Observe allocates %v times, want 0", n)
	}
	if size := unsafe.Sizeof(target{}); size > 128 {
		t.Errorf("a target takes %d bytes, want at most 128", size)
	}
}

// manyHosts is a view of many hosts, and a beat of each.
func manyHosts(n int) (*View, []wire.Beat) {
	v := NewView("m1", []string{"m1", "m2", "m3"})
	v.SetHealth(Health{Stalled: never, Disconnected: never, Echo: ms})
	beats := make([]wire.Beat, n)
	for i := range beats {
		beats[i] = wire.Beat{Host: fmt.Appendf(nil, "host-%05d", i), Inc: 7, Stamp: time.Second}
		v.Observe(&beats[i], Now{Watch: time.Second})
	}
	return v, beats
}
