package agent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/agent/guard/guardtest"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/wire"
)

const (
	testHost  = "h1"
	testEpoch = uint64(100)
)

var testBoot = [16]byte{1, 2, 3}

// cable is the test's end of the bus: it keeps what the agent sends and delivers what the monitors would send.
type cable struct {
	mu       sync.Mutex // the agent's goroutines and the test meet here
	handlers map[string]func(string, []byte)
	joins    []wire.Join
	renewals []wire.Renew
	heard    func(subject string, m any) // what the monitors make of a join or a renewal
	statuses []wire.Status
	clocks   []wire.Clock
	results  []wire.Result
	beats    []wire.Beat
	before   []wire.Status                 // the newest status when each result came
	hang     atomic.Pointer[chan struct{}] // what a status waits for before it is sent, nil: nothing
}

func (c *cable) Publish(subject string, data []byte) error {
	if wait := c.hang.Load(); wait != nil && subject == wire.StatusSubject(testHost) {
		<-*wait
	}
	switch subject {
	case wire.JoinSubject(testHost):
		return keepAndTell(c, &c.joins, subject, data)
	case wire.RenewSubject(testHost):
		return keepAndTell(c, &c.renewals, subject, data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch subject {
	case wire.StatusSubject(testHost):
		return keep(&c.statuses, data)
	case wire.ClockSubject(testHost):
		return keep(&c.clocks, data)
	default:
		if n := len(c.statuses); n > 0 {
			c.before = append(c.before, c.statuses[n-1])
		}
		return keep(&c.results, data)
	}
}

func keep[M wire.Message](to *[]M, data []byte) error {
	var m M
	err := json.Unmarshal(data, &m)
	*to = append(*to, m)
	return err
}

func keepAndTell[M wire.Message](c *cable, to *[]M, subject string, data []byte) error {
	c.mu.Lock()
	err := keep(to, data)
	m := (*to)[len(*to)-1]
	c.mu.Unlock()
	c.heard(subject, m)
	return err
}

func (c *cable) Subscribe(subject string, handle func(string, []byte)) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[subject] = handle
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.handlers, subject)
	}, nil
}

func (c *cable) Beat(_ string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b wire.Beat
	if err := wire.DecodeBeat(data, &b); err != nil {
		panic(err)
	}
	c.beats = append(c.beats, b)
}

// bed is one host: a world of workloads that outlives the agents, a data directory, and the agent of the moment.
type bed struct {
	expires func() time.Time // when the agent's certificate ends; nil: it has none
	t       *testing.T
	world   *memory.World
	drivers map[string]actions.Driver // as the next agent gets them
	dir     string
	run     string // where agent and guard meet
	began   time.Time

	*cable
	agent *Agent
	stop  func() error

	stopGuard func()

	inc, epoch, index uint64

	bootID    [16]byte
	terms     lease.Terms // of the next offer
	voters    lease.Voters
	exclusive []string // of the workloads
	log       zerolog.LevelWriter

	rules       sync.Mutex // the agent's goroutines ask by these what to answer
	offers      bool       // joins are answered
	acks        []string   // monitors that answer renewals
	nonce       uint64     // of the newest offer
	whenSaid    func()     // called when the agent says what it runs here
	lastRenewal time.Duration
}

// newBed makes a host whose workloads are db, api and web. It must be called in a bubble.
func newBed(t *testing.T) *bed {
	world := memory.NewWorld()
	driver := world.Driver(testHost)
	return &bed{
		t: t, world: world, dir: t.TempDir(), run: t.TempDir(), began: time.Now(), inc: 1, epoch: testEpoch, index: testEpoch,
		bootID: testBoot, terms: lease.Normal(), voters: lease.Voters{Index: 1, Names: []string{"m1", "m2", "m3"}},
		offers: true, acks: []string{"m1", "m2", "m3"},
		drivers: map[string]actions.Driver{"memory": driver, "command": driver},
	}
}

// boot starts the next agent.
func (b *bed) boot() {
	b.t.Helper()
	b.cable = &cable{handlers: make(map[string]func(string, []byte)), heard: b.hear}
	b.inc++
	a, err := New(Options{
		Host: testHost, Boot: b.bootID, Dir: b.dir, RunDir: b.run, Bus: b.cable, Drivers: b.drivers, Inc: b.inc, Kill: b.killer(),
		Boottime: b.now, Log: b.logger(), Expires: b.expires,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	b.agent = a
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	b.t.Cleanup(func() { _ = b.stop() })
	synctest.Wait()
}

// bootJoined starts the next agent and lets it join and keep what it asks for.
func (b *bed) bootJoined() {
	b.t.Helper()
	b.boot()
	b.takeIn()
}

// takeIn waits until the agent has answered the newest offer, and lets it join and keep what it asks for.
func (b *bed) takeIn() {
	b.t.Helper()
	for limit := b.now() + time.Minute; !b.answered(); b.pass(10 * time.Millisecond) {
		if b.now() > limit {
			b.t.Fatal("the agent did not answer the offer")
		}
	}
	b.epoch = b.index + 1
	b.assign(b.epoch, b.lastKeep()...)
}

// answered says that the newest join answers the newest offer.
func (b *bed) answered() bool {
	joins := b.allJoins()
	b.rules.Lock()
	defer b.rules.Unlock()
	return len(joins) > 0 && joins[len(joins)-1].Nonce != 0 && joins[len(joins)-1].Nonce == b.nonce
}

// fences makes db and api exclusive on a host that fences itself, and starts its guard.
func (b *bed) fences() {
	b.t.Helper()
	b.exclusive = []string{"db", "api"}
	b.terms.Self, b.terms.Kill = lease.Guard, lease.GuardKill
	b.startGuard()
}

func (b *bed) killer() guard.Killer { return guardtest.Killer{Host: b.world.Driver(testHost)} }

// startGuard starts the host's guard.
func (b *bed) startGuard() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	options := guard.Options{Dir: b.run, Boot: hex.EncodeToString(b.bootID[:]), Boottime: b.now, Kill: b.killer()}
	go func() { ended <- guard.Run(ctx, options) }()
	b.stopGuard = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(b.stopGuard)
	synctest.Wait()
}

func (b *bed) logger() zerolog.Logger {
	if b.log != nil {
		return zerolog.New(b.log)
	}
	return zerolog.New(zerolog.NewTestWriter(b.t))
}

// bootAgain ends the agent and starts the next one on the same host, joined.
func (b *bed) bootAgain() {
	b.t.Helper()
	if err := b.stop(); err != nil {
		b.t.Fatal(err)
	}
	b.index += 100 // the log goes on meanwhile
	b.bootJoined()
}

func (b *bed) send(c wire.Command) {
	b.t.Helper()
	data, err := wire.Marshal(c)
	b.deliver(wire.CommandSubject(testHost), data, err)
}

func (b *bed) deliver(subject string, data []byte, err error) {
	b.t.Helper()
	b.hand(subject, data, err)
	synctest.Wait()
}

func (b *bed) hand(subject string, data []byte, err error) {
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	handle := b.handlers[subject]
	b.mu.Unlock()
	if handle != nil { // the agent may have ended
		handle(subject, data)
	}
}

// startByHand starts a unit without the agent.
func (b *bed) startByHand(name string) { b.byHand(actions.Start, name) }

// stopByHand stops a unit without the agent, or begins to.
func (b *bed) stopByHand(name string) { b.byHand(actions.Stop, name) }

func (b *bed) byHand(verb actions.Verb, name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	err := b.world.Driver(testHost).Do(ctx, actions.Action{Verb: verb, Target: target(name)})
	if err != nil && ctx.Err() == nil {
		b.t.Fatal(err)
	}
}

func (b *bed) now() time.Duration { return time.Since(b.began) }

// pass lets time pass.
func (b *bed) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// command makes a command under the present incarnation and epoch, to be begun now.
func (b *bed) command(id string, token uint64, verb actions.Verb, name string) wire.Command {
	c := wire.Command{
		ID: id, Host: testHost, Inc: b.inc, Epoch: b.epoch, Token: token,
		Action: actions.Action{Verb: verb, Target: target(name)}, Exclusive: slices.Contains(b.exclusive, name),
		Within: time.Minute, NotAfter: b.now() + 2*time.Second,
	}
	switch verb {
	case actions.Start:
		c.Ready = &actions.Ready{When: actions.ReadyActive, Timeout: time.Minute}
	case actions.Stop:
		c.Ladder = []actions.Rung{{Limit: 10 * time.Second}, {Force: true, Limit: 5 * time.Second}}
	case actions.Run:
	}
	return c
}

// do sends a command and waits until it is answered.
func (b *bed) do(c wire.Command) wire.Result {
	b.t.Helper()
	before := len(b.answers(c.ID))
	b.send(c)
	for limit := b.now() + c.Within + 10*time.Second; b.now() < limit; b.pass(100 * time.Millisecond) {
		if answers := b.answers(c.ID); len(answers) > before {
			return answers[len(answers)-1]
		}
	}
	b.t.Fatalf("command %s was not answered", c.ID)
	return wire.Result{}
}

// answers lists the results that were published for a command.
func (b *bed) answers(id string) []wire.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.results), func(r wire.Result) bool { return r.ID != id })
}

func (c *cable) allJoins() []wire.Join {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.joins)
}

func (c *cable) allStatuses() []wire.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.statuses)
}

func (c *cable) allBeats() []wire.Beat {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.beats)
}

// lastStatus returns the newest word on a workload.
func (b *bed) lastStatus(name string) wire.WorkloadStatus {
	b.t.Helper()
	statuses := b.allStatuses()
	if len(statuses) == 0 {
		b.t.Fatal("no status was published")
	}
	for _, w := range statuses[len(statuses)-1].Workloads {
		if w.Workload == name {
			return w
		}
	}
	b.t.Fatalf("the newest status does not know %s", name)
	return wire.WorkloadStatus{}
}

// lastKeep returns what the newest join asks to keep.
func (b *bed) lastKeep() []wire.Kept {
	b.t.Helper()
	joins := b.allJoins()
	if len(joins) == 0 {
		b.t.Fatal("the agent did not ask to join")
	}
	return joins[len(joins)-1].Keep
}

// runs says which of the units run on the host, as the world knows it.
func (b *bed) runs(name string) bool { return len(b.world.Running()[name]) > 0 }

// happened lists what the world has recorded, without times.
func (b *bed) happened() []string {
	lines := []string{}
	for _, e := range b.world.Record() {
		lines = append(lines, string(e.What)+" "+e.Unit)
	}
	return lines
}

func target(name string) actions.Target {
	return actions.Target{Workload: name, Kind: "memory", Unit: name}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("%s: got -, want +:\n%s", what, d)
	}
}

// stuckDriver does not come back from anything about one unit until it is freed, whatever the context says.
type stuckDriver struct {
	actions.Driver

	unit string
	free chan struct{}
}

func (d *stuckDriver) Do(ctx context.Context, a actions.Action) error {
	d.wait(a.Target)
	return d.Driver.Do(ctx, a)
}

func (d *stuckDriver) Done(ctx context.Context, a actions.Action) (bool, error) {
	d.wait(a.Target)
	return d.Driver.Done(ctx, a)
}

func (d *stuckDriver) Status(ctx context.Context, t actions.Target) (actions.Status, error) {
	d.wait(t)
	return d.Driver.Status(ctx, t)
}

func (d *stuckDriver) wait(t actions.Target) {
	if t.Unit == d.unit {
		<-d.free
	}
}

// slowToBegin takes five seconds before anything reaches the driver.
type slowToBegin struct{ actions.Driver }

func (d *slowToBegin) Do(ctx context.Context, a actions.Action) error {
	time.Sleep(5 * time.Second)
	return d.Driver.Do(ctx, a)
}
