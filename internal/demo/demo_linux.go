package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/holter-ha/holter/console"
)

const (
	tickEvery  = 100 * time.Millisecond // looks at the API
	eventQueue = 64
	askQueue   = 128 // six seconds
)

// Run brings everything up, plays the script, obeys the keys, and takes everything down. The exit code is the outcome of
// what was played.
func Run(ctx context.Context, o Options) (console.Exit, error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	began := time.Now()
	h, err := newHome()
	if err != nil {
		return console.ExitFailed, fmt.Errorf("make the demo's folder: %w", err)
	}
	exit, err := runIn(ctx, o, h, began)
	keep := o.Keep || err != nil // whoever looks for the reason needs the logs
	if keep {
		_, _ = fmt.Fprintf(o.Out, "logs and files are left in %s\n", h.dir)
	}
	return exit, errors.Join(err, h.remove(keep))
}

func runIn(ctx context.Context, o Options, h home, began time.Time) (exit console.Exit, err error) {
	exe, err := os.Executable()
	if err != nil {
		return console.ExitFailed, err
	}
	p, err := newPlace(h.dir, exe, os.Getpid())
	if err != nil {
		return console.ExitFailed, err
	}
	ps, err := newProcesses()
	if err != nil {
		return console.ExitFailed, err
	}
	d := &demo{
		o: o, place: p, processes: ps,
		client: console.NewClient(p.servers(), console.ClientOptions{User: o.User}),
		story:  story{out: o.Out, colors: o.Colors, began: began, where: map[string]string{}},
		fates:  map[string]*fate{}, open: map[string]bool{}, script: o.Script,
	}
	defer d.client.Close()
	defer func() { err = errors.Join(err, ps.killAll()) }()
	exit, err = d.run(ctx, h)
	if ctx.Err() != nil {
		exit, err = console.ExitInterrupt, nil
	}
	d.story.say("everything is taken down")
	return exit, err
}

// demo is a running demo. The loop owns it.
type demo struct {
	o         Options
	place     *place
	processes *processes
	client    *console.Client
	story     story
	answer    string // of the shop when it had begun
	meter     meter

	index  uint64           // of the newest event heard
	open   map[string]bool  // runs
	bad    bool             // a run has ended without success: what it was to start is not waited for
	fates  map[string]*fate // of the machines that were killed, until they are back
	looked look             // the newest one
	term   uint64           // of the leader that was told last
	due    bool             // a look at the API

	script []Step    // what is left of it
	since  time.Time // when its first step was begun; zero: not yet
}

// fate is what becomes of a machine that was killed.
type fate struct {
	machine machine
	killed  time.Time
	healed  time.Time // zero: it is dead

	// Of a host.
	beatTold  bool
	lateTold  bool
	leaseTold bool
	loss      uint64 // index of the event that says it is lost
	run       string // the run that answers that
	ended     bool   // and has ended
}

// run is the demo's life between start and end of all processes.
func (d *demo) run(ctx context.Context, h home) (console.Exit, error) {
	if err := d.begin(ctx, h); err != nil {
		return console.ExitFailed, err
	}
	var keys <-chan byte
	if d.o.TTY != nil {
		k, err := openKeyboard(d.o.TTY)
		if err != nil {
			return console.ExitFailed, err
		}
		defer k.close()
		keys = k.keys
		d.story.say("%s", keysLine)
	}
	return d.loop(ctx, keys)
}

// verdict ends the loop.
type verdict struct {
	exit console.Exit
	err  error
}

func (d *demo) loop(ctx context.Context, keys <-chan byte) (console.Exit, error) {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	events, broken := make(chan console.EventItem, eventQueue), make(chan error, 1)
	helpers.Go(func() { broken <- d.follow(ctx, d.index, events) })
	answers := make(chan asked, askQueue)
	helpers.Go(func() { askShop(ctx, d.place.Front(), answers) })
	looks, looking := make(chan look, 1), false
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		var end *verdict
		select {
		case <-ctx.Done():
			return console.ExitInterrupt, nil
		case e := <-events:
			d.heard(e)
		case a := <-answers:
			d.answered(a)
		case l := <-looks:
			looking = false
			d.saw(l)
		case key, ok := <-keys:
			end = d.press(ctx, key, ok)
		case p := <-d.processes.ends:
			end = d.ended(p)
		case err := <-broken:
			end = &verdict{console.ExitFailed, fmt.Errorf("follow the events: %w", err)}
		case <-tick.C:
			d.due = true
		}
		if end == nil {
			end = d.play(ctx)
		}
		if end != nil {
			return end.exit, end.err
		}
		if d.due && !looking {
			d.due, looking = false, true
			healed := d.healed()
			helpers.Go(func() { looks <- d.look(ctx, healed) })
		}
	}
}

// follow hands the events over, from whichever monitor has them.
func (d *demo) follow(ctx context.Context, after uint64, events chan<- console.EventItem) error {
	return d.client.Follow(ctx, after, console.Follower{Event: func(e console.EventItem) error {
		select {
		case events <- e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
}

// heard takes an event in.
func (d *demo) heard(e console.EventItem) {
	now := time.Now()
	d.index = e.Index
	switch e.Name {
	case "host.lost":
		if f := d.fates[e.Subject]; f != nil {
			f.loss = e.Index
		}
	case "run.started":
		d.open[e.Run] = true
		d.answersLoss(e)
	case "run.ended":
		delete(d.open, e.Run)
		d.bad = d.bad || e.Outcome != "succeeded"
		for _, f := range d.fates {
			f.ended = f.ended || f.run == e.Run
		}
	case "host.joined":
		if f := d.fates[e.Subject]; f != nil && !f.healed.IsZero() {
			delete(d.fates, e.Subject)
		}
	}
	d.story.tellEvent(now, e)
}

// answersLoss notes which losses a run answers.
func (d *demo) answersLoss(e console.EventItem) {
	var started struct {
		Losses []uint64 `json:"losses"`
	}
	if err := json.Unmarshal(e.Detail, &started); err != nil {
		return // an event that cannot be read answers nothing; the wait for the answer says so
	}
	for _, f := range d.fates {
		for _, loss := range started.Losses {
			if f.loss != 0 && f.loss == loss {
				f.run, f.ended = e.Run, false
			}
		}
	}
}

// answered takes a request of the client in.
func (d *demo) answered(a asked) {
	began, ended := d.meter.observe(a)
	switch {
	case began:
		d.story.tell(a.sent, markBad, "the shop does not answer")
	case ended:
		d.story.tellOutage(d.meter.last())
	}
}

// ended takes the end of a process in that the demo may not have killed. Somebody else's SIGKILL counts as a kill; a process
// that ends in any other way should not have.
func (d *demo) ended(p *process) *verdict {
	if d.processes.running[p.key] != p {
		return nil
	}
	if !p.killed() {
		return &verdict{console.ExitFailed, endedByItself(p)}
	}
	if err := d.kill(p.machine.Name); err != nil {
		return &verdict{console.ExitFailed, err}
	}
	return nil
}

// logTail is how much of a log is shown.
const logTail = 600

func endedByItself(p *process) error {
	text, err := os.ReadFile(p.machine.log())
	if err != nil {
		return err
	}
	return fmt.Errorf("%s ended by itself: %s; the end of its log, %s:\n%s",
		p.key, p.cmd.ProcessState, p.machine.log(), text[max(0, len(text)-logTail):])
}
