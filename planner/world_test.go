package planner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

const (
	worldTick = 50 * time.Millisecond
	viewEvery = 200 * time.Millisecond
	settle    = 300 * time.Millisecond
)

// epoch0 is the wall time at which every world begins.
var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a cluster in virtual time, without network and disks: one log, a view for each monitor, and hosts that do as
// they are told. It is reproducible: nothing in it depends on the order of a map or on real time.
type world struct {
	t     testing.TB
	now   time.Duration
	state *State
	views map[string]*View
	names []string // of the monitors
	lead  string
	hosts []*simHost

	granters map[string]*lease.Granter // real, as the monitors'
	fenced   map[string]wire.Fenced    // by host: what came of the newest attempt, told again and again

	post     []letter
	posted   int
	inflight map[string]bool
	heard    func(commit) // of each entry that was applied

	// Faults, all nil or zero in a world without any.
	delay  func() time.Duration                    // of a message
	lose   func() bool                             // a message
	twice  func() bool                             // a message arrives
	doing  func(*simHost) deed                     // what comes of a command
	drop   func() bool                             // a proposal, together with its leader
	power  func(attempt FenceStarted) wire.Outcome // what comes of an attempt to fence
	sent   func(wire.Command)                      // hears each command
	began  func(*simHost, string)                  // hears each start of a workload, before it runs
	killed func(*simHost)                          // hears each machine that kills what it runs because its lease is over
}

// commit is an entry with what came of it.
type commit struct {
	index   uint64
	entry   Entry
	before  *State
	after   *State
	refused error
}

type letter struct {
	at  time.Duration
	seq int
	do  func()
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, now: 1000 * time.Second, state: NewState(), names: []string{"m1", "m2", "m3"}, lead: "m1",
		views: map[string]*View{}, inflight: map[string]bool{}, granters: map[string]*lease.Granter{}, fenced: map[string]wire.Fenced{},
	}
	for _, name := range w.names {
		w.restartMonitor(name)
	}
	return w
}

// restartMonitor gives a monitor a view that has heard nobody.
func (w *world) restartMonitor(name string) {
	v := NewView(name, w.names)
	v.SetHealth(Health{Stalled: never, Disconnected: never, Echo: time.Millisecond})
	if w.state.Inventory != nil {
		v.Configure(w.state.Inventory, w.time())
	}
	v.Learn(w.state, w.time())
	w.views[name] = v
	w.granters[name] = lease.NewGranter(w.now)
	w.granters[name].CaughtUp(w.state.Index)
}

func (w *world) time() Now {
	return Now{Watch: w.now, Boot: w.now, Log: epoch0.Add(w.now - 1000*time.Second)}
}

func (w *world) host(name string) *simHost {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	w.t.Fatalf("there is no host %q in this world", name)
	return nil
}

// apply puts an entry into the log, as bytes: what a program writes is what the next one reads.
func (w *world) apply(e Entry) error {
	w.t.Helper()
	if e.At.IsZero() {
		e.At = w.time().Log
	}
	data, err := EncodeEntry(e)
	if err != nil {
		w.t.Fatal(err)
	}
	decoded, err := DecodeEntry(data)
	if err != nil {
		w.t.Fatal(err)
	}
	before := w.state
	after, refused := before.Apply(before.Index+1, decoded)
	w.state = after
	if _, files := e.Event.(FilesApplied); files && refused == nil && after.Inventory != nil {
		for _, name := range w.names {
			w.views[name].Configure(after.Inventory, w.time())
		}
	}
	for _, name := range w.names {
		w.views[name].Learn(after, w.time())
	}
	if attempt, ok := e.Event.(FenceStarted); ok && refused == nil {
		w.fence(attempt)
	}
	if w.heard != nil {
		w.heard(commit{index: after.Index, entry: decoded, before: before, after: after, refused: refused})
	}
	return refused
}

// mustApply is apply of an entry that a person sends and that must not be refused.
func (w *world) mustApply(event Event, reason string) {
	w.t.Helper()
	if err := w.apply(Entry{By: "ann", Reason: reason, Event: event}); err != nil {
		w.t.Fatalf("apply %s: %v", event.Name(), err)
	}
}

// form makes the cluster with an inventory and a machine for each of its hosts.
func (w *world) form(inv *plans.Inventory) {
	w.t.Helper()
	w.mustApply(ClusterFormed{Cluster: "0123456789abcdef0123456789abcdef", Monitors: w.names}, "")
	w.mustApply(FilesApplied{Set: plans.Set{Inventory: inv}}, "")
	for _, name := range sortedKeys(inv.Hosts) {
		w.hosts = append(w.hosts, newSimHost(w, name))
	}
}

// mail lets something happen when a message has arrived, if it arrives.
func (w *world) mail(do func()) {
	if w.lose != nil && w.lose() {
		return
	}
	if w.twice != nil && w.twice() {
		w.deliver(do)
	}
	w.deliver(do)
}

// mailHost lets every machine of a name hear a message.
func (w *world) mailHost(name string, hear func(*simHost)) {
	for _, h := range w.hosts {
		if h.name == name {
			w.mail(func() { hear(h) })
		}
	}
}

func (w *world) deliver(do func()) {
	at := w.now
	if w.delay != nil {
		at += w.delay()
	}
	w.posted++
	w.post = append(w.post, letter{at: at, seq: w.posted, do: do})
}

// step lets one tick pass.
func (w *world) step() {
	w.now += worldTick
	slices.SortFunc(w.post, func(a, b letter) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.seq - b.seq
	})
	due := slices.IndexFunc(w.post, func(l letter) bool { return l.at > w.now })
	if due < 0 {
		due = len(w.post)
	}
	arrived := w.post[:due]
	w.post = slices.Clone(w.post[due:])
	for _, l := range arrived {
		l.do()
	}
	for _, h := range w.hosts {
		h.step()
	}
	if w.now%viewEvery == 0 {
		w.publish()
	}
	if w.now%time.Second == 0 {
		w.bearWitness()
	}
	w.decide()
}

// renew lets every monitor answer a renewal.
func (w *world) renew(h *simHost, r wire.Renew) {
	if h.cut {
		return
	}
	for _, name := range w.names {
		w.mail(func() {
			host, _ := w.state.Hosts.Get(r.Host)
			if h.cut || !w.granters[name].Renew(r.Host, r.Inc, r.Epoch, standingOf(host), w.state.Index, w.now) {
				return
			}
			ack := lease.Ack{Monitor: name, Inc: r.Inc, Epoch: r.Epoch, Stamp: r.Stamp, Voters: w.state.LeaseVoters().Index}
			w.mail(func() {
				if h.hears() {
					h.holder.Ack(ack)
				}
			})
		})
	}
}

// fence carries an attempt out, half a second later.
func (w *world) fence(e FenceStarted) {
	w.posted++
	w.post = append(w.post, letter{at: w.now + 500*time.Millisecond, seq: w.posted, do: func() {
		r := wire.Fenced{Monitor: e.Monitor, Host: e.Host, Revocation: e.Revocation, Attempt: e.Attempt, Outcome: wire.Done, Device: "bmc"}
		if w.power != nil {
			r.Outcome = w.power(e)
		}
		if r.Outcome == wire.Done {
			w.host(e.Host).kill()
		} else {
			r.Device, r.Reason = "", "as the test says"
		}
		w.fenced[e.Host] = r
	}})
}

// bearWitness lets every monitor report the leases that it knows to be over.
func (w *world) bearWitness() {
	for _, from := range w.names {
		for name, host := range w.state.Hosts.All() {
			if due, _ := w.granters[from].Report(name, standingOf(host), w.now); !due {
				continue
			}
			r := wire.Report{Monitor: from, Host: name, Epoch: host.Epoch, Revocation: host.Revocation}
			for _, to := range w.names {
				w.mail(func() { w.views[to].ObserveReport(r) })
			}
		}
	}
	for _, name := range sortedKeys(w.fenced) {
		for _, to := range w.names {
			w.mail(func() { w.views[to].ObserveFenced(w.fenced[name]) })
		}
	}
}

func standingOf(h Host) lease.Standing {
	return lease.Standing{Inc: h.Inc, Epoch: h.Epoch, Revocation: h.Revocation, Active: h.Phase == Active, Terms: h.Lease}
}

// publish lets every monitor tell the others its view.
func (w *world) publish() {
	for _, from := range w.names {
		opinions := w.views[from].Opinions(w.time())
		opinions.V, opinions.Monitor, opinions.Sent, opinions.Wall = wire.Version, from, w.now, w.time().Log
		for _, to := range w.names {
			w.mail(func() { w.views[to].ObservePeer(opinions, w.time()) })
		}
	}
}

// decide lets the leader act once.
func (w *world) decide() {
	state, view, leader := w.state, w.views[w.lead], w.lead
	for _, intent := range Decide(state, view, Rules{Settle: settle}, w.time()) {
		switch {
		case intent.Propose != nil:
			w.propose(leader, intent.Key, *intent.Propose)
		case intent.Send != nil:
			command := *intent.Send
			if w.sent != nil {
				w.sent(command)
			}
			w.mailHost(command.Host, func(h *simHost) { h.command(command) })
		case intent.Offer != nil:
			offer := *intent.Offer
			w.mailHost(offer.Host, func(h *simHost) { h.offer(offer) })
		case intent.Assign != nil:
			assignment := *intent.Assign
			w.mailHost(assignment.Host, func(h *simHost) { h.assign(assignment) })
		default:
			w.t.Fatalf("intent %q is none", intent.Key)
		}
	}
	for _, name := range w.names {
		w.views[name].Acted(w.state, w.time())
	}
}

// propose brings an entry to the log, unless one of this key is under way.
func (w *world) propose(leader, key string, e Entry) {
	if w.inflight[key] {
		return
	}
	e.At, e.By = w.time().Log, leader
	if w.drop == nil {
		_ = w.apply(e) // a refusal is heard by w.heard
		return
	}
	w.inflight[key] = true
	at := w.now + w.delay()
	w.posted++
	w.post = append(w.post, letter{at: at, seq: w.posted, do: func() {
		delete(w.inflight, key)
		if w.lead == leader && !w.drop() {
			_ = w.apply(e)
		}
	}})
}

// tell lets every monitor hear what an agent says.
func (w *world) tell(h *simHost, hear func(*View)) {
	if h.cut {
		return
	}
	for _, name := range w.names {
		w.mail(func() {
			if !h.cut {
				hear(w.views[name])
			}
		})
	}
}

// run lets time pass until a condition holds, or the limit is over.
func (w *world) run(limit time.Duration, until func() bool) bool {
	for end := w.now + limit; w.now < end; {
		w.step()
		if until != nil && until() {
			return true
		}
	}
	return false
}

// openRuns lists the runs that have not ended.
func (w *world) openRuns() []*Run {
	var open []*Run
	for _, run := range w.state.Runs.All() {
		if run.Open() {
			open = append(open, run)
		}
	}
	return open
}

// where lists the machines on which a workload's process really is.
func (w *world) where(workload string) []string {
	var at []string
	for _, h := range w.hosts {
		if _, runs := h.running[workload]; runs {
			at = append(at, h.name)
		}
	}
	return at
}

func inc(host string, n int) uint64 {
	var id uint64
	_, _ = fmt.Sscanf(host, "h%d", &id)
	return id*100 + uint64(n)
}
