package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
)

// Limits of a Log.
const (
	defaultMaxSize = 64 << 20        // bytes of a file, before the next one begins
	maxQueued      = 8192            // lines that wait for the disk
	maxQueuedBytes = 16 << 20        // of them
	maxBatch       = 256 << 10       // bytes of one write
	syncEvery      = time.Second     // what is written is safe so much later
	retryEvery     = time.Second     // after the disk has refused
	compactingWait = 5 * time.Second // for the disk, before a snapshot is written
)

// Options is how one monitor's audit files are kept. Monitor and Dir are required.
type Options struct {
	Monitor string // its name, for the header of each file
	Dir     string // where the files are
	MaxSize int64  // bytes of a file; 0: 64 MiB
	Logger  zerolog.Logger
}

// Log writes what a monitor applies. It is told by the machine that applies the log: raftstore's Observer.
type Log struct {
	log zerolog.Logger

	// mu: the machine tells, the writer takes. It is held for a look at the queue and never while the disk is waited for.
	mu     sync.Mutex
	seen   Point  // what the machine told last
	end    Point  // of the queue, or, when it is empty, of the file
	queue  []line // waits for the disk
	bytes  int    // of the queue
	behind bool   // something did not fit in the queue
	broken string // why the disk refuses now; empty: it does not

	wake    chan struct{}
	flushes chan chan error
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
	writer  *writer // its goroutine's
}

// line is what waits to be written.
type line struct {
	kind    lineKind
	point   Point
	from    uint64 // gap
	why     string // gap
	raw     []byte
	refusal *planner.Refusal
}

type lineKind int

const (
	lineEntry lineKind = iota
	lineGap
	// lineFork is no line: what follows does not follow from what the file says. A new file begins at the point.
	lineFork
)

func (l line) record() record {
	if l.kind == lineGap {
		return record{Gap: &gap{From: l.from, Why: l.why}, Index: l.point.Index, Chain: l.point.Chain}
	}
	return entryRecord(l.point, l.raw, l.refusal)
}

// size is about what a line takes in memory.
func (l line) size() int { return len(l.raw) + 256 }

// Open finds out where the files in a directory end and goes on from there. It changes nothing: the first write does.
func Open(opts Options) (*Log, error) {
	if opts.MaxSize <= 0 {
		opts.MaxSize = defaultMaxSize
	}
	logger := opts.Logger.With().Str("component", "audit").Logger()
	w, err := newWriter(opts, logger)
	if err != nil {
		return nil, fmt.Errorf("open the audit files in %s: %w; nothing was changed: mend it, or move audit*.jsonl away", opts.Dir, err)
	}
	l := &Log{
		log: logger, end: w.end, wake: make(chan struct{}, 1), flushes: make(chan chan error),
		stop: make(chan struct{}), stopped: make(chan struct{}), writer: w,
	}
	go l.run()
	return l, nil
}

// Applied takes an entry in. It never waits for the disk.
func (l *Log) Applied(index uint64, raw []byte, refusal *planner.Refusal, chain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	former, now := l.seen, Point{index, chain}
	l.seen = now
	if index < l.end.Index || now == l.end {
		return // written before the restart
	}
	entry := line{kind: lineEntry, point: now, raw: raw, refusal: refusal}
	switch {
	case former == l.end:
		l.put(entry)
	case former.Index <= l.end.Index: // the file has something else at this place, or something where there is nothing
		l.put(line{kind: lineFork, point: former}, entry)
	default:
		l.put(line{kind: lineGap, from: l.end.Index + 1, point: former, why: l.why()}, entry)
	}
}

// Restored takes in that a snapshot has taken the place of all entries up to an index.
func (l *Log) Restored(index uint64, chain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := Point{index, chain}
	l.seen = now
	if index > l.end.Index {
		l.put(line{kind: lineGap, from: l.end.Index + 1, point: now, why: gapSnapshot})
	}
}

// Compacting waits until what was told is safe, for a while.
func (l *Log) Compacting() {
	ctx, cancel := context.WithTimeout(context.Background(), compactingWait)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		l.log.Warn().Err(err).Msg("snapshot is written while the audit file is not safe")
	}
}

// Flush waits until what was told is written and synced.
func (l *Log) Flush(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case l.flushes <- answer:
	case <-l.stopped:
		return errors.New("flush the audit file: it is closed")
	case <-ctx.Done():
		return fmt.Errorf("flush the audit file: %w", ctx.Err())
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("flush the audit file: %w", ctx.Err())
	}
}

// Close writes what was told and closes the file, within ctx. Nothing may be told afterwards.
func (l *Log) Close(ctx context.Context) error {
	err := l.Flush(ctx)
	l.once.Do(func() { close(l.stop) })
	select {
	case <-l.stopped:
		return err
	case <-ctx.Done(): // the disk hangs, and the process is about to end
		return errors.Join(err, ctx.Err())
	}
}

// put queues lines, all or none: none when there is no room, and then they are a gap later. The caller holds mu.
func (l *Log) put(lines ...line) {
	size := 0
	for _, line := range lines {
		size += line.size()
	}
	if len(l.queue) > 0 && (len(l.queue)+len(lines) > maxQueued || l.bytes+size > maxQueuedBytes) {
		if !l.behind {
			l.behind = true
			l.log.Warn().Uint64("index", l.seen.Index).Int("waiting", len(l.queue)).
				Msg("audit file misses entries: the disk is full or slow")
		}
		return
	}
	l.queue = append(l.queue, lines...)
	l.bytes += size
	l.end = lines[len(lines)-1].point
	l.behind = false
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// why says what a gap before the newest entry comes from. The caller holds mu.
func (l *Log) why() string {
	if l.behind {
		return gapQueue
	}
	return gapSnapshot
}

// waiting returns the first lines of the queue, which stay in it, up to a number of bytes.
func (l *Log) waiting() []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		if !l.behind {
			return nil
		}
		l.put(line{kind: lineGap, from: l.end.Index + 1, point: l.seen, why: gapQueue})
	}
	size := 0
	for i, line := range l.queue {
		if size += line.size(); size > maxBatch {
			return l.queue[:max(i, 1):max(i, 1)]
		}
	}
	return l.queue[:len(l.queue):len(l.queue)]
}

// wrote takes lines that are on the disk from the queue.
func (l *Log) wrote(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.queue[:n] {
		l.bytes -= line.size()
	}
	l.queue = append([]line(nil), l.queue[n:]...)
}

// run writes, until stop.
func (l *Log) run() {
	defer close(l.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	refused := false
	for {
		wake := l.wake
		if refused {
			wake = nil // the timer comes
		}
		var answer chan error
		select {
		case <-wake:
		case <-timer.C:
		case answer = <-l.flushes:
		case <-l.stop:
			l.writer.leave()
			return
		}
		err := l.drain()
		if err == nil {
			err = l.writer.sync(answer != nil)
		}
		l.tell(err, refused)
		l.note(err)
		refused = err != nil
		if answer != nil {
			answer <- err
		}
		switch {
		case refused:
			timer.Reset(retryEvery)
		case l.writer.unsynced:
			timer.Reset(syncEvery)
		}
	}
}

// note keeps why the disk refuses.
func (l *Log) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = ""
	if err != nil {
		l.broken = err.Error()
	}
}

// Trouble says why the files cannot be written now; empty: they can, as far as was tried.
func (l *Log) Trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// drain writes all that waits.
func (l *Log) drain() error {
	for {
		batch := l.waiting()
		if len(batch) == 0 {
			return nil
		}
		n, err := l.writer.write(batch)
		l.wrote(n)
		if err != nil {
			return err
		}
		if err := l.writer.sync(false); err != nil {
			return err
		}
	}
}

// tell logs when the disk begins to refuse, and when it takes again.
func (l *Log) tell(err error, refused bool) {
	switch {
	case err != nil && !refused:
		l.log.Warn().Err(err).Msg("audit file was not written: it is tried again each second")
	case err == nil && refused:
		l.log.Info().Msg("audit file was written again")
	}
}
