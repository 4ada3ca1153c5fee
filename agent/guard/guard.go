package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/lease"
)

// Times of the guard.
const (
	DefaultEvery = 25 * time.Millisecond  // at most between two looks at the orders and the clock
	wordEvery    = 250 * time.Millisecond // at most between two words
	againEvery   = 100 * time.Millisecond // between two killings of what was proven gone
	endLimit     = 2 * time.Second        // for killings that are under way when the guard is told to end
)

// Killer kills what a charge stands for, without asking anyone, and proves it gone. Its methods are called for several charges
// at once, but for one charge one after the other.
type Killer interface {
	Kill(c Charge) error
	// Gone says whether nothing of the charge is left. An error means that nobody knows.
	Gone(c Charge) (bool, error)
}

// Options is what a guard is made of. Dir, Boot, Boottime and Kill are required.
type Options struct {
	Dir      string // shared with the agent
	Boot     string // the machine's boot id
	Boottime func() time.Duration
	Kill     Killer
	Watchdog func() (Device, error) // opens the machine's watchdog; nil: it has none
	Log      zerolog.Logger         // must not make the guard wait
	Every    time.Duration          // DefaultEvery if it is 0
	Pulse    Pulse                  // by which the loop is asked whether it lives; nil: nobody asks
}

// guard is the state of one Run. It belongs to its loop, which touches no file: a disk that hangs must not keep it from killing.
type guard struct {
	opt     Options
	log     zerolog.Logger
	dog     dog
	orders  *Orders // gone by; nil: none of this boot were read
	trouble string  // with the orders file

	killings map[string]*killing // by workload: all charges that the lease has ended for
	busy     map[string]bool     // by workload: a round is under way
	rounds   chan round          // what came of them
	done     chan struct{}       // closed when nobody takes rounds any more

	said    Word      // the last word
	pending bool      // orders were taken that no word has told of
	words   chan said // to be written; a newer one replaces one that was not yet
}

// killing is a charge that the lease has ended for.
type killing struct {
	next  time.Duration // boot time of the next round
	gone  bool          // proven by the last round, under the newest orders
	err   string        // of the last round, "" for none
	begun bool          // the log has it
	ended bool          // the log has it
}

// round is what came of killing a charge once.
type round struct {
	workload string
	began    time.Duration // boot time
	seq      uint64        // of the orders that it went by
	gone     bool
	err      error
}

// Run guards until ctx ends. Only one guard at a time may go by a directory; a second one is an error.
//
// When ctx ends while the watchdog is armed for charges, it stays armed: such a machine is reset unless a guard is started
// again within the watchdog's timeout.
func Run(ctx context.Context, opt Options) error {
	if opt.Dir == "" || opt.Boot == "" || opt.Boottime == nil || opt.Kill == nil {
		return errors.New("run guard: Dir, Boot, Boottime and Kill are required")
	}
	if err := prepare(opt.Dir); err != nil {
		return fmt.Errorf("prepare the directory that the agent and the guard share: %w", err)
	}
	unlock, err := lock(filepath.Join(opt.Dir, lockFile))
	if err != nil {
		return fmt.Errorf("lock %s for this guard: %w", opt.Dir, err)
	}
	defer unlock()
	opt.Every = cmp.Or(opt.Every, DefaultEvery)
	g := &guard{
		opt: opt, log: opt.Log.With().Str("component", "guard").Logger(),
		dog:      dog{open: opt.Watchdog, boottime: opt.Boottime},
		killings: make(map[string]*killing), busy: make(map[string]bool), rounds: make(chan round), done: make(chan struct{}),
		words: make(chan said, 1),
	}
	defer close(g.done)
	g.remember()
	r := reader{path: filepath.Join(opt.Dir, ordersFile)}
	if s, changed := r.read(); changed {
		g.heed(s)
	}
	g.log.Info().Str("dir", opt.Dir).Uint64("seq", g.seq()).Msg("guard was started")
	sheets := make(chan sheet)
	var files sync.WaitGroup
	files.Go(func() { r.run(ctx, opt.Every, sheets) })
	files.Go(func() { g.write(ctx) })
	g.loop(ctx, sheets)
	return g.end(&files)
}

// remember takes in the orders that a former guard of this boot went by: the file may have been lost since.
func (g *guard) remember() {
	var said said
	if err := read(filepath.Join(g.opt.Dir, wordFile), &said); err != nil || said.Orders == nil || said.Orders.Boot != g.opt.Boot {
		return
	}
	if check(said.Orders) == nil {
		g.take(said.Orders)
	}
}

func (g *guard) loop(ctx context.Context, sheets <-chan sheet) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-sheets:
			g.heed(s)
		case r := <-g.rounds:
			g.note(r)
		case answered := <-g.opt.Pulse:
			close(answered)
		case <-timer.C:
		}
		g.kill()
		g.tell()
		timer.Reset(g.next())
	}
}

// next is the time to the next look: the end of the lease is not waited past.
func (g *guard) next() time.Duration {
	if g.orders != nil {
		if left := g.orders.Until - g.opt.Boottime(); left > 0 {
			return min(left, g.opt.Every)
		}
	}
	return g.opt.Every
}

func (g *guard) seq() uint64 {
	if g.orders == nil {
		return 0
	}
	return g.orders.Seq
}

// heed takes in what the orders file holds now. What cannot be gone by is trouble, and changes nothing.
func (g *guard) heed(s sheet) {
	g.trouble = ""
	switch o := s.orders; {
	case errors.Is(s.err, os.ErrNotExist) && g.orders == nil: // the agent was not started yet
	case s.err != nil:
		g.trouble = s.err.Error()
	case o.Boot != g.opt.Boot && g.orders == nil: // nor was that of this boot
	case o.Boot != g.opt.Boot:
		g.trouble = "the orders are of another boot, the last ones stand"
	case o.Seq < g.seq():
		g.trouble = fmt.Sprintf("orders %d are older than %d, which stand", o.Seq, g.orders.Seq)
	default:
		g.take(o)
	}
}

// take goes by orders from now on. What was proven under the last ones has to be proven anew.
func (g *guard) take(o *Orders) {
	g.orders, g.pending = o, true
	for name, k := range g.killings {
		if !slices.ContainsFunc(o.Charges, func(c Charge) bool { return c.Workload == name }) {
			delete(g.killings, name)
			continue
		}
		k.gone, k.next = false, 0
	}
}

// over says that charges must not run any more.
func (g *guard) over(now time.Duration) bool {
	return g.orders != nil && g.orders.Self != lease.None && len(g.orders.Charges) > 0 && now >= g.orders.Until
}

// kill begins a round of killing for each charge, if the lease has ended.
func (g *guard) kill() {
	now := g.opt.Boottime()
	if !g.over(now) {
		clear(g.killings)
		return
	}
	for _, c := range g.orders.Charges {
		k := g.killings[c.Workload]
		if k == nil {
			k = &killing{}
			g.killings[c.Workload] = k
		}
		if g.busy[c.Workload] || now < k.next {
			continue
		}
		g.busy[c.Workload] = true
		r := round{workload: c.Workload, began: now, seq: g.orders.Seq}
		go func() { // the loop waits for it, and end within a limit: a look at a process can hang for good
			select {
			case g.rounds <- g.killOnce(c, r):
			case <-g.done:
			}
		}()
		if !k.begun {
			k.begun = true
			g.log.Error().Str("workload", c.Workload).Uint64("token", c.Token).Dur("late", now-g.orders.Until).
				Msg("lease has ended, workload is being killed")
		}
	}
}

func (g *guard) killOnce(c Charge, r round) round {
	failure := g.opt.Kill.Kill(c)
	r.gone, r.err = g.opt.Kill.Gone(c)
	if !r.gone {
		r.err = errors.Join(failure, r.err)
	}
	return r
}

// note takes in what came of a round. It counts only under the orders that it went by.
func (g *guard) note(r round) {
	delete(g.busy, r.workload)
	k := g.killings[r.workload]
	if k == nil || r.seq != g.orders.Seq {
		return
	}
	text := ""
	if r.err != nil {
		text = r.err.Error()
	}
	switch {
	case r.gone && !k.ended:
		g.log.Warn().Str("workload", r.workload).Dur("late", g.opt.Boottime()-g.orders.Until).Msg("workload was killed")
	case text != "" && text != k.err:
		g.log.Error().Err(r.err).Str("workload", r.workload).Msg("workload was not killed")
	}
	k.gone, k.ended, k.err = r.gone, r.gone, text
	k.next = r.began + g.opt.Every
	if k.gone {
		k.next = r.began + againEvery
	}
}

// tell tends the watchdog, and gives a word to be written if there is something to say, or it is time to.
func (g *guard) tell() {
	g.dog.tend(g.orders)
	w := Word{
		V: version, Boot: g.opt.Boot, PID: os.Getpid(), Stamp: g.opt.Boottime(), Seq: g.seq(),
		Armed: g.dog.armed, Trouble: cmp.Or(g.trouble, g.dog.trouble()), Killed: g.killed(),
	}
	if w.Trouble != g.said.Trouble && w.Trouble != "" {
		g.log.Error().Str("trouble", w.Trouble).Uint64("seq", w.Seq).Msg("duty could not be done in full")
	}
	same := w.Armed == g.said.Armed && w.Trouble == g.said.Trouble && slices.Equal(w.Killed, g.said.Killed)
	if same && !g.pending && g.said.V != 0 && w.Stamp-g.said.Stamp < wordEvery {
		return
	}
	g.said, g.pending = w, false
	select {
	case <-g.words:
	default:
	}
	g.words <- said{Word: w, Orders: g.orders}
}

// write writes the words until ctx ends. One that could not be written is followed by another soon.
func (g *guard) write(ctx context.Context) {
	mute := false
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-g.words:
			err := write(filepath.Join(g.opt.Dir, wordFile), s)
			if err != nil && !mute {
				g.log.Error().Err(err).Msg("word was not written")
			}
			mute = err != nil
		}
	}
}

// killed names the charges that are proven gone after the end of the lease.
func (g *guard) killed() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(g.killings)) {
		if g.killings[name].gone {
			names = append(names, name)
		}
	}
	return names
}

// end waits for the killings that are under way, and for the files, and lets go of the watchdog.
func (g *guard) end(files *sync.WaitGroup) error {
	still := make(chan struct{})
	go func() { // ends with the last access to a file
		files.Wait()
		close(still)
	}()
	limit := time.NewTimer(endLimit)
	defer limit.Stop()
	var late error
	for late == nil && (len(g.busy) > 0 || still != nil) {
		select {
		case r := <-g.rounds:
			g.note(r)
		case <-still:
			still = nil
		case <-limit.C:
			late = fmt.Errorf("end guard: files, or the killing of %d workloads, hung for %s", len(g.busy), endLimit)
		}
	}
	counts, err := g.dog.end(g.orders)
	if counts {
		g.log.Warn().Dur("timeout", g.dog.timeout).Msg("watchdog was left counting: the machine is reset unless a guard is started in time")
	}
	g.log.Info().Msg("guard was told to end")
	return errors.Join(late, err)
}
