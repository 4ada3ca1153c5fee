package detect

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Where the table is in the file.
const (
	tableBegins = "<!-- detector-table: made by make detector-table, do not edit -->\n"
	tableEnds   = "<!-- detector-table: end -->\n"
)

var (
	tableFile  = flag.String("table", "", "the file whose detector table is made anew")
	tableBeats = flag.Int("beats", million, "beats on each link of that table")
)

// measured is what one detector did on one link.
type measured struct {
	quality
	missed bool // no parameter gives the detection time asked for
}

// compare measures Holter's View, the fixed timeout of the same time and the baselines on one trace. The baselines that have
// a parameter are given the one with which they detect a crash as fast as Holter on the mean.
func compare(beats []beat) []measured {
	heart := usual()
	holter := measure(beats, newViewed(heart))
	out := []measured{{quality: holter}, {quality: measure(beats, &fixed{timeout: heart.LostAfter})}}
	for _, b := range baselines() {
		if b.start == 0 {
			out = append(out, measured{quality: measure(beats, b.build(heart, 0))})
			continue
		}
		q := tune(beats, holter.tdMean(), b.start, func(p float64) detector { return b.build(heart, p) })
		off := q.tdMean() - holter.tdMean()
		out = append(out, measured{quality: q, missed: off.Abs() > holter.tdMean()/100})
	}
	return out
}

// table is the text of the comparison.
func table(t *testing.T, n int) string {
	t.Helper()
	heads := []string{"Holter", "fixed " + usual().LostAfter.String()}
	for _, b := range baselines() {
		heads = append(heads, b.name)
	}
	var mistakes, lasts, detected, models strings.Builder
	for i, l := range links() {
		beats := l.trace(n, usual().Interval, uint64(i))
		row := compare(beats)
		for promise, why := range broken(l, beats, usual(), row[0].quality) {
			t.Errorf("%s: Holter breaks: %s: %s", l.name, promise, why)
		}
		fmt.Fprintf(&models, "- **%s**: %s.\n", l.name, l.about)
		for _, b := range []*strings.Builder{&mistakes, &lasts, &detected} {
			fmt.Fprintf(b, "| %s |", l.name)
		}
		for k, q := range row {
			if q.missed {
				t.Errorf("%s: %s detects a crash after %s on the mean, Holter after %s: it could not be tuned", l.name, heads[k], q.tdMean(), row[0].tdMean())
			}
			if q.mistakes == 0 {
				mistakes.WriteString(" 0 |")
				lasts.WriteString(" |")
			} else {
				fmt.Fprintf(&mistakes, " %d (%s) |", q.mistakes, short(q.between()))
				fmt.Fprintf(&lasts, " %.2f |", q.lasts().Seconds())
			}
			fmt.Fprintf(&detected, " %.2f / %.1f |", q.tdMean().Seconds(), q.tdMax.Seconds())
		}
		for _, b := range []*strings.Builder{&mistakes, &lasts, &detected} {
			b.WriteByte('\n')
		}
	}
	head := "| link | " + strings.Join(heads, " | ") + " |\n|---|" + strings.Repeat("---:|", len(heads)) + "\n"
	span := short(time.Duration(n) * usual().Interval)
	return fmt.Sprintf("%d beats on each link, one each %s (%s), seed %d.\n\n%s\n", n, usual().Interval, span, seed, &models) +
		"Mistakes: how often a living host was held lost, and the mean time from one to the next:\n\n" + head + mistakes.String() +
		"\nThe mean time until a mistake is corrected, in seconds:\n\n" + head + lasts.String() +
		"\nThe time from a crash to its detection, mean / maximum, in seconds:\n\n" + head + detected.String() + "\n" + byTimeout(n)
}

// byTimeout compares the mistakes of Holter's detector and of the fixed timeout at other timeouts. The reference stands for
// the View: they are the same.
func byTimeout(n int) string {
	var traces [][]beat
	var b strings.Builder
	b.WriteString("Mistakes at other settings of lost_after, with lost_after_max twice that, Holter / fixed:\n\n| lost_after |")
	for i, l := range links() {
		traces = append(traces, l.trace(n, usual().Interval, uint64(i)))
		fmt.Fprintf(&b, " %s |", l.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(traces)) + "\n")
	for after := 2 * time.Second; after <= 5*time.Second; after += time.Second {
		heart := usual()
		heart.LostAfter, heart.LostAfterMax = after, 2*after
		fmt.Fprintf(&b, "| %s |", after)
		for _, beats := range traces {
			holter, fixed := measure(beats, &reference{heart: heart}), measure(beats, &fixed{timeout: after})
			fmt.Fprintf(&b, " %d / %d |", holter.mistakes, fixed.mistakes)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func short(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	case d >= time.Minute:
		return fmt.Sprintf("%.1f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// replace puts a table between the two marks of a text.
func replace(text []byte, table string) ([]byte, error) {
	before, rest, begins := bytes.Cut(text, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("the text lacks the lines %q and %q: nothing was replaced", tableBegins, tableEnds)
	}
	return bytes.Join([][]byte{before, []byte(tableBegins), []byte(table), []byte(tableEnds), after}, nil), nil
}

// TestTable makes the table anew if told to. Else it holds that the same table comes out twice, and that the document has a
// place for it.
func TestTable(t *testing.T) {
	const document, small = "../../docs/performance.md", 15_000
	if *tableFile != "" {
		writeTable(t, *tableFile, table(t, *tableBeats))
		return
	}
	first, second := table(t, small), table(t, small)
	if first != second {
		t.Errorf("two tables of the same traces differ:\n%s\n%s", first, second)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	once, err := replace(text, first)
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	twice, err := replace(once, first)
	if err != nil || !bytes.Equal(once, twice) || !bytes.Contains(once, []byte(first)) {
		t.Errorf("%s: a table that is replaced by itself is another one (error: %v)", document, err)
	}
}

func writeTable(t *testing.T, file, table string) {
	t.Helper()
	if t.Failed() {
		t.Fatalf("%s was not changed", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err = replace(text, table)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
