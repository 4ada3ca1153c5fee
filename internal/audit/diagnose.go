package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/holter-ha/holter/planner"
)

// suspect is a line that does not follow from what is before it.
type suspect struct {
	number int
	record record
	wrong  error // it cannot be read
	ended  bool  // it has a line feed
}

// maxGuessed bounds the indexes that are tried in place of one that was edited.
const maxGuessed = 4096

// unreadable says what was done to a line that cannot be read.
func unreadable(wrong error, ended bool) Kind {
	if !ended || errors.Is(wrong, errCut) {
		return Truncated
	}
	return Edited
}

// diagnose finds out what was done, as far as the rest of the file tells. The line itself is always the first that is wrong.
func diagnose(t *Trail, f *file, s suspect) (*Break, error) {
	next, later, err := rest(f)
	if err != nil {
		return nil, err
	}
	r := s.record
	b := &Break{File: f.name, Line: s.number, Index: r.Index}
	without := next != nil && follows(t.End, *next) // all is well without this line
	if s.wrong != nil {
		b.Index = 0
		b.Kind, b.Text = unreadable(s.wrong, s.ended), "the line cannot be read: "+s.wrong.Error()
		if without {
			b.Kind, b.Text = Inserted, "a line that no monitor writes stands between two that belong together"
		}
		return b, nil
	}
	double := slices.ContainsFunc(later, func(other record) bool { return other.Chain == r.Chain && other.Index == r.Index }) ||
		slices.ContainsFunc(t.points, func(p point) bool { return p.index == r.Index && hexed(p.chain) == r.Chain })
	belongs := slices.IndexFunc(later, func(other record) bool { return follows(other.point(), r) })
	switch {
	case r.Audit != 0:
		b.Kind, b.Text = Inserted, "a header stands in the middle of the file"
	case double:
		b.Kind, b.Text = Inserted, "the line stands in the file twice"
	case belongs >= 0:
		b.Kind, b.Text = Reordered, fmt.Sprintf("the line belongs after #%d", later[belongs].Index)
	case without:
		b.Kind, b.Text = Inserted, "the line stands between two that belong together"
	default:
		b.Kind, b.Text = altered(t.End, r, next)
	}
	return b, nil
}

// altered tells a line that was edited from one before which others were removed.
func altered(former Point, r record, next *record) (Kind, string) {
	if r.Gap != nil {
		return Removed, fmt.Sprintf("the gap begins at #%d, but the line before it ends at #%d", r.Gap.From, former.Index)
	}
	if r.Index <= former.Index {
		return Reordered, fmt.Sprintf("the line stands after #%d", former.Index)
	}
	computed := r.linked(former.Chain)
	if next != nil && follows(Point{r.Index, computed}, *next) {
		return Edited, "its chain value was changed"
	}
	toggled := r
	if toggled.Refused == nil {
		toggled.Refused = &planner.Refusal{}
	} else {
		toggled.Refused = nil
	}
	if toggled.linked(former.Chain) == r.Chain {
		return Edited, "it was refused and says that it was not, or the other way round"
	}
	for index := former.Index + 1; index <= former.Index+maxGuessed; index++ {
		guess := r
		guess.Index = index
		if guess.linked(former.Chain) == r.Chain {
			return Edited, fmt.Sprintf("its index was #%d", index)
		}
	}
	if r.Index == former.Index+1 {
		return Edited, "its content does not have the link that the line says (or the line before it, if that is a gap, was edited)"
	}
	return Removed, fmt.Sprintf("entries between #%d and #%d are missing, or this one was edited", former.Index, r.Index)
}

// rest reads the file to its end: the next line, nil if it cannot be read, and where all others lead.
func rest(f *file) (next *record, later []record, err error) {
	for first := true; ; first = false {
		text, _, err := f.in.next()
		if errors.Is(err, io.EOF) {
			return next, later, nil
		}
		if errors.Is(err, errLong) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", f.name, err)
		}
		r, err := decode(text)
		if err != nil {
			continue
		}
		if first {
			next = &r
		}
		later = append(later, record{Index: r.Index, Chain: r.Chain})
	}
}
