package planner

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

// deed is what comes of a command on a machine.
type deed struct {
	outcome wire.Outcome
	stopped bool // failed or unknown: nevertheless proven gone
	silent  bool // never answered
	took    time.Duration
}

// simHost is a machine with its agent. The agent follows the contract of package agent: it obeys its incarnation and epoch,
// begins nothing after not_after, does each command once, never lets an older token win, and stops what an Assignment does
// not let it keep.
type simHost struct {
	w    *world
	name string
	inc  uint64
	born int // incarnations so far

	up     bool // the machine is
	agent  bool // the agent runs
	cut    bool // from the network
	booted time.Duration

	bootID       string
	holder       *lease.Holder // real, as the agent's
	self         lease.SelfFence
	ask, nonce   uint64 // of the present join
	former, last uint64 // the incarnation that held a host epoch last in this boot, and which
	tried        []lease.Try

	epoch, index uint64        // of the newest Assignment
	phase        time.Duration // of its beats, so that not all beat at once
	seq          uint64
	beat         uint32
	watch        []string
	exclusive    map[string]bool
	running      map[string]uint64 // by workload, its token; 0: nobody of ours started it
	maxSeen      map[string]uint64
	doing        map[string]*job // by workload
	journal      map[string]wire.Result
	scratch      []wire.WorkloadStatus
	told         wire.Status // the last one
	toldAt       time.Duration
	askedAt      time.Duration
	moods        map[string]*mood // by verb and workload, "start db"
}

// job is a command under way.
type job struct {
	command wire.Command
	deed    deed
	ends    time.Duration
}

// mood is how a machine takes a command, a number of times.
type mood struct {
	deed  deed
	times int
}

func newSimHost(w *world, name string) *simHost {
	h := &simHost{w: w, name: name, moods: map[string]*mood{}, phase: time.Duration(len(w.hosts)) * worldTick}
	h.boot()
	return h
}

// boot turns the machine on: nothing runs and the journal's commands are of the past.
func (h *simHost) boot() {
	h.up, h.booted, h.bootID = true, h.w.now, fmt.Sprintf("%032x", h.w.now)
	h.running, h.journal = map[string]uint64{}, map[string]wire.Result{}
	h.holder, h.former, h.last, h.tried, h.self = nil, 0, 0, nil, lease.None
	h.startAgent()
}

// startAgent starts a new incarnation of the agent. What runs here goes on running, under the lease that is left.
func (h *simHost) startAgent() {
	h.born++
	var kept *lease.Kept
	if h.holder != nil {
		kept = h.holder.Kept()
	}
	h.agent, h.inc, h.epoch, h.index, h.seq, h.beat = true, inc(h.name, h.born), 0, 0, 0, 0
	h.holder, h.ask, h.nonce = lease.NewHolder(h.inc, kept), 1, 0
	h.watch, h.told, h.askedAt = nil, wire.Status{}, 0
	h.maxSeen = maps.Clone(h.running)
	h.doing = map[string]*job{}
}

// join begins to join anew.
func (h *simHost) join() {
	h.holder.Leave()
	h.ask++
	h.epoch, h.nonce, h.askedAt = 0, 0, 0
}

// kill turns the machine off.
func (h *simHost) kill() {
	h.up, h.agent = false, false
	h.running, h.doing = map[string]uint64{}, map[string]*job{}
}

func (h *simHost) step() {
	if h.up {
		h.fenceItself()
	}
	if !h.up || !h.agent {
		return
	}
	if len(h.doing) > 0 {
		h.work()
	}
	if (h.w.now+h.phase)%heartbeat.Interval == 0 {
		h.beat++
		b := wire.Beat{Host: []byte(h.name), Inc: h.inc, Seq: h.beat, Stamp: h.stamp()}
		h.w.tell(h, func(v *View) { v.Observe(&b, h.w.time()) })
	}
	if h.epoch == 0 && h.w.now-h.askedAt >= time.Second {
		h.askedAt = h.w.now
		j := wire.Join{
			V: wire.Version, Host: h.name, Boot: h.bootID, Inc: h.inc, Stamp: h.stamp(), Ask: h.ask, Nonce: h.nonce,
			Former: h.former, Epoch: h.last, Tried: h.tried, Keep: h.owned(), Version: "test",
		}
		h.w.tell(h, func(v *View) { v.ObserveJoin(j, h.w.time()) })
	}
	if h.holder.Due(h.stamp()) {
		h.w.renew(h, wire.Renew{Host: h.name, Inc: h.inc, Epoch: h.epoch, Stamp: h.stamp()})
	}
	h.report()
}

// fenceItself kills what is exclusive when the lease is over, agent or not. A new join follows.
func (h *simHost) fenceItself() {
	if h.holder.Phase(h.stamp()) != lease.Over {
		return
	}
	if h.self != lease.None {
		for workload := range h.running {
			if h.exclusive[workload] {
				if h.w.killed != nil {
					h.w.killed(h)
				}
				delete(h.running, workload)
				delete(h.doing, workload)
			}
		}
	}
	if h.agent && h.epoch != 0 && h.holder.Confirmed() {
		h.join()
	}
}

// offer takes an Offer in.
func (h *simHost) offer(o wire.Offer) {
	if h.hears() && o.Inc == h.inc && o.Ask == h.ask && o.Nonce > h.nonce && h.epoch == 0 {
		h.nonce, h.askedAt = o.Nonce, 0
		h.tried = append(slices.Clone(h.tried), lease.Try{Inc: h.inc, Nonce: o.Nonce})
		h.holder.Offer(o.Terms)
	}
}

// work ends the jobs whose time has come.
func (h *simHost) work() {
	for _, workload := range sortedKeys(h.doing) {
		if job := h.doing[workload]; h.w.now >= job.ends {
			h.finish(workload, job)
		}
	}
}

func (h *simHost) stamp() time.Duration { return h.w.now - h.booted }

// owned lists what runs here under a token.
func (h *simHost) owned() []wire.Kept {
	kept := []wire.Kept{}
	for _, workload := range sortedKeys(h.running) {
		if token := h.running[workload]; token != 0 {
			kept = append(kept, wire.Kept{Workload: workload, Token: token})
		}
	}
	return kept
}

// report tells the status when it has changed, and now and then.
func (h *simHost) report() {
	s := wire.Status{V: wire.Version, Host: h.name, Inc: h.inc, Epoch: h.epoch, Index: h.index, Version: "test", Workloads: h.scratch[:0]}
	s.Lease.Held, s.Lease.Voters = h.held(), h.holder.Under()
	for _, workload := range h.watch {
		status := wire.WorkloadStatus{Workload: workload, Condition: actions.Stopped}
		if token, runs := h.running[workload]; runs {
			status.Condition, status.Ready, status.Token = actions.Running, h.doing[workload] == nil, token
		}
		s.Workloads = append(s.Workloads, status)
	}
	same := slices.Equal(s.Workloads, h.told.Workloads) && s.Inc == h.told.Inc && s.Index == h.told.Index && s.Epoch == h.told.Epoch && s.Lease == h.told.Lease
	if same && h.w.now-h.toldAt < 2*time.Second {
		return
	}
	h.scratch = s.Workloads
	s.Workloads = slices.Clone(s.Workloads)
	h.seq++
	h.told, h.toldAt = s, h.w.now
	s.Seq, s.Stamp = h.seq, h.stamp()
	h.w.tell(h, func(v *View) { v.ObserveStatus(s, h.w.time()) })
}

// assign takes an Assignment in.
func (h *simHost) assign(a wire.Assignment) {
	if !h.hears() || a.Inc != h.inc || a.Index <= h.index || a.Epoch != h.epoch && (h.nonce == 0 || a.Nonce != h.nonce) {
		return
	}
	if a.Epoch != h.epoch {
		h.holder.Join(a.Epoch, a.Terms, a.Voters)
		h.self, h.former, h.last, h.tried = a.Terms.Self, h.inc, a.Epoch, nil
	}
	h.holder.SetVoters(a.Voters)
	h.epoch, h.index, h.watch, h.exclusive = a.Epoch, a.Index, nil, map[string]bool{}
	for _, watched := range a.Watch {
		h.watch = append(h.watch, watched.Target.Workload)
		h.exclusive[watched.Target.Workload] = watched.Exclusive
	}
	keep := map[string]uint64{}
	for _, k := range a.Keep {
		keep[k.Workload] = k.Token
		if token, runs := h.running[k.Workload]; runs && token == 0 { // adopted
			h.running[k.Workload] = k.Token
		}
	}
	for workload, token := range h.running {
		if token != 0 && token < a.Epoch && keep[workload] != token {
			delete(h.running, workload)
			delete(h.doing, workload)
		}
	}
	if a.Rejoin {
		h.join()
	}
}

// held says that the lease lets things be started.
func (h *simHost) held() bool { return h.holder.Confirmed() && h.holder.Phase(h.stamp()) == lease.Held }

func (h *simHost) hears() bool { return h.up && h.agent && !h.cut }

// command takes a command in, does it, or refuses it.
func (h *simHost) command(c wire.Command) {
	workload := c.Action.Target.Workload
	busy := h.doing[workload]
	switch {
	case !h.hears(), busy != nil && busy.command.ID == c.ID:
		return
	case c.Inc != h.inc || c.Epoch != h.epoch || h.stamp() > c.NotAfter, c.Action.Verb == actions.Start && !h.held():
		h.answer(wire.Result{ID: c.ID, Token: c.Token, Inc: c.Inc, Epoch: c.Epoch, Outcome: wire.Failed, Reason: "refused"})
		return
	}
	if known, done := h.journal[c.ID]; done {
		h.answerNow(known)
		return
	}
	if c.Token < h.maxSeen[workload] || busy != nil {
		return // the one under way ends first; the command comes again
	}
	h.maxSeen[workload] = c.Token
	d := h.does(c)
	if d.took > c.Within {
		d.took = c.Within
	}
	if c.Action.Verb == actions.Start {
		if h.w.began != nil {
			h.w.began(h, workload)
		}
		h.running[workload] = c.Token
	}
	h.doing[workload] = &job{command: c, deed: d, ends: h.w.now + d.took}
}

// does says what comes of a command here.
func (h *simHost) does(c wire.Command) deed {
	key := string(c.Action.Verb) + " " + c.Action.Target.Workload
	if m := h.moods[key]; m != nil && m.times > 0 {
		m.times--
		return m.deed
	}
	if h.w.doing != nil {
		return h.w.doing(h)
	}
	return deed{outcome: wire.Done, took: 500 * time.Millisecond}
}

// finish ends a job and answers it.
func (h *simHost) finish(workload string, j *job) {
	c, d := j.command, j.deed
	if d.silent { // for ever
		return
	}
	delete(h.doing, workload)
	gone := d.stopped || (c.Action.Verb == actions.Stop && d.outcome == wire.Done)
	if gone {
		delete(h.running, workload)
	}
	r := wire.Result{ID: c.ID, Token: c.Token, Outcome: d.outcome, Stopped: gone, Took: d.took}
	if d.outcome != wire.Done {
		r.Reason = "as the test says"
	}
	h.journal[c.ID] = r
	h.answerNow(r)
}

// answerNow answers under the present incarnation and epoch.
func (h *simHost) answerNow(r wire.Result) {
	r.Inc, r.Epoch = h.inc, h.epoch
	h.answer(r)
}

func (h *simHost) answer(r wire.Result) {
	r.V, r.Host = wire.Version, h.name
	h.w.tell(h, func(v *View) { v.ObserveResult(r) })
}
