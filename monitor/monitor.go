package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/quiet"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// Limits of the loop.
const (
	beatQueue    = 16_384
	mailQueue    = 4_096
	maxProposals = 64
	maxInflight  = maxProposals + 32 // proposals, a read index for each monitor, a round of fence tests: settled never blocks
	proposeLimit = 5 * time.Second
	viewEvery    = 200 * time.Millisecond
	levelEvery   = time.Second
	resendEvery  = time.Second // a command that is not answered
	assignEvery  = 200 * time.Millisecond
	tellEvery    = 10 * time.Second
	sentKeep     = time.Minute // how long it is remembered when a command was sent last
)

// Log makes events durable and agreed.
type Log interface {
	// Propose hands an entry over and waits until it is committed and applied, or ctx ends. Errors: planner.ErrNotLeader,
	// planner.ErrOutcomeUnknown, *planner.Refusal.
	Propose(ctx context.Context, e planner.Entry) (uint64, error)
	// State is the newest applied state, immutable.
	State() *planner.State
	// Leading says that this monitor leads and has applied all that was committed before its term.
	Leading() bool
	// ReadIndex returns an index: whoever has applied the log up to it has applied all that was committed before the call.
	// The error is planner.ErrNotLeader unless this monitor leads.
	ReadIndex(ctx context.Context) (uint64, error)
	// Watch wakes the channel, at least once after each change of State or Leading, until stop is called.
	Watch() (changed <-chan struct{}, stop func())
}

// Bus carries messages. Publish fails rather than waits; handlers are called from the bus's goroutines.
type Bus interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	Connected() bool
}

// Options of a monitor.
type Options struct {
	Name     string
	Monitors []string // all configured monitors, this one among them
	// ID is the server id, by which this monitor votes on leases: a name may pass to a machine that knows nothing of what
	// the former one renewed. Taken says that it was taken into the cluster: then its name alone is never its vote.
	ID      string
	Taken   bool
	Version string        // of the program
	Settle  time.Duration // how long losses of the same moment are collected; default 400 ms
	Fencer  Fencer        // nil: this monitor cannot fence
	// Trouble says why this monitor's log cannot be written, empty if it can; nil: it always can.
	Trouble func() string
	// Expires says until when this monitor's certificate is good; nil: it has none.
	Expires func() time.Time
	Logger  zerolog.Logger
}

// Monitor is one voting member of the control plane.
type Monitor struct {
	opts     Options
	log      Log
	bus      Bus
	boottime func() time.Duration

	beats   chan beat
	mail    chan func(planner.Now)
	asks    chan func(planner.Now)
	settled chan string // keys of proposals that have ended
	dropped atomic.Uint64
	lies    quiet.Limiter

	// Owned by Run.
	clock     clock
	view      *planner.View
	health    planner.Health
	revision  uint64
	seq       uint64
	viewed    time.Duration // boot time of the last published view
	echo      time.Duration // boot time at which the newest own view that came back was sent; 0: none yet
	inflight  map[string]bool
	sent      map[string]time.Duration
	granter   *lease.Granter
	state     *planner.State      // that changed looked at last
	revoked   []string            // its hosts whose epoch is revoked
	toFence   []string            // its hosts with a fence attempt of this monitor's
	fencing   map[string]*attempt // by host
	questions map[uint64]question // of this monitor for a read index, by Ask
	told      uint64              // dropped messages that were told of ...
	toldAt    time.Duration       // ... at this boot time
	workers   sync.WaitGroup
}

// New returns a monitor over a log and a bus. boottime reads CLOCK_BOOTTIME.
func New(log Log, bus Bus, boottime func() time.Duration, opts Options) *Monitor {
	if opts.Settle == 0 {
		opts.Settle = 400 * time.Millisecond
	}
	return &Monitor{
		opts: opts, log: log, bus: bus, boottime: boottime,
		beats: make(chan beat, beatQueue), mail: make(chan func(planner.Now), mailQueue),
		asks: make(chan func(planner.Now)), settled: make(chan string, maxInflight),
		inflight: map[string]bool{}, sent: map[string]time.Duration{},
		fencing: map[string]*attempt{}, questions: map[uint64]question{},
	}
}

// Run hears, judges and, while it leads, acts, until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	m.clock = clock{boottime: m.boottime, last: m.boottime()}
	m.view = planner.NewView(m.opts.Name, m.opts.Monitors)
	m.health = planner.Health{Stalled: -1, Disconnected: -1, Echo: -1}
	m.granter = lease.NewGranter(m.boottime())
	unsubscribe, err := m.subscribe()
	if err != nil {
		return err
	}
	defer m.workers.Wait()
	defer unsubscribe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.workers.Go(func() { m.catchUp(ctx) })
	return m.loop(ctx)
}

func (m *Monitor) loop(ctx context.Context) error {
	changed, stop := m.log.Watch()
	defer stop()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-m.beats:
			m.observe(b)
			continue
		case letter := <-m.mail:
			letter(m.now())
		case ask := <-m.asks:
			ask(m.now())
			continue
		case key := <-m.settled:
			delete(m.inflight, key)
			continue
		case <-changed:
		case <-ticker.C:
			if now, step := m.read(); step > maxStep {
				m.health.Stalled = now.Watch
			}
		}
		m.drain()
		m.evaluate(ctx)
	}
}

func (m *Monitor) read() (planner.Now, time.Duration) {
	now := planner.Now{Watch: m.clock.watch}
	return m.clock.read(m.log.State().At, m.view.ClocksAgree(time.Now(), now))
}

func (m *Monitor) now() planner.Now {
	now, step := m.read()
	if step > maxStep {
		m.health.Stalled = now.Watch
	}
	return now
}

// drain hears all that has arrived before anything is judged.
func (m *Monitor) drain() {
	for {
		select {
		case b := <-m.beats:
			m.observe(b)
		case letter := <-m.mail:
			letter(m.now())
		case key := <-m.settled:
			delete(m.inflight, key)
		default:
			return
		}
	}
}

// evaluate looks at what is and does what is due.
func (m *Monitor) evaluate(ctx context.Context) {
	now := m.now()
	state := m.log.State()
	if state.Inventory != nil && state.Revision != m.revision {
		m.view.Configure(state.Inventory, now)
		m.revision = state.Revision
	}
	m.view.Learn(state, now)
	if !m.bus.Connected() {
		m.health.Disconnected = now.Watch
	}
	if m.echo != 0 {
		m.health.Echo = now.Boot - m.echo
	}
	if m.opts.Trouble != nil {
		m.health.Disk = m.opts.Trouble()
	}
	m.view.SetHealth(m.health)
	m.publishView(now)
	m.look(state)
	m.bearWitness(state, now)
	m.fence(ctx, state, now)
	if m.log.Leading() {
		m.lead(ctx, state, now)
	}
	m.view.Acted(state, now)
	m.tellDropped(now)
}

// tellDropped says that messages were dropped since the last time: the loop was behind, or somebody speaks another version.
func (m *Monitor) tellDropped(now planner.Now) {
	dropped := m.dropped.Load()
	if dropped == m.told || now.Boot-m.toldAt < tellEvery {
		return
	}
	m.opts.Logger.Warn().Uint64("count", dropped-m.told).Msg("messages were dropped")
	m.told, m.toldAt = dropped, now.Boot
}

// lead carries out what planner.Decide wants.
func (m *Monitor) lead(ctx context.Context, state *planner.State, now planner.Now) {
	for _, intent := range planner.Decide(state, m.view, planner.Rules{Settle: m.opts.Settle}, now) {
		switch {
		case intent.Propose != nil:
			m.propose(ctx, intent.Key, *intent.Propose, state, now)
		case intent.Send != nil:
			if m.due(intent.Key, resendEvery, now) {
				publish(m, wire.CommandSubject(intent.Send.Host), *intent.Send)
			}
		case intent.Offer != nil:
			if m.due(intent.Key, assignEvery, now) {
				publish(m, wire.OfferSubject(intent.Offer.Host), *intent.Offer)
			}
		case intent.Assign != nil:
			if m.due(intent.Key, assignEvery, now) {
				publish(m, wire.AssignSubject(intent.Assign.Host), *intent.Assign)
			}
		}
	}
	m.testFences(ctx, state, now)
	for key, at := range m.sent {
		if now.Boot-at > sentKeep {
			delete(m.sent, key)
		}
	}
}

// propose hands an entry to the log in a goroutine, unless one of this key is under way. What the last door would refuse as
// things are does not enter the log: Decide would propose it again on every tick.
func (m *Monitor) propose(ctx context.Context, key string, e planner.Entry, state *planner.State, now planner.Now) {
	if m.inflight[key] || len(m.inflight) >= maxProposals {
		return
	}
	e.At, e.By = now.Log, m.opts.Name
	err := m.view.Understood(state, e.Event, now)
	if err == nil {
		_, err = state.Apply(state.Index+1, e)
	}
	if err != nil {
		m.opts.Logger.Debug().Str("event", e.Event.Name()).Err(err).Msg("proposal would be refused")
		return
	}
	m.inflight[key] = true
	m.workers.Go(func() {
		m.report(ctx, e)
		m.settled <- key
	})
}

// report proposes and logs what came of it.
func (m *Monitor) report(ctx context.Context, e planner.Entry) {
	ctx, cancel := context.WithTimeout(ctx, proposeLimit)
	defer cancel()
	index, err := m.log.Propose(ctx, e)
	line := m.opts.Logger.With().Str("event", e.Event.Name()).Str("reason", e.Reason).Logger()
	refusal, refused := errors.AsType[*planner.Refusal](err)
	switch {
	case err == nil:
		line.Info().Uint64("index", index).Msg("event entered the log")
	case refused:
		line.Debug().Str("code", string(refusal.Code)).Str("err", refusal.Message).Msg("proposal was refused")
	case errors.Is(err, planner.ErrNotLeader):
		line.Debug().Msg("proposal came too late: another monitor leads")
	default:
		line.Warn().Err(err).Msg("proposal has no known outcome")
	}
}

// due says that a message of this key was not sent a moment ago. A lost one is sent again while it is wanted.
func (m *Monitor) due(key string, every time.Duration, now planner.Now) bool {
	if at, ok := m.sent[key]; ok && now.Boot-at < every {
		return false
	}
	m.sent[key] = now.Boot
	return true
}

// Propose puts an entry of an operator into the log. An entry that would be refused is refused without entering the log.
func (m *Monitor) Propose(ctx context.Context, e planner.Entry) (uint64, error) {
	if !m.log.Leading() {
		return 0, planner.ErrNotLeader
	}
	state := m.log.State()
	var unknown error
	now, err := m.ask(ctx, func(now planner.Now) { unknown = m.view.Understood(state, e.Event, now) })
	if err = cmp.Or(err, unknown); err != nil {
		return 0, err
	}
	e.At = now.Log
	state = m.log.State()
	if _, err := state.Apply(state.Index+1, e); err != nil {
		return 0, err
	}
	return m.log.Propose(ctx, e)
}

// Picture shows this monitor's view as it is now.
func (m *Monitor) Picture(ctx context.Context) (*planner.Picture, error) {
	var picture *planner.Picture
	_, err := m.ask(ctx, func(now planner.Now) {
		picture = m.view.Picture(m.log.State(), now)
		m.view.ReadClocks(picture, time.Now(), now)
	})
	return picture, err
}

// ask runs a question in the loop and waits for it.
func (m *Monitor) ask(ctx context.Context, question func(planner.Now)) (planner.Now, error) {
	answered := make(chan planner.Now, 1)
	ask := func(now planner.Now) {
		question(now)
		answered <- now
	}
	select {
	case m.asks <- ask:
		return <-answered, nil
	case <-ctx.Done():
		return planner.Now{}, fmt.Errorf("ask the monitor's loop: %w", ctx.Err())
	}
}
