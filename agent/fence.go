package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// Limits of self-fencing.
const (
	fenceEvery = 100 * time.Millisecond // at most between two looks at the lease
	fenceForce = 5 * time.Second        // for one try to take a workload down
	fenceRetry = time.Second            // between two tries
	young      = 3                      // so many renewals may go without an answer before that is told
)

// errLeaseEnds is why a command that is being done to an exclusive workload is cut off.
var errLeaseEnds = errors.New("the lease of this host ends")

// checkLease is asked at least each fenceEvery: it stops what is exclusive when the lease ends, if the host is to fence
// itself, and asks for a new epoch when this one is of no use any more. It returns when it wants to be asked again.
func (a *Agent) checkLease(ctx context.Context) time.Duration {
	t, exclusive := a.keeper.now(), a.exclusive()
	ends := t.phase == lease.Ending || t.phase == lease.Over
	switch {
	case t.self != lease.None && ends && len(exclusive) > 0:
		a.fence(ctx, t, exclusive)
	case a.fencing:
		a.fencing = false
		a.fenced, a.fencedAt = a.fenced+1, t.at
		a.log.Warn().Int("count", a.fenced).Msg("exclusive workloads were stopped, because the lease ended")
		a.report.change()
	}
	if reason := a.stale(t, len(exclusive)); reason != "" {
		a.beginAsk(reason)
	}
	a.answerSoon()
	a.warnReplaced()
	if word := a.leaseWord(t); word.Held != a.told.Held || word.Why != a.told.Why {
		a.report.change()
	}
	next := fenceEvery
	for _, moment := range []time.Duration{t.until - t.terms.Stop, t.until} {
		if left := moment - t.at; left > 0 {
			next = min(next, left)
		}
	}
	return next
}

// stale says why the present epoch is to be given up for a new one, "" if it is not.
func (a *Agent) stale(t tenure, exclusive int) string {
	switch {
	case !a.authority.joined():
		return ""
	case t.confirmed && t.phase == lease.Over:
		return "the lease has ended"
	case !t.confirmed && t.trying && t.at-t.tried >= t.terms.Length:
		return "no majority of the monitors has confirmed the lease"
	case a.rejoin && (t.confirmed || exclusive == 0): // what runs goes over to the next epoch with a lease as long as can be
		return "the terms of the lease have changed"
	}
	return ""
}

// fence stops all exclusive workloads: cleanly while the lease lasts, then whatever it takes, until each is proven gone. There
// is no way back: the present ask or epoch is given up, and the next join lists none of them.
func (a *Agent) fence(ctx context.Context, t tenure, exclusive []string) {
	if !a.fencing {
		a.fencing = true
		a.keeper.end()
		a.log.Error().Strs("workloads", exclusive).Dur("left", t.until-t.at).Msg("lease is ending, exclusive workloads are being stopped")
		a.beginAsk("the lease is ending")
		for _, name := range exclusive {
			a.workloads[name].retry = 0
		}
	}
	left := t.until - t.at
	for _, name := range exclusive {
		if j := a.doing[name]; j != nil && !j.fence && j.cut != nil {
			j.cut(errLeaseEnds)
		}
		if !a.fencedBy(name) && t.at >= a.workloads[name].retry {
			a.enqueue(a.fenceJob(name, left))
		}
		if w := a.workloads[name]; left <= 0 && !w.killing && (w.killed == 0 || t.at-w.killed >= fenceEvery) {
			w.killing, w.killed = true, t.at
			a.killNow(ctx, name, w.Target)
		}
	}
}

// fencedBy says that a fence job for a workload waits or is being done.
func (a *Agent) fencedBy(name string) bool {
	if j := a.doing[name]; j != nil && j.fence {
		return true
	}
	return slices.ContainsFunc(a.waiting, func(j *job) bool { return j.key == name && j.fence })
}

// fenceJob is the stop of an exclusive workload whose lease ends after left.
func (a *Agent) fenceJob(name string, left time.Duration) *job {
	w := a.workloads[name]
	var ladder []actions.Rung
	if left > 0 {
		ladder = append(ladder, actions.Rung{Limit: left})
	}
	ladder = append(ladder, actions.Rung{Force: true, Limit: fenceForce})
	return &job{key: name, fence: true, command: wire.Command{
		ID: fmt.Sprintf("fence/%s/%d", name, w.Token), Host: a.opt.Host, Token: w.Token, Exclusive: true,
		Action: actions.Action{Verb: actions.Stop, Target: w.Target},
		Ladder: ladder, Within: max(left, 0) + fenceForce,
	}}
}

// killNow kills a workload through its handles, beside whatever its driver is doing, and asks nobody. It proves nothing: the
// stop that follows does.
func (a *Agent) killNow(ctx context.Context, name string, target actions.Target) {
	a.goroutine.Go(func() {
		err := a.doer.kill(ctx, target)
		select {
		case a.killed <- killing{name: name, err: err}:
		case <-ctx.Done():
		}
	})
}

// killing is what came of one round of killing.
type killing struct {
	name string
	err  error
}

func (a *Agent) noteKilling(k killing) {
	w := a.workload(k.name)
	w.killing = false
	if reason := fmt.Sprint(k.err); k.err != nil && reason != w.unkilled {
		w.unkilled = reason
		a.log.Error().Err(k.err).Str("workload", k.name).Msg("workload was not killed")
	}
}

// kill kills what is known to belong to a workload, and then what its driver says belongs to it now.
func (d doer) kill(ctx context.Context, t actions.Target) error {
	charge := d.orders.of(t.Workload)
	err := d.killer.Kill(charge)
	driver, ok := d.drivers[t.Kind]
	if !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	handles, lookErr := driver.Handles(ctx, t)
	if lookErr != nil || len(handles) == 0 {
		return errors.Join(err, lookErr)
	}
	charge.Handles = handles
	return d.killer.Kill(charge)
}

// leaseWord is what the monitors are told of the lease. While an epoch is only a moment old nothing stands in the way.
func (a *Agent) leaseWord(t tenure) wire.LeaseStatus {
	word := wire.LeaseStatus{Fenced: a.fenced, Voters: t.under}
	if a.fenced > 0 {
		word.FencedAgo = t.at - a.fencedAt
	}
	if t.phase != lease.Missing {
		word.Left = t.until - t.at
	}
	trouble := ""
	if t.self != lease.None {
		trouble = a.orders.trouble(t.at)
	}
	switch {
	case a.fencing:
		word.Why = "the lease has ended, exclusive workloads are being stopped"
	case trouble != "":
		word.Why = trouble
	case !a.authority.joined():
		word.Why = "the host is not joined"
	case !t.confirmed && t.trying && t.at-t.tried >= young*t.terms.Renew:
		word.Why = "no majority of the monitors has confirmed it"
	case t.confirmed && t.phase != lease.Held:
		word.Why = "no majority of the monitors has renewed it in time"
	}
	word.Held = word.Why == "" && t.confirmed
	return word
}
