package demo

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
)

// look is what the monitors said at one moment. It may be old: index says what it stands on.
type look struct {
	at        time.Time
	index     uint64
	leader    string
	term      uint64
	hosts     map[string]console.HostItem
	workloads map[string]console.WorkloadItem
	reached   map[string]uint64 // by each monitor that was started again and hears the leader: an index
	err       error             // nobody answered
}

// look asks what the leading monitor knows, or without one any monitor, and each monitor that was started again how far it is.
func (d *demo) look(ctx context.Context, healed []machine) look {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	l := d.lookAt(ctx, false)
	if api, ok := errors.AsType[*console.APIError](l.err); ok && api.Exit == console.ExitNoQuorum {
		l = d.lookAt(ctx, true)
	}
	l.reached = map[string]uint64{}
	for _, m := range healed {
		if index, ok := d.reached(ctx, m); ok {
			l.reached[m.Name] = index
		}
	}
	return l
}

func (d *demo) lookAt(ctx context.Context, stale bool) look {
	client := console.NewClient(d.place.servers(), console.ClientOptions{User: d.o.User, Stale: stale})
	defer client.Close()
	l := look{at: time.Now(), hosts: map[string]console.HostItem{}, workloads: map[string]console.WorkloadItem{}}
	status, err1 := client.Status(ctx)
	hosts, err2 := client.Hosts(ctx)
	workloads, err3 := client.Workloads(ctx)
	if l.err = cmp.Or(err1, err2, err3); l.err != nil {
		return l
	}
	l.index, l.leader, l.term = min(status.Index, hosts.Index, workloads.Index), status.Item.Leader, status.Item.Term
	for _, h := range hosts.Items {
		l.hosts[h.Name] = h
	}
	for _, w := range workloads.Items {
		l.workloads[w.Name] = w
	}
	return l
}

// reached asks one monitor how far it is. It does not count before it hears the leader.
func (d *demo) reached(ctx context.Context, m machine) (uint64, bool) {
	client := console.NewClient([]string{d.place.server(m)}, console.ClientOptions{User: d.o.User, Stale: true})
	defer client.Close()
	status, err := client.Status(ctx)
	return status.Index, err == nil && status.Item.Leader != ""
}

// healed lists the monitors that were started again and are not back yet.
func (d *demo) healed() []machine {
	var machines []machine
	for _, f := range d.fates {
		if !f.machine.isHost() && !f.healed.IsZero() {
			machines = append(machines, f.machine)
		}
	}
	return machines
}

// saw takes a look in and tells what events do not say: who is late, who leads, which monitor has caught up.
func (d *demo) saw(l look) {
	if l.err != nil {
		return
	}
	d.looked = l
	now := time.Now()
	if l.leader != "" && l.term > d.term {
		d.term = l.term
		d.story.tell(now, markOK, "%s leads the monitors now (term %d)", l.leader, l.term)
	}
	for name, f := range d.fates {
		if !f.machine.isHost() {
			if index, ok := l.reached[name]; ok && l.at.After(f.healed) && index >= d.index {
				delete(d.fates, name)
				d.story.tell(now, markOK, "%s is back and knows everything up to #%d", name, index)
			}
			continue
		}
		if l.at.After(f.killed) && f.healed.IsZero() && f.loss == 0 {
			d.sawSilence(f, l.hosts[name], now)
		}
		d.sawLease(f, l.hosts[name], now)
	}
}

// sawSilence tells when a dead host was heard last, and that it is late.
func (d *demo) sawSilence(f *fate, h console.HostItem, now time.Time) {
	silent := time.Duration(h.AgeMs) * time.Millisecond
	if !f.beatTold && h.AgeMs >= 0 {
		f.beatTold = true
		d.story.tell(now.Add(-silent), markPlain, "last beat of %s", h.Name)
	}
	if !f.lateTold && h.Word == console.HostSuspect {
		f.lateTold = true
		d.story.tell(now, markWarn, "%s is suspect: silent for %s", h.Name, console.Duration(silent))
	}
}

// sawLease tells for how long a lost host may still run what it ran.
func (d *demo) sawLease(f *fate, h console.HostItem, now time.Time) {
	if f.leaseTold || f.loss == 0 || h.Word != console.HostLost || h.Lease.OverBy.IsZero() {
		return
	}
	f.leaseTold = true
	if left := h.Lease.OverBy.Sub(now); left > 0 {
		d.story.tell(now, markWarn, "%s may still run what it ran, until its lease is over: %s from now at most", h.Name, console.Duration(left))
	}
}

// places says in words where the workloads are that an answer came by. The front has an address of its own: the monitors say
// where that is.
func (d *demo) places(answer string) string {
	var words []string
	for line := range strings.Lines(answer) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		host := d.looked.workloads[name].Owner
		for _, h := range d.place.Hosts {
			if strings.HasPrefix(address, h.Address+":") {
				host = h.Name
			}
		}
		words = append(words, name+" on "+host)
	}
	return strings.Join(words, " → ")
}
