package planner

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// Limits of a view.
const (
	offsetWindow  = 2048             // beats in each of the two buckets of the offset minimum
	peakHalfLife  = 60 * time.Minute // how fast a healed silence is forgotten
	maxTargets    = 100_000
	maxOpinions   = 5_000                  // in one published view
	digestFresh   = time.Second            // an older view of another monitor counts for nothing
	canaryLimit   = 700 * time.Millisecond // a view each 200 ms, 500 ms to come back
	joinFresh     = 3 * time.Second        // an agent asks once a second
	newcomerFresh = 10 * time.Second       // how long a second incarnation is remembered
	never         = time.Duration(-1)
)

// target is what a view knows of one host's heart. Times are of the watch clock, stamps of the sender's boot clock.
//
// Algorithm: age of evidence by send stamp with a two-bucket windowed minimum of the transit offset, and a decaying memory
// of the largest silence that healed ("gap memory"). See docs/architecture.md, detection.
type target struct {
	name     string
	inc      uint64        // incarnation that is listened to; 0: none yet
	replaced [2]uint64     // the last two before it: their late beats are dropped
	off      time.Duration // smallest (arrival - stamp) of the last one to two windows
	offNext  time.Duration // the same of the present window
	stamp    time.Duration // newest send stamp
	peak     time.Duration // largest healed silence, as of peakAt; 0 when it makes no difference
	peakAt   time.Duration
	late     time.Duration // deadline: then the host is late
	lost     time.Duration // deadline: then the host is lost
	seq      uint32
	n        uint32 // beats in the present window; 0: none of this incarnation yet
	bound    bool   // inc has joined: another incarnation's beats are no sign of its life
}

// newcomer is another incarnation of a host than the one that has joined: the next one, or a second machine of this name.
type newcomer struct {
	inc  uint64
	boot [16]byte
	at   time.Duration // arrival of its newest beat, watch clock
}

// asker is an incarnation of a host that asks to join.
type asker struct {
	host string
	inc  uint64
}

// Health is what a monitor knows of its own ability to judge. Times are of the watch clock; never (-1) means never.
type Health struct {
	Stalled      time.Duration // when a tick came too late last
	Disconnected time.Duration // when it was last seen cut off from its broker
	Echo         time.Duration // age of the newest of its own views that came back through the bus; never: none yet
	Disk         string        // why its log cannot be written, as far as it knows; empty: it can. It judges hosts all the same
}

type peer struct {
	view     wire.View
	opinions map[string]wire.Opinion
	at       time.Duration // arrival, watch clock
}

type report struct {
	status wire.Status
	at     time.Duration // arrival, watch clock
}

type asked struct {
	join wire.Join
	at   time.Duration // arrival, watch clock
}

// answerTo says whose answer is to which command.
type answerTo struct{ host, id string }

// View is one monitor's own, volatile picture of who beats. It has one owner and is not safe for concurrent use.
type View struct {
	self     string
	monitors []string // the configured ones, self among them, sorted
	heart    plans.Heartbeat
	health   Health
	heardAny time.Duration // until when at least one host is heard in time
	deaf     time.Duration // when the last silence of all hosts at once ended; never: there was none

	index   map[string]int32
	targets []target
	peers   map[string]peer
	levels  map[string]level             // of each monitor that has said it
	strange map[string]newcomer          // by host
	reports map[string]report            // newest status of each host
	joins   map[asker]asked              // who asked to join and has not shown that it got its answer
	touched map[string]bool              // hosts whose status came since Acted
	results map[answerTo]wire.Result     // of steps under way
	expired map[string]map[string]uint64 // by host: of each monitor, the revocation that its newest lease report answers
	fenced  map[string]wire.Fenced       // by host: the newest answer to a fence attempt
	running map[string]map[string]bool   // by workload: the hosts whose newest status says that it runs
	double  map[string]time.Duration     // workloads that run on several hosts, since when
	clocks  map[string]said              // by host
	hosts   Table[Host]                  // that Learn has seen
	memo    memo
}

// NewView returns the view of a monitor that has heard nobody yet.
func NewView(self string, monitors []string) *View {
	return &View{
		self: self, monitors: slices.Sorted(slices.Values(monitors)),
		heart:  plans.Heartbeat{Interval: 250 * time.Millisecond, LateAfter: 750 * time.Millisecond, LostAfter: 3 * time.Second, LostAfterMax: 6 * time.Second},
		health: Health{Stalled: never, Disconnected: never, Echo: never}, deaf: never,
		index: map[string]int32{}, peers: map[string]peer{}, levels: map[string]level{}, strange: map[string]newcomer{}, reports: map[string]report{},
		joins: map[asker]asked{}, touched: map[string]bool{}, results: map[answerTo]wire.Result{},
		expired: map[string]map[string]uint64{}, fenced: map[string]wire.Fenced{},
		running: map[string]map[string]bool{}, double: map[string]time.Duration{}, clocks: map[string]said{},
	}
}

// Configure takes the heartbeat settings and the hosts of an inventory: each host becomes a target, heard or not.
func (v *View) Configure(inv *plans.Inventory, now Now) {
	v.heart = inv.Cluster.Heartbeat
	for _, name := range slices.Sorted(maps.Keys(inv.Hosts)) {
		if _, known := v.index[name]; !known {
			v.add(name, now)
		}
	}
	for i := range v.targets {
		t := &v.targets[i]
		v.deadlines(t, t.evidence(), now.Watch)
	}
}

// add makes a target that has not been heard. Its evidence of life is as old as this view.
func (v *View) add(name string, now Now) {
	v.index[name] = int32(len(v.targets)) //nolint:gosec // bounded by maxTargets
	v.targets = append(v.targets, target{name: name, off: now.Watch, offNext: math.MaxInt64})
	v.deadlines(&v.targets[len(v.targets)-1], now.Watch, now.Watch)
}

// Observe hears one beat. It takes constant time and allocates nothing for a host that is known.
func (v *View) Observe(b *wire.Beat, now Now) {
	i, known := v.index[string(b.Host)]
	if !known {
		if len(v.targets) >= maxTargets {
			return
		}
		v.add(string(b.Host), now)
		i = v.index[string(b.Host)]
	}
	t := &v.targets[i]
	if b.Inc != t.inc && t.bound {
		v.strange[t.name] = newcomer{inc: b.Inc, boot: b.Boot, at: now.Watch}
		return
	}
	if b.Inc != t.inc {
		// What was replaced stays so, unless what replaced it is lost: then the late beat was that one's.
		if now.Watch < t.lost && (b.Inc == t.replaced[0] || b.Inc == t.replaced[1]) {
			return
		}
		if b.Inc != t.replaced[0] {
			t.replaced[1] = t.replaced[0]
		}
		t.replaced[0] = t.inc
		t.inc, t.n = b.Inc, 0
	} else if gap := now.Watch - t.evidence(); gap+gap/2 > v.heart.LostAfter {
		t.remember(gap, now.Watch)
	}
	if t.n == 0 {
		t.off, t.offNext, t.stamp, t.seq = math.MaxInt64, math.MaxInt64, 0, 0
	}
	offset := now.Watch - b.Stamp
	if t.n++; t.n > offsetWindow {
		t.off, t.offNext, t.n = t.offNext, math.MaxInt64, 1
	}
	t.offNext = min(t.offNext, offset)
	t.off = min(t.off, offset)
	if b.Stamp >= t.stamp {
		t.stamp, t.seq = b.Stamp, b.Seq
	}
	v.deadlines(t, t.evidence(), now.Watch)
	if now.Watch >= v.heardAny {
		v.deaf = now.Watch
	}
	v.heardAny = max(v.heardAny, t.late)
}

// Learn binds each host to the incarnation that has joined, as the log says: a second machine of its name is heard beside
// it, not in its place. The evidence of life of an incarnation that was not heard yet is as old as the log's word.
func (v *View) Learn(s *State, now Now) {
	if v.hosts == s.Hosts {
		return
	}
	v.hosts = s.Hosts
	for name, host := range s.Hosts.All() {
		i, known := v.index[name]
		if !known {
			continue // Configure comes first
		}
		t := &v.targets[i]
		t.bound = host.Phase == Active || host.Phase == Revoking
		if t.bound && t.inc != host.Inc {
			// One that the log has not replaced may be the next: this view heard it before it had read so far.
			if slices.Contains(host.Past, t.inc) {
				if t.replaced[0] != host.Inc {
					t.replaced[1] = t.replaced[0]
				}
				t.replaced[0] = t.inc
			}
			t.inc = host.Inc
			t.off, t.offNext, t.stamp, t.seq, t.n = now.Watch, math.MaxInt64, 0, 0, 0
			v.deadlines(t, t.evidence(), now.Watch)
		}
		if n, ok := v.strange[name]; ok && n.inc == t.inc {
			delete(v.strange, name)
		}
	}
}

// evidence is when, on the watch clock, the newest heard beat was sent, as far as the fastest beats tell.
func (t *target) evidence() time.Duration { return t.stamp + t.off }

// remember keeps a silence that has just healed, if it is larger than what is left of the largest one.
func (t *target) remember(gap, at time.Duration) {
	if gap > t.healed(at) {
		t.peak, t.peakAt = gap, at
	}
}

// healed is what is left of the largest healed silence: it halves every peakHalfLife.
func (t *target) healed(at time.Duration) time.Duration {
	if t.peak == 0 {
		return 0
	}
	return time.Duration(float64(t.peak) * math.Exp2(-float64(at-t.peakAt)/float64(peakHalfLife)))
}

// deadlines sets when the target is late and lost, counted from evidence of life.
func (v *View) deadlines(t *target, evidence, at time.Duration) {
	t.late = evidence + v.heart.LateAfter
	t.lost = evidence + v.lostAfter(t, at)
}

// lostAfter is the silence after which a target is lost: one and a half times the largest healed one, within its bounds.
func (v *View) lostAfter(t *target, at time.Duration) time.Duration {
	healed := t.healed(at)
	if healed+healed/2 <= v.heart.LostAfter {
		t.peak = 0
		return v.heart.LostAfter
	}
	return min(healed+healed/2, v.heart.LostAfterMax)
}

// SetHealth tells the view how able its monitor is.
func (v *View) SetHealth(h Health) { v.health = h }

// able says whether this monitor can judge anybody, and why not.
func (v *View) able(now Now) (bool, string) {
	recent := func(at time.Duration) bool { return at != never && now.Watch-at < v.heart.LostAfter }
	switch {
	case recent(v.health.Stalled):
		return false, "this monitor stalled"
	case recent(v.health.Disconnected):
		return false, "cut off from its broker"
	case v.health.Echo == never || v.health.Echo > canaryLimit:
		return false, "its own messages come back late or not at all"
	case len(v.targets) > 0 && (now.Watch >= v.heardAny || recent(v.deaf)):
		return false, "no host is heard, or none was until a moment ago"
	case v.freshMonitors(now) < v.majority():
		return false, "too few monitors are heard"
	}
	return true, ""
}

func (v *View) majority() int { return len(v.monitors)/2 + 1 }

// freshMonitors counts the configured monitors whose views arrive, this one included.
func (v *View) freshMonitors(now Now) int {
	n := 0
	for _, name := range v.monitors {
		if name == v.self || v.fresh(name, now) {
			n++
		}
	}
	return n
}

func (v *View) fresh(monitor string, now Now) bool {
	p, ok := v.peers[monitor]
	return ok && now.Watch-p.at <= digestFresh
}

// verdict is what this view says of one target, without regard to its own health.
func (t *target) verdict(at time.Duration) wire.Verdict {
	switch {
	case at >= t.lost:
		return wire.Lost
	case at >= t.late:
		return wire.Late
	}
	return wire.Alive
}

func (t *target) opinion(at time.Duration) wire.Opinion {
	return wire.Opinion{Host: t.name, Inc: t.inc, Verdict: t.verdict(at), Age: at - t.evidence(), Seq: t.seq}
}

// Opinions is what this monitor publishes: the hosts that it does not hold alive. The caller sets the message's sender
// fields.
func (v *View) Opinions(now Now) wire.View {
	able, why := v.able(now)
	if able {
		why = v.health.Disk
	}
	out := wire.View{Able: able, Why: why, Opinions: []wire.Opinion{}}
	for i := range v.targets {
		t := &v.targets[i]
		if now.Watch < t.late {
			out.Heard++
			continue
		}
		if len(out.Opinions) < maxOpinions {
			out.Opinions = append(out.Opinions, t.opinion(now.Watch))
		}
	}
	return out
}

// ObservePeer hears what a monitor publishes; of this monitor itself only SetHealth is of use.
func (v *View) ObservePeer(p wire.View, now Now) {
	if p.Monitor == v.self || !slices.Contains(v.monitors, p.Monitor) {
		return
	}
	if v.fresh(p.Monitor, now) && p.Sent < v.peers[p.Monitor].view.Sent { // out of order
		return
	}
	opinions := make(map[string]wire.Opinion, len(p.Opinions))
	for _, o := range p.Opinions {
		opinions[o.Host] = o
	}
	v.peers[p.Monitor] = peer{view: p, opinions: opinions, at: now.Watch}
}
