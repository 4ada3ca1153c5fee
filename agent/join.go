package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// leftoverLadder stops what runs here without authority: it is asked to stop, then taken down.
var leftoverLadder = []actions.Rung{{Limit: 30 * time.Second}, {Force: true, Limit: 10 * time.Second}}

const (
	leftoverWithin = 45 * time.Second // for the whole ladder
	leftoverPause  = 10 * time.Second // after it failed, before it is tried again
)

// join asks the monitors to take this incarnation in, unless they have. It waits for a first look at what is in the
// journal, so that what is gone is not listed, but not for a driver that does not answer.
func (a *Agent) join() {
	if a.authority.joined() {
		return
	}
	keep := []wire.Kept{}
	for _, name := range a.owned() {
		w := a.workloads[name]
		if !w.fresh && a.opt.Boottime()-a.began <= lookLimit+lookGrace {
			return
		}
		// Only a look that began after the last command proves that a workload is gone. Unknown is no proof.
		if w.fresh && w.status.Condition == actions.Stopped && !a.busy(name) {
			continue
		}
		keep = append(keep, wire.Kept{Workload: name, Token: w.Token})
	}
	a.asked = true
	j := wire.Join{
		Host: a.opt.Host, Boot: a.boot, Inc: a.opt.Inc, Stamp: a.opt.Boottime(),
		Journal: a.journalID, Keep: keep, Version: a.opt.Version,
	}
	if a.last.Boot == a.boot {
		j.Epoch = a.last.Epoch
	}
	data, err := wire.Marshal(j)
	a.send(wire.JoinSubject(a.opt.Host), data, err)
}

// owned lists what the journal holds a token for, in order.
func (a *Agent) owned() []string {
	var names []string
	for name, w := range a.workloads {
		if w.Token != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// assign takes in an Assignment. One with epoch 0 says that the epoch was revoked: the agent asks to join again. It may
// get the same epoch back.
func (a *Agent) assign(as wire.Assignment) {
	if as.Host != a.opt.Host || as.Inc != a.opt.Inc || as.Index <= a.index {
		return
	}
	if as.Epoch != 0 && as.Epoch != a.assigned {
		if err := a.takeEpoch(as.Epoch); err != nil {
			a.log.Error().Err(err).Uint64("host_epoch", as.Epoch).Msg("assignment was refused")
			return // the monitors send it again
		}
	}
	if as.Epoch != a.authority.epoch.Load() {
		a.log.Info().Uint64("host_epoch", as.Epoch).Uint64("index", as.Index).Int("keep", len(as.Keep)).Msg("host epoch was set")
	}
	a.index = as.Index
	a.kept = make(map[string]uint64, len(as.Keep))
	for _, k := range as.Keep {
		a.kept[k.Workload] = k.Token
	}
	a.authority.epoch.Store(as.Epoch)
	if as.Interval > 0 {
		a.beater.interval.Store(int64(as.Interval))
	}
	a.watch(as.Watch)
	a.adopt()
	a.stopLeftovers()
	a.report.change()
}

// takeEpoch journals a new epoch. The log has grown since everything that the journal knows of it; if it seems not to have,
// it is another log, whose word on what may run here means nothing.
func (a *Agent) takeEpoch(epoch uint64) error {
	if newest := a.newestIndex(); epoch <= newest {
		return fmt.Errorf("the journal knows index %d of the log: this is another cluster, or one that has lost its data", newest)
	}
	h := held{Boot: a.boot, Epoch: epoch}
	if err := a.journal.saveHeld(h); err != nil {
		return err
	}
	a.last, a.assigned = h, epoch
	return nil
}

// newestIndex is the newest index of the log that the journal knows.
func (a *Agent) newestIndex() uint64 {
	newest := a.last.Epoch
	for _, w := range a.workloads {
		newest = max(newest, w.Token, w.MaxSeen)
	}
	return newest
}

// watch replaces the list of workloads that are reported.
func (a *Agent) watch(list []wire.Watched) {
	former := make(map[string]actions.Target)
	for name, w := range a.workloads {
		former[name], _ = w.target()
		w.watched = nil
	}
	for _, item := range list {
		w := a.workload(item.Target.Workload)
		w.watched = &item
		if target, _ := w.target(); target != former[item.Target.Workload] {
			w.outdate()
		}
	}
	maps.DeleteFunc(a.workloads, func(name string, w *workload) bool {
		return w.watched == nil && w.entry == entry{} && !w.looking && !a.busy(name)
	})
}

// adopt journals the token of what was found running here and has been given to this host: a WorkloadAdopted brings no
// command, only a place in the Assignment. What a newer command has decided on stays as that left it.
func (a *Agent) adopt() {
	for name, token := range a.kept {
		w := a.workloads[name]
		if w == nil || w.watched == nil || w.Token != 0 || token <= w.MaxSeen || a.busy(name) {
			continue
		}
		e := w.entry
		e.Token, e.Target = token, w.watched.Target
		if err := a.journal.save(nil, name, &e); err != nil {
			a.log.Error().Err(err).Str("workload", name).Msg("adoption was not journaled")
			continue
		}
		w.entry = e
		a.log.Info().Str("workload", name).Uint64("token", token).Msg("token was taken over from the assignment")
	}
}

// stopLeftovers stops what runs here without authority.
func (a *Agent) stopLeftovers() {
	for _, name := range a.owned() {
		w := a.workloads[name]
		if !a.leftover(name) || a.busy(name) || a.opt.Boottime() < w.retry {
			continue
		}
		a.log.Warn().Str("workload", name).Uint64("token", w.Token).Msg("workload had no authority here, its stop was begun")
		a.enqueue(&job{key: name, leftover: true, command: wire.Command{
			ID: fmt.Sprintf("leftover/%s/%d", name, w.Token), Host: a.opt.Host, Token: w.Token,
			Action: actions.Action{Verb: actions.Stop, Target: w.Target},
			Ladder: leftoverLadder, Within: leftoverWithin,
		}})
	}
}

// leftover says that a workload has a token from before this epoch that the newest Assignment does not bear out. A newer
// token was granted under this epoch. Without an epoch there is nobody to say so.
func (a *Agent) leftover(name string) bool {
	w := a.workloads[name]
	return w.Token != 0 && w.Token < a.authority.epoch.Load() && a.kept[name] != w.Token
}
