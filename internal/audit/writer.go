package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// writer is the files of one monitor, as the one goroutine sees them that writes.
type writer struct {
	opts   Options
	log    zerolog.Logger
	path   string
	number int   // of the file, or, when none is open, of the one before
	end    Point // of what is written

	file     *os.File
	size     int64 // bytes of whole lines
	header   int64 // of them the header's, of a file that this process began
	torn     bool  // there may be more in the file than size
	unsynced bool
	synced   time.Time

	cut   int64 // of the file that was found: bytes of whole lines; the rest goes
	found bool  // the file that was found is gone on with
	aside bool  // the file that was found is put aside first: it does not end with a good line
}

// newWriter reads how the files end. It changes nothing.
func newWriter(opts Options, log zerolog.Logger) (*writer, error) {
	w := &writer{opts: opts, log: log, path: filepath.Join(opts.Dir, FileName)}
	number, err := highest(opts.Dir)
	if err != nil {
		return nil, err
	}
	w.number = number
	t, err := readTail(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w.aside = t.whole > 0 && (t.number == 0 || t.good < t.whole)
	w.found = t.whole > 0 && !w.aside
	if w.found {
		w.number = t.number
	}
	w.cut, w.size = t.whole, t.size
	for ; !t.some && number > 0; number-- {
		t, err = readTail(fullPath(opts.Dir, number))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	w.end = t.end
	return w, nil
}

// write appends the first lines of a batch and returns how many: those up to the end of the file, all or none of them.
func (w *writer) write(batch []line) (n int, err error) {
	if batch[0].kind == lineFork {
		if err := w.fork(batch[0].point); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if err := w.ready(); err != nil {
		return 0, err
	}
	var text []byte
	for _, line := range batch {
		if line.kind == lineFork {
			break
		}
		one, err := line.record().encode()
		if err != nil {
			return 0, err
		}
		if w.size+int64(len(text)+len(one)) > w.opts.MaxSize && w.size+int64(len(text)) > w.header {
			break
		}
		text = append(text, one...)
		n++
	}
	if n == 0 {
		return 0, w.rotate()
	}
	if err := w.append(text); err != nil {
		return 0, err
	}
	w.end = batch[n-1].point
	return n, nil
}

// append writes whole lines. What is there of them after an error is cut off before the next try.
func (w *writer) append(text []byte) error {
	w.torn, w.unsynced = true, true
	if _, err := w.file.Write(text); err != nil {
		_ = w.mend() // or the next try does
		return fmt.Errorf("write audit file: %w", err)
	}
	w.torn = false
	w.size += int64(len(text))
	return nil
}

// mend cuts off what a write left behind that failed.
func (w *writer) mend() error {
	if !w.torn {
		return nil
	}
	if err := w.file.Truncate(w.size); err != nil {
		return fmt.Errorf("cut off a torn line: %w", err)
	}
	w.torn = false
	return nil
}

// ready makes sure that there is a file to append to, and that it is the one this process left.
func (w *writer) ready() error {
	if w.file == nil {
		return w.open()
	}
	if err := w.mend(); err != nil {
		return err
	}
	ours, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the audit file: %w", err)
	}
	there, err := os.Stat(w.path)
	if err == nil && os.SameFile(ours, there) && ours.Size() == w.size {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the audit file: %w", err)
	}
	w.log.Error().Str("file", w.path).Msg("audit file was changed or moved by another program: a new one is begun")
	w.leave()
	w.aside = err == nil
	return w.open()
}

// leave closes the file for good.
func (w *writer) leave() {
	if w.file != nil {
		_ = w.file.Close() // synced, or as good as lost
	}
	w.file, w.found, w.torn, w.unsynced = nil, false, false, false
}

// open goes on with the file that was found, or begins the next one.
func (w *writer) open() error {
	if w.aside {
		if err := w.putAside(); err != nil {
			return err
		}
	}
	if w.found {
		return w.reopen()
	}
	return w.begin()
}

// reopen goes on with the file that was found, without what a crash left of its last line.
func (w *writer) reopen() error {
	file, err := os.OpenFile(w.path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open audit file: %w", err)
	}
	if w.size > w.cut {
		if err := file.Truncate(w.cut); err != nil {
			return errors.Join(fmt.Errorf("cut off a torn line: %w", err), file.Close())
		}
		w.log.Warn().Int64("bytes", w.size-w.cut).Msg("audit file ended in half a line, which was cut off")
	}
	w.file, w.size, w.header = file, w.cut, 0
	return nil
}

// begin makes a new file, with its header.
func (w *writer) begin() error {
	header := record{Audit: formatVersion, Monitor: w.opts.Monitor, File: w.number + 1, Index: w.end.Index, Chain: w.end.Chain}
	text, err := header.encode()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(w.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("begin audit file: %w", err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), syncDir(w.opts.Dir)); err != nil {
		return errors.Join(fmt.Errorf("begin audit file: %w", err), file.Close())
	}
	w.file, w.size, w.header = file, int64(len(text)), int64(len(text))
	w.number++
	w.torn, w.unsynced = false, false
	return nil
}

// rotate puts the full file aside and begins the next one.
func (w *writer) rotate() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync audit file: %w", err)
	}
	w.leave()
	w.aside = true
	return w.open()
}

// fork begins a file at a point that does not follow from what is there.
func (w *writer) fork(at Point) error {
	w.aside = w.aside || w.found || w.file != nil
	if w.aside {
		w.log.Error().Uint64("file_ends", w.end.Index).Uint64("index", at.Index).
			Msg("audit file does not agree with the log: a new one is begun")
	}
	w.leave()
	w.end = at
	return w.open()
}

// putAside gives the present file a number, and never one that is taken.
func (w *writer) putAside() error {
	taken, err := highest(w.opts.Dir)
	if err != nil {
		return fmt.Errorf("put the audit file aside: %w", err)
	}
	number := max(w.number, taken+1)
	if err := os.Rename(w.path, fullPath(w.opts.Dir, number)); err != nil {
		return fmt.Errorf("put the audit file aside: %w", err)
	}
	w.aside, w.number = false, number
	return nil // the directory is synced when the next file has begun
}

// sync makes what is written safe: at once, or when the last time is long enough ago.
func (w *writer) sync(now bool) error {
	if w.file == nil || !w.unsynced || !now && time.Since(w.synced) < syncEvery {
		return nil
	}
	w.synced = time.Now()
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync audit file: %w", err)
	}
	w.unsynced = false
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
