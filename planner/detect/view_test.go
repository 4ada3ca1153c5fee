package detect

import (
	"sort"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// viewed is planner's View, asked through what it publishes.
type viewed struct {
	heart plans.Heartbeat
	view  *planner.View
	beat  wire.Beat
	now   time.Duration
	due   time.Duration
}

func newViewed(heart plans.Heartbeat) *viewed {
	d := &viewed{heart: heart, view: planner.NewView("m1", []string{"m1", "m2", "m3"})}
	d.view.Configure(&plans.Inventory{Cluster: plans.Cluster{Heartbeat: heart}}, planner.Now{Watch: began})
	d.beat = wire.Beat{Host: []byte("h1"), Inc: 1}
	return d
}

func (d *viewed) observe(b beat) {
	d.now, d.beat.Seq, d.beat.Stamp = b.arrived, b.seq, b.stamp
	d.view.Observe(&d.beat, planner.Now{Watch: d.now})
	d.due = d.find()
}

func (d *viewed) deadline() time.Duration { return d.due }

// opinion is what the view will publish of the host at a later time if it hears nothing more.
func (d *viewed) opinion(at time.Duration) wire.Opinion {
	published := d.view.Opinions(planner.Now{Watch: at})
	if len(published.Opinions) == 0 {
		return wire.Opinion{Verdict: wire.Alive}
	}
	return published.Opinions[0]
}

func (d *viewed) lost(at time.Duration) bool { return d.opinion(at).Verdict == wire.Lost }

// find looks for the first moment at which the host is lost: nearly always lost_after since the evidence.
func (d *viewed) find() time.Duration {
	const horizon = time.Hour
	far := d.now + horizon
	evidence := far - d.opinion(far).Age
	low, high := evidence, far
	if usual := evidence + d.heart.LostAfter; d.lost(usual) {
		if !d.lost(usual - 1) {
			return usual
		}
		high = usual
	} else {
		low = usual
	}
	return low + time.Duration(sort.Search(int(high-low), func(i int) bool { return d.lost(low + time.Duration(i)) }))
}

// TestViewIsTheReference: planner's View and the published algorithm hold a host lost at the same instants, after each beat
// on each link.
func TestViewIsTheReference(t *testing.T) {
	const n, least = 100_000, 5
	remembered := 0
	for i, l := range links() {
		view, ref := newViewed(usual()), &reference{heart: usual()}
		longer := false
		for k, b := range l.trace(n, usual().Interval, uint64(i)) {
			view.observe(b)
			ref.observe(b)
			if got, want := view.deadline(), ref.deadline(); got != want {
				t.Fatalf("%s: after beat %d, at %s, the view holds the host lost at %s, the reference at %s", l.name, k, b.arrived, got, want)
			}
			longer = longer || ref.deadline()-ref.evidence() > usual().LostAfter
		}
		if longer {
			remembered++
		}
	}
	if remembered < least {
		t.Errorf("silences were remembered on %d links only, want %d or more: the traces show little", remembered, least)
	}
}
