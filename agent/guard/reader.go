package guard

import (
	"bytes"
	"context"
	"time"
)

// sheet is what the orders file holds: orders, or why there are none to be read.
type sheet struct {
	orders *Orders
	err    error
}

// reader reads the orders file whenever it has changed.
type reader struct {
	path string
	text []byte // as it was read last; nil: it could not be
	why  string // why it could not be
}

// run hands over what has changed, until ctx ends.
func (r *reader) run(ctx context.Context, every time.Duration, sheets chan<- sheet) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, changed := r.read()
		if !changed {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case sheets <- s:
		}
	}
}

// read reads the file whole: two versions may have one time, one size and one inode.
func (r *reader) read() (s sheet, changed bool) {
	text, err := load(r.path)
	if err != nil {
		changed = r.text != nil || r.why != err.Error()
		r.text, r.why = nil, err.Error()
		return sheet{err: err}, changed
	}
	if r.text != nil && bytes.Equal(text, r.text) {
		return sheet{}, false
	}
	r.text, r.why = text, ""
	var o Orders
	if err = decode(r.path, text, &o); err == nil {
		err = check(&o)
	}
	return sheet{orders: &o, err: err}, true
}
