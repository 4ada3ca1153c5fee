package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// Limits of looking at workloads and telling of them.
const (
	maxLooks    = 8                     // at once for one kind, so that a slow driver delays only its own kind
	lookLimit   = 3 * time.Second       // for one look
	lookGrace   = time.Second           // after which a driver that ignores the limit counts as silent
	changeDelay = 50 * time.Millisecond // changes that come together are told together
	clockEvery  = 10 * time.Second      // what the wall clock shows
)

// workload is what the loop knows of one workload.
type workload struct {
	entry
	watched *wire.Watched // nil: not on the watch list
	retry   time.Duration // boot time before which a failed stop by the agent itself is not tried again

	killing  bool          // a round of killing is under way
	killed   time.Duration // boot time when the last one began, 0: there was none
	unkilled string        // why it was not killed, as last told

	status actions.Status // as last seen
	holds  bool           // its readiness condition does
	since  time.Duration  // boot time since when
	ready  bool           // it has held for long enough
	fresh  bool           // status was seen after the last command ended
	gone   bool           // it was stopped then, with nothing left to kill

	soon    bool          // wants a look at once
	looking bool          // a look is under way
	looked  time.Duration // boot time when the last look began
	turn    uint64        // grows when a command begins or ends: what a look of an earlier turn saw is void
}

// sighting is what came of one look.
type sighting struct {
	name string
	kind string
	turn uint64
	sight
}

// sight is what was seen of a workload.
type sight struct {
	status  actions.Status
	holds   bool // its readiness condition does
	gone    bool // stopped, with nothing left to kill
	handles []actions.Handle
}

// looker asks drivers and probes. It has no state.
type looker struct {
	drivers  map[string]actions.Driver
	boottime func() time.Duration
}

// report is when the next Status is due.
type report struct {
	every   time.Duration
	timer   *time.Timer
	changed bool
	seq     uint64
}

func (r *report) start(every time.Duration) { r.every, r.timer = every, time.NewTimer(every) }

// change lets a Status go out soon.
func (r *report) change() {
	if !r.changed {
		r.changed = true
		r.timer.Reset(changeDelay)
	}
}

// workload finds a workload by its name, new if it is unknown.
func (a *Agent) workload(name string) *workload {
	w := a.workloads[name]
	if w == nil {
		w = &workload{soon: true, status: actions.Status{Condition: actions.Unknown, Detail: "not looked at yet"}}
		a.workloads[name] = w
	}
	return w
}

// target is where to look for a workload: where it was started, else where the inventory says.
func (w *workload) target() (actions.Target, bool) {
	switch {
	case w.Token != 0:
		return w.Target, true
	case w.watched != nil:
		return w.watched.Target, true
	default:
		return actions.Target{}, false
	}
}

// outdate voids what was seen of a workload, and what a look under way will see.
func (w *workload) outdate() {
	w.turn++
	w.fresh, w.soon = false, true
}

// look begins the looks that are due: those that are wanted at once, then the others, the longest waiting first.
func (a *Agent) look(ctx context.Context) {
	now := a.opt.Boottime()
	var due []string
	for name, w := range a.workloads {
		if !w.looking && (w.soon || now-w.looked >= a.opt.LookEvery) {
			due = append(due, name)
		}
	}
	slices.SortFunc(due, func(m, n string) int {
		v, w := a.workloads[m], a.workloads[n]
		switch {
		case v.soon && !w.soon:
			return -1
		case w.soon && !v.soon:
			return 1
		}
		return cmp.Or(cmp.Compare(v.looked, w.looked), cmp.Compare(m, n))
	})
	for _, name := range due {
		w := a.workloads[name]
		target, ok := w.target()
		if !ok || a.looks[target.Kind] == maxLooks {
			continue
		}
		a.looks[target.Kind]++
		w.looking, w.soon, w.looked = true, false, now
		s := sighting{name: name, kind: target.Kind, turn: w.turn}
		var ready actions.Ready
		if w.watched != nil && a.doing[name] == nil { // a start probes by itself
			ready = w.watched.Ready
		}
		a.goroutine.Go(func() {
			s.sight = a.looker.look(ctx, target, ready)
			select {
			case a.sighted <- s:
			case <-ctx.Done():
			}
		})
	}
}

// note takes in what came of a look.
func (a *Agent) note(s sighting) {
	a.looks[s.kind]--
	w := a.workload(s.name)
	w.looking = false
	if s.turn != w.turn {
		w.soon = true
		return
	}
	now := a.opt.Boottime()
	if s.holds && !w.holds {
		w.since = now
	}
	ready := s.holds && w.watched != nil && now-w.since >= w.watched.Ready.Settle
	if w.status != s.status || w.ready != ready {
		a.report.change()
	}
	w.status, w.holds, w.ready, w.fresh, w.gone = s.status, s.holds, ready, true, s.gone
	if w.Token != 0 && w.Exclusive {
		a.orders.point(s.name, s.handles)
	}
}

// giveUpLooks calls what a driver does not answer for unknown, without waiting for it any longer.
func (a *Agent) giveUpLooks() {
	silent := actions.Status{Condition: actions.Unknown, Detail: fmt.Sprintf("no answer for %s", lookLimit+lookGrace)}
	for _, w := range a.workloads {
		if !w.looking || a.opt.Boottime()-w.looked <= lookLimit+lookGrace || w.status == silent {
			continue
		}
		w.status = silent
		w.holds, w.ready, w.fresh, w.gone = false, false, false, false
		a.report.change()
	}
}

// publishStatus tells the monitors what runs here, once they have said what to watch.
func (a *Agent) publishStatus() {
	a.report.changed = false
	a.report.timer.Reset(a.report.every)
	if a.index == 0 {
		return
	}
	a.report.seq++
	a.told = a.leaseWord(a.keeper.now())
	st := wire.Status{
		Host: a.opt.Host, Inc: a.opt.Inc, Epoch: a.authority.epoch.Load(), Index: a.index, Lease: a.told,
		Seq: a.report.seq, Stamp: a.opt.Boottime(), Version: a.opt.Version, Workloads: []wire.WorkloadStatus{},
	}
	for _, name := range slices.Sorted(maps.Keys(a.workloads)) {
		w := a.workloads[name]
		if w.watched == nil {
			continue
		}
		word := wire.WorkloadStatus{
			Workload: name, Condition: w.status.Condition, Ready: w.ready,
			Autostart: w.status.Autostart, Detail: w.status.Detail,
		}
		if word.Condition == actions.Running {
			word.Token = w.Token
		}
		st.Workloads = append(st.Workloads, word)
	}
	data, err := wire.Marshal(st)
	a.send(wire.StatusSubject(a.opt.Host), data, err)
	a.publishClock()
}

// publishClock tells the monitors, now and then, what people may want to know of this machine and this program.
func (a *Agent) publishClock() {
	now := a.opt.Boottime()
	if a.clocked != 0 && now-a.clocked < clockEvery {
		return
	}
	a.clocked = now
	c := wire.Clock{Host: a.opt.Host, Inc: a.opt.Inc, Wall: time.Now().UTC()}
	if a.opt.Expires != nil {
		c.Expires = a.opt.Expires()
	}
	data, err := wire.Marshal(c)
	a.send(wire.ClockSubject(a.opt.Host), data, err)
}

// look asks a driver what a workload is doing and what there is of it to kill, and if it runs, whether it is ready.
func (l looker) look(ctx context.Context, t actions.Target, ready actions.Ready) sight {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	s := sight{status: l.status(ctx, t)}
	if driver, ok := l.drivers[t.Kind]; ok {
		handles, err := driver.Handles(ctx, t)
		s.handles = handles
		s.gone = err == nil && len(handles) == 0 && s.status.Condition == actions.Stopped
	}
	if s.status.Condition == actions.Running && ready.When != "" {
		s.holds = l.check(ctx, t, ready) == nil
	}
	return s
}

// gone says that a workload of this status is stopped with nothing left to kill.
func (l looker) gone(ctx context.Context, t actions.Target, st actions.Status) bool {
	driver, ok := l.drivers[t.Kind]
	if !ok || st.Condition != actions.Stopped {
		return false
	}
	handles, err := driver.Handles(ctx, t)
	return err == nil && len(handles) == 0
}

// status asks a driver; whatever it cannot tell is Unknown.
func (l looker) status(ctx context.Context, t actions.Target) actions.Status {
	driver, ok := l.drivers[t.Kind]
	if !ok {
		return actions.Status{Condition: actions.Unknown, Detail: fmt.Sprintf("this agent has no driver for kind %q", t.Kind)}
	}
	st, err := driver.Status(ctx, t)
	if err != nil {
		return actions.Status{Condition: actions.Unknown, Detail: oneLine(err.Error())}
	}
	return st
}
