package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/wire"
)

// Defaults of Options.
const (
	DefaultBeatEvery   = 250 * time.Millisecond
	DefaultJoinEvery   = time.Second
	DefaultLookEvery   = time.Second
	DefaultStatusEvery = 2 * time.Second
)

// Limits of the agent.
const (
	maxInbox  = 256             // messages that wait for the loop; more are dropped, the monitors send them again
	maxAtOnce = 32              // commands being done
	stopLimit = 5 * time.Second // for what is being done when the agent is told to end
)

// Bus carries the agent's messages. Its methods do not wait for the network.
type Bus interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	// Beat sends a beat. A newer one replaces one that was not sent yet.
	Beat(subject string, data []byte)
}

// Options is what an Agent is made of. Host, Boot, Dir, RunDir, Bus, Drivers, Kill
// and Boottime are required.
type Options struct {
	Host     string
	Boot     [16]byte                  // the machine's boot id
	Dir      string                    // the data directory, where the journal is
	RunDir   string                    // where agent and guard leave word for each other: on a file system of this boot, as /run
	Bus      Bus                       // to the monitors
	Drivers  map[string]actions.Driver // by kind; the one of kind "command" also carries out Run
	Kill     guard.Killer              // what the guard kills with
	Boottime func() time.Duration      // CLOCK_BOOTTIME
	Log      zerolog.Logger

	Version string // of the program
	// Expires says until when the agent's certificate is good; nil: it has none.
	Expires func() time.Time
	Inc     uint64 // this process's incarnation; New draws a random one if it is 0

	// How often the agent beats (until an Assignment says otherwise), asks to join, looks at its workloads, and reports
	// them without being changed. Zero means the default.
	BeatEvery, JoinEvery, LookEvery, StatusEvery time.Duration
}

// Agent is the agent of one host. New opens its journal, Run does its work and closes the journal at the end.
type Agent struct {
	opt       Options
	log       zerolog.Logger
	boot      string
	journal   *journal
	journalID string
	authority authority
	keeper    *keeper
	orders    *orders
	beater    beater
	doer      doer
	looker    looker

	commands chan wire.Command
	offers   chan wire.Offer
	assigns  chan wire.Assignment
	ended    chan outcome
	sighted  chan sighting
	killed   chan killing
	pulse    guard.Pulse

	// The rest belongs to the loop.
	began      time.Duration // boot time of the loop's beginning
	last       held          // the host epoch held last
	ask        ask
	rejoin     bool // the newest Assignment wants the host to join again
	fencing    bool // exclusive workloads are being stopped because the lease ends
	fenced     int  // how many times that was done, and when last
	fencedAt   time.Duration
	told       wire.LeaseStatus // in the newest Status
	replacedBy uint64           // the incarnation that was last warned of
	index      uint64           // of the newest Assignment
	kept       map[string]uint64
	workloads  map[string]*workload
	accepted   map[string]*job // commands that wait or are being done, by id
	waiting    []*job          // in the order they came
	doing      map[string]*job // by what they act on
	looks      map[string]int  // looks at workloads under way, by kind
	report     report
	clocked    time.Duration // boot time when the wall clock was told last
	goroutine  sync.WaitGroup
}

// New opens the journal and checks that nothing is missing.
func New(opt Options) (*Agent, error) {
	if opt.Host == "" || opt.Dir == "" || opt.RunDir == "" || opt.Bus == nil || opt.Kill == nil || opt.Boottime == nil || opt.Boot == [16]byte{} {
		return nil, errors.New("make agent: Host, Boot, Dir, RunDir, Bus, Kill and Boottime are required")
	}
	for opt.Inc == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		opt.Inc = binary.BigEndian.Uint64(b[:])
	}
	opt.BeatEvery = cmp.Or(opt.BeatEvery, DefaultBeatEvery)
	opt.JoinEvery = cmp.Or(opt.JoinEvery, DefaultJoinEvery)
	opt.LookEvery = cmp.Or(opt.LookEvery, DefaultLookEvery)
	opt.StatusEvery = cmp.Or(opt.StatusEvery, DefaultStatusEvery)
	a := &Agent{
		opt:  opt,
		log:  opt.Log.With().Str("component", "agent").Str("host", opt.Host).Logger(),
		boot: hex.EncodeToString(opt.Boot[:]),
		beater: beater{
			bus: opt.Bus, subject: wire.BeatSubject(opt.Host), boottime: opt.Boottime,
			beat: wire.Beat{Host: []byte(opt.Host), Boot: opt.Boot, Inc: opt.Inc},
		},
		commands:  make(chan wire.Command, maxInbox),
		offers:    make(chan wire.Offer, maxInbox),
		assigns:   make(chan wire.Assignment, maxInbox),
		ended:     make(chan outcome, maxAtOnce),
		sighted:   make(chan sighting),
		killed:    make(chan killing),
		pulse:     guard.NewPulse(),
		kept:      make(map[string]uint64),
		workloads: make(map[string]*workload),
		accepted:  make(map[string]*job),
		doing:     make(map[string]*job),
		looks:     make(map[string]int),
	}
	a.beater.interval.Store(int64(opt.BeatEvery))
	a.looker = looker{drivers: opt.Drivers, boottime: opt.Boottime}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("make agent: %w", err)
	}
	return a, nil
}

// Run beats, joins, reports and takes commands until ctx is cancelled. It leaves the workloads as they are. It returns an
// error if it could not listen to the monitors or something did not end in time.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.goroutine.Go(func() { a.beater.run(ctx) })
	a.goroutine.Go(func() { a.keeper.run(ctx) })
	a.goroutine.Go(func() { a.orders.run(ctx) })
	err := a.listen(ctx)
	cancel()
	return errors.Join(err, a.end(), a.journal.close())
}

// listen runs the loop while the subscriptions stand.
func (a *Agent) listen(ctx context.Context) error {
	for _, s := range []struct {
		subject string
		handle  func(data []byte)
	}{
		{wire.AckSubject(a.opt.Host), func(data []byte) { receive(a, a.keeper.acks, data) }},
		{wire.OfferSubject(a.opt.Host), func(data []byte) { receive(a, a.offers, data) }},
		{wire.AssignSubject(a.opt.Host), func(data []byte) { receive(a, a.assigns, data) }},
		{wire.CommandSubject(a.opt.Host), func(data []byte) { receive(a, a.commands, data) }},
	} {
		stop, err := a.opt.Bus.Subscribe(s.subject, func(_ string, data []byte) { s.handle(data) })
		if err != nil {
			return fmt.Errorf("listen to %s: %w", s.subject, err)
		}
		defer stop()
	}
	a.log.Info().Str("inc", fmt.Sprintf("%016x", a.opt.Inc)).Int("owned", len(a.owned())).Msg("agent was started")
	a.loop(ctx)
	a.log.Info().Msg("agent was told to end")
	return nil
}

func (a *Agent) loop(ctx context.Context) {
	join, look, fence := time.NewTicker(a.opt.JoinEvery), time.NewTicker(a.opt.LookEvery), time.NewTimer(fenceEvery)
	defer join.Stop()
	defer look.Stop()
	defer fence.Stop()
	a.report.start(a.opt.StatusEvery)
	defer a.report.timer.Stop()
	a.began = a.opt.Boottime()
	a.look(ctx)
	a.beginAsk("the agent was started")
	for {
		fence.Reset(a.checkLease(ctx)) // before each action, too
		a.dispatch(ctx)
		select {
		case <-ctx.Done():
			return
		case <-fence.C:
		case <-a.keeper.moved:
		case o := <-a.offers:
			a.takeOffer(o)
		case as := <-a.assigns:
			a.assign(as)
			a.look(ctx)
		case c := <-a.commands:
			a.accept(c)
		case o := <-a.ended:
			a.finish(o)
			a.look(ctx)
		case s := <-a.sighted:
			a.note(s)
			a.look(ctx)
		case k := <-a.killed:
			a.noteKilling(k)
		case answered := <-a.pulse:
			close(answered)
		case <-join.C:
			a.join()
		case <-look.C:
			a.giveUpLooks()
			a.look(ctx)
			a.stopLeftovers()
		case <-a.report.timer.C:
			a.publishStatus()
		}
	}
}

// end waits for what was being done, and journals it if it came to an end.
func (a *Agent) end() error {
	gone := make(chan struct{})
	go func() { // ends with the last of the goroutines it waits for
		a.goroutine.Wait()
		close(gone)
	}()
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	for len(a.doing) > 0 {
		select {
		case o := <-a.ended:
			a.finish(o)
		case <-limit.C:
			return fmt.Errorf("%d commands did not end within %s", len(a.doing), stopLimit)
		}
	}
	select {
	case <-gone:
		return nil
	case <-limit.C:
		return fmt.Errorf("looks at workloads did not end within %s", stopLimit)
	}
}

// receive puts a message into the inbox of whom it is for. When that is full the message is dropped: the monitors repeat it.
func receive[M wire.Message, P wire.Fields[M]](a *Agent, inbox chan<- M, data []byte) {
	m, err := wire.Unmarshal[M, P](data)
	if err != nil {
		a.log.Warn().Err(err).Msg("message was refused")
		return
	}
	select {
	case inbox <- m:
	default:
		a.log.Warn().Type("message", m).Msg("inbox was full, message was dropped")
	}
}

// send publishes a message. One that is lost is sent again: a result when its command is repeated, the rest by the clock.
func (a *Agent) send(subject string, data []byte, err error) {
	if err == nil {
		err = a.opt.Bus.Publish(subject, data)
	}
	if err != nil {
		a.log.Debug().Err(err).Str("subject", subject).Msg("message was not sent")
	}
}
