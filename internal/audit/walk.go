package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Kind is what was done to a file.
type Kind string

// The kinds of tampering, as far as they can be told apart.
const (
	Edited    Kind = "edited"
	Removed   Kind = "removed"
	Inserted  Kind = "inserted"
	Reordered Kind = "reordered"
	Truncated Kind = "truncated"
)

// Break is the first line of a trail that is not what a monitor wrote there.
type Break struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Index uint64 `json:"index,omitempty"` // of the entry, where it can be read
	Kind  Kind   `json:"kind"`
	Text  string `json:"text"`
}

// String makes it one line for people.
func (b *Break) String() string {
	where := fmt.Sprintf("%s:%d", b.File, b.Line)
	if b.Index > 0 {
		where += fmt.Sprintf(" (#%d)", b.Index)
	}
	return fmt.Sprintf("%s: %s: %s", where, b.Kind, b.Text)
}

// walk goes through one monitor's files, the oldest first, up to the first break.
func (t *Trail) walk(files []*file) error {
	for i, f := range files {
		t.Files = append(t.Files, f.name)
		switch {
		case f.broken != nil:
			t.Broken = f.broken
		case i == 0:
			t.Begin, t.End = f.header.point(), f.header.point()
			t.mark(t.End, true)
		default:
			t.Broken = t.join(files[i-1], f)
		}
		if t.Broken != nil {
			return nil
		}
		if err := t.through(f, i == len(files)-1); err != nil || t.Broken != nil {
			return err
		}
	}
	return nil
}

// join goes from one file to the next.
func (t *Trail) join(former, next *file) *Break {
	to := next.header.point()
	if next.header.File > former.header.File+1 && to.Index > t.End.Index {
		t.gap(gap{From: t.End.Index + 1, Why: gapFile}, to)
		return nil
	}
	if to == t.End {
		return nil
	}
	return &Break{
		File: next.name, Line: 1, Index: to.Index, Kind: Removed,
		Text: fmt.Sprintf("the file does not begin where %s ends, at #%d: lines are missing between them, or either was changed, "+
			"or the monitor found out that its file was", former.name, t.End.Index),
	}
}

// mark notes a point that the trail has reached.
func (t *Trail) mark(p Point, gap bool) {
	small := point{index: p.Index, gap: gap}
	_, _ = hex.Decode(small.chain[:], []byte(p.Chain)) // one that is none counts as no chain; links are computed from the text
	t.points = append(t.points, small)
	t.End = p
}

func (t *Trail) gap(g gap, to Point) {
	t.Gaps = append(t.Gaps, Gap{From: g.From, To: to.Index, Why: g.Why, former: t.End, after: to})
	t.mark(to, true)
}

func hexed(chain [32]byte) string {
	if chain == ([32]byte{}) {
		return ""
	}
	return hex.EncodeToString(chain[:])
}

// through goes through a file after its header.
func (t *Trail) through(f *file, last bool) error {
	for number := 2; ; number++ {
		text, ended, err := f.in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, errLong) {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		if err == nil && !ended && last {
			t.Torn = fmt.Sprintf("%s:%d", f.name, number)
			return nil
		}
		s := suspect{number: number, ended: ended, wrong: err}
		if err == nil {
			s.record, s.wrong = decode(text)
		}
		if s.wrong == nil && !ended {
			s.wrong = errCut
		}
		if s.wrong == nil && follows(t.End, s.record) {
			t.step(s.record)
			continue
		}
		t.Broken, err = diagnose(t, f, s)
		return err
	}
}

// step goes over a line that follows from what is before it.
func (t *Trail) step(r record) {
	if r.Gap != nil {
		t.gap(*r.Gap, r.point())
		return
	}
	t.Entries++
	if r.Refused != nil {
		t.Refused++
	}
	if t.keep {
		t.lines = append(t.lines, kept{former: t.End, record: r})
	}
	t.mark(r.point(), false)
}

// follows says that a line can be the next after a place in the log.
func follows(former Point, r record) bool {
	switch {
	case r.Audit != 0:
		return false
	case r.Gap != nil:
		return r.Gap.From == former.Index+1 && r.Index >= r.Gap.From
	}
	return r.Index > former.Index && r.linked(former.Chain) == r.Chain
}
