package audit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// kept is an entry with the place that it follows.
type kept struct {
	former Point
	record record
}

// Range is the entries to export: both ends are part of it, and 0 is no limit.
type Range struct{ From, To uint64 }

func (r Range) holds(index uint64) bool { return index >= r.From && (r.To == 0 || index <= r.To) }

// Export verifies files and writes what they prove as one file of the same kind, in which the monitors fill each other's gaps.
// It holds all of it in memory. Where the files of two monitors do not say the same, it writes nothing; of a file that is
// broken, what is before the break.
func Export(w io.Writer, sources []Source, within Range) (*Report, error) {
	report, err := verify(sources, nil, true)
	if err != nil || len(report.Differ) > 0 {
		return report, err
	}
	entries := map[uint64]kept{}
	var names []string
	for _, t := range report.Trails {
		names = append(names, t.String())
		for _, entry := range t.lines {
			if within.holds(entry.record.Index) {
				entries[entry.record.Index] = entry
			}
		}
	}
	out := exporter{w: w}
	out.begin(report, strings.Join(slices.Compact(names), ","), within)
	for _, index := range slices.Sorted(maps.Keys(entries)) {
		out.entry(entries[index])
	}
	out.finish(report, within)
	return report, out.err
}

// exporter writes lines that follow from each other.
type exporter struct {
	w     io.Writer
	at    Point // after the line written last
	begun bool
	first record // the header, as long as it is not known where it begins
	err   error
}

func (x *exporter) begin(report *Report, name string, within Range) {
	x.first = record{Audit: formatVersion, Monitor: name, File: 1}
	if within.From > 0 {
		return // the first entry says where
	}
	whole := slices.DeleteFunc(slices.Clone(report.Trails), func(t *Trail) bool { return len(t.points) == 0 })
	if len(whole) > 0 {
		x.header(slices.MinFunc(whole, func(a, b *Trail) int { return cmp.Compare(a.Begin.Index, b.Begin.Index) }).Begin)
	}
}

func (x *exporter) header(at Point) {
	x.first.Index, x.first.Chain = at.Index, at.Chain
	x.line(x.first)
	x.begun = true
}

func (x *exporter) entry(entry kept) {
	if !x.begun {
		x.header(entry.former)
	}
	x.gap(entry.former)
	x.line(entry.record)
}

// gap says what is missing before a place.
func (x *exporter) gap(to Point) {
	if to.Index > x.at.Index {
		x.line(record{Gap: &gap{From: x.at.Index + 1, Why: gapFile}, Index: to.Index, Chain: to.Chain})
	}
}

// finish says what is missing at the end.
func (x *exporter) finish(report *Report, within Range) {
	for _, t := range report.Trails {
		if x.begun && within.To == 0 {
			x.gap(t.End)
		}
	}
}

func (x *exporter) line(r record) {
	if x.err != nil {
		return
	}
	text, err := r.encode()
	if err == nil {
		_, err = x.w.Write(text)
	}
	if err != nil {
		x.err = fmt.Errorf("export: %w", err)
	}
	x.at = r.point()
}
