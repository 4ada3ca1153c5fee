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

// assign takes in an Assignment: of an offer that this ask has answered, or a newer one of the epoch that is held.
func (a *Agent) assign(as wire.Assignment) {
	switch {
	case as.Host != a.opt.Host:
		return
	case as.Inc != a.opt.Inc:
		a.keeper.noteOther(as.Inc)
		return
	case as.Epoch == 0 || as.Index <= a.index:
		return
	case as.Epoch == a.authority.epoch.Load():
		a.keeper.setVoters(as.Voters)
	case a.authority.joined() || !slices.Contains(a.ask.answered, as.Nonce):
		return // of an ask that was given up
	default:
		if err := a.takeEpoch(as); err != nil {
			a.log.Error().Err(err).Uint64("host_epoch", as.Epoch).Msg("assignment was refused")
			return // the monitors send it again
		}
		a.log.Info().Uint64("host_epoch", as.Epoch).Uint64("index", as.Index).Int("keep", len(as.Keep)).Msg("host epoch was set")
	}
	a.index, a.rejoin = as.Index, as.Rejoin
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
	a.charge()
	a.stopLeftovers()
	a.report.change()
}

// takeEpoch journals a new epoch and takes its lease over. The log has grown since everything that the journal knows of it;
// if it seems not to have, it is another log, whose word on what may run here means nothing.
func (a *Agent) takeEpoch(as wire.Assignment) error {
	if newest := a.newestIndex(); as.Epoch <= newest {
		return fmt.Errorf("the journal knows index %d of the log: this is another cluster, or one that has lost its data", newest)
	}
	if err := a.orders.hold(a.opt.Inc, as.Epoch); err != nil {
		return err
	}
	h := held{Epoch: as.Epoch}
	if err := a.journal.saveHeld(h); err != nil {
		return err
	}
	a.last = h
	a.keeper.join(as)
	signal(a.orders.moved)
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
		e.Token, e.Target, e.Exclusive = token, w.watched.Target, w.watched.Exclusive
		if err := a.journal.save(nil, name, &e); err != nil {
			a.log.Error().Err(err).Str("workload", name).Msg("adoption was not journaled")
			continue
		}
		w.entry = e
		a.log.Info().Str("workload", name).Uint64("token", token).Msg("token was taken over from the assignment")
	}
}

// charge tells the guard what is exclusive here, by the newest word of the inventory.
func (a *Agent) charge() {
	for _, name := range a.owned() {
		w := a.workloads[name]
		if w.watched != nil && w.watched.Exclusive != w.Exclusive {
			w.Exclusive = w.watched.Exclusive
			if err := a.journal.save(nil, name, &w.entry); err != nil {
				a.log.Error().Err(err).Str("workload", name).Msg("change was not journaled")
			}
		}
		if w.Exclusive {
			a.orders.charge(name, w.Token, w.Target)
		} else {
			a.orders.discharge(name)
		}
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

// leftover says that a workload has a token from before this epoch that the newest Assignment does not bear out: a newer
// token was granted under this epoch. Without an epoch there is nobody to say so, but what is doomed has to go.
func (a *Agent) leftover(name string) bool {
	if !a.authority.joined() {
		return a.doomed(name) && !a.fencing
	}
	w := a.workloads[name]
	return w.Token != 0 && w.Token < a.authority.epoch.Load() && a.kept[name] != w.Token
}
