package audit

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holter-ha/holter/planner"
)

// trailOf is a file with everything that a file can hold, line by line with the line feeds, and where it ends.
func trailOf(t *testing.T) (text []string, end Point) {
	t.Helper()
	log := history(t, 24)
	dir := t.TempDir()
	l := openLog(t, dir, 0)
	tell(l, log[:10])
	l.Restored(log[13].index, log[13].chain)
	tell(l, log[14:])
	closeLog(t, l)
	file := written(t, dir)[FileName]
	end = log[23].point()
	verified(t, map[string]string{FileName: file}, end)
	lines := strings.SplitAfter(file, "\n")
	return lines[:len(lines)-1], end
}

// found verifies lines that were tampered with.
func found(t *rapid.T, lines []string, end Point) *Trail {
	report, err := Verify([]Source{{Name: "f", R: strings.NewReader(strings.Join(lines, ""))}}, &Cluster{Point: end})
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return report.Trails[0]
}

func (t *Trail) brokenAt() int {
	if t.Broken == nil {
		return 0
	}
	return t.Broken.Line
}

func brokenAt(t *rapid.T, trail *Trail, line int, kinds ...Kind) {
	if trail.brokenAt() != line || !slices.Contains(kinds, trail.Broken.Kind) {
		t.Fatalf("got broken: %v, want line %d, one of %v", trail.Broken, line, kinds)
	}
}

// resummed is a line with the check sum that belongs to it, as somebody writes it who knows the format.
func resummed(t rapid.TB, line string, change func(*record)) string {
	r, err := decode([]byte(strings.TrimSuffix(line, "\n")))
	if err != nil {
		t.Fatalf("decode %q: %v", line, err)
	}
	change(&r)
	text, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTampering(t *testing.T) {
	lines, end := trailOf(t)
	last := len(lines)
	isGap := func(line int) bool { return strings.Contains(lines[line-1], `"gap"`) }
	t.Run("edited byte", rapid.MakeCheck(func(t *rapid.T) {
		at := rapid.IntRange(1, last).Draw(t, "line")
		changed := slices.Clone(lines)
		b := []byte(changed[at-1])
		i := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		changed[at-1] = string(b)
		trail := found(t, changed, end)
		if at == last && i == len(b)-1 { // the last line has no end any more: it may be being written
			if trail.Torn == "" || trail.Cluster != Behind {
				t.Fatalf("got %+v, want a torn line", trail)
			}
			return
		}
		brokenAt(t, trail, at, Edited, Truncated)
	}))
	t.Run("edited with check sum", rapid.MakeCheck(func(t *rapid.T) {
		at := rapid.IntRange(2, last).Filter(func(at int) bool { return !isGap(at) }).Draw(t, "line")
		changed := slices.Clone(lines)
		changed[at-1] = resummed(t, lines[at-1], func(r *record) {
			switch rapid.SampledFrom([]string{"entry", "index", "refused", "chain"}).Draw(t, "what") {
			case "entry":
				r.Entry, r.Raw = bytes.Replace(r.Entry, []byte("reason"), []byte("lesson"), 1), bytes.Replace(r.Raw, []byte("reason"), []byte("lesson"), 1)
			case "index":
				r.Index += uint64(rapid.IntRange(1, 3).Draw(t, "more"))
			case "refused":
				if r.Refused == nil {
					r.Refused = &planner.Refusal{Code: planner.CodeNoSuch, Message: "no"}
				} else {
					r.Refused = nil
				}
			case "chain":
				r.Chain = strings.Repeat("0a", 32)
			}
		})
		// An edit cannot always be told from entries that are missing before it.
		brokenAt(t, found(t, changed, end), at, Edited, Removed)
	}))
	t.Run("line removed", rapid.MakeCheck(func(t *rapid.T) {
		at := rapid.IntRange(1, last).Draw(t, "line")
		trail := found(t, slices.Delete(slices.Clone(lines), at-1, at), end)
		if at == last {
			if trail.Broken != nil || trail.Cluster != Behind {
				t.Fatalf("got %+v, want that the trail is behind the cluster", trail)
			}
			return
		}
		brokenAt(t, trail, at, Removed, Edited)
	}))
	t.Run("lines swapped", rapid.MakeCheck(func(t *rapid.T) {
		a := rapid.IntRange(1, last-1).Draw(t, "a")
		b := rapid.IntRange(a+1, last).Draw(t, "b")
		changed := slices.Clone(lines)
		changed[a-1], changed[b-1] = changed[b-1], changed[a-1]
		kinds := []Kind{Reordered}
		if a == 1 {
			kinds = []Kind{Removed} // the header is not there
		}
		brokenAt(t, found(t, changed, end), a, kinds...)
	}))
	t.Run("line inserted", rapid.MakeCheck(func(t *rapid.T) {
		copied := rapid.IntRange(1, last).Draw(t, "copy of")
		at := rapid.IntRange(2, last+1).Draw(t, "as line")
		line := lines[copied-1]
		if rapid.Bool().Draw(t, "made up") {
			line = rapid.StringMatching(`[a-z{}":]{0,60}`).Draw(t, "text") + "\n"
		}
		want := at
		if at <= last && lines[at-1] == line {
			want++ // the second of the two is one too many
		}
		brokenAt(t, found(t, slices.Insert(slices.Clone(lines), at-1, line), end), want, Inserted, Edited, Truncated)
	}))
	t.Run("linked line inserted", rapid.MakeCheck(func(t *rapid.T) { testLinkedLine(t, lines, end) }))
	t.Run("tail cut", rapid.MakeCheck(func(t *rapid.T) {
		text := strings.Join(lines, "")
		n := rapid.IntRange(len(lines[0]), len(text)-1).Draw(t, "bytes")
		trail := found(t, []string{text[:n]}, end)
		if trail.Broken != nil || trail.Cluster != Behind || (trail.Torn != "") != (text[n-1] != '\n') {
			t.Fatalf("got %+v, want that it is behind the cluster", trail)
		}
	}))
}

// testLinkedLine has an attacker insert an entry with the link that belongs there: the line after it gives it away, or the
// cluster when it is the last.
func testLinkedLine(t *rapid.T, lines []string, end Point) {
	after := rapid.IntRange(2, len(lines)).Draw(t, "after")
	more := uint64(rapid.IntRange(0, 1).Draw(t, "index")) // its own, or the one of the line before it
	forged := resummed(t, lines[after-1], func(r *record) {
		former := r.Chain
		*r = record{Index: r.Index + more, Entry: []byte(`{"v":1}`)}
		r.Chain = r.linked(former)
	})
	trail := found(t, slices.Insert(slices.Clone(lines), after, forged), end)
	if more == 0 {
		if got := trail.brokenAt(); got != after+1 {
			t.Fatalf("got broken: %v, want line %d", trail.Broken, after+1)
		}
		return
	}
	if after == len(lines) {
		if trail.Broken != nil || trail.End.Index != end.Index+1 {
			t.Fatalf("got %+v, want a sound trail that goes on after the cluster's index", trail)
		}
		later := Cluster{Point: Point{end.Index + 1, strings.Repeat("1b", 32)}}
		if got := trail.standing(later); got != Differs {
			t.Fatalf("a forged end beside the cluster: got %s, want %s", got, Differs)
		}
		return
	}
	if got := trail.brokenAt(); got != after+2 {
		t.Fatalf("got broken: %v, want line %d", trail.Broken, after+2)
	}
}

// TestDiagnosis says of one example each what was done, in the words that people see.
func TestDiagnosis(t *testing.T) {
	lines, end := trailOf(t)
	swap := slices.Clone(lines)
	swap[4], swap[5] = swap[5], swap[4]
	edited := resummed(t, lines[4], func(r *record) { r.Entry = bytes.Replace(r.Entry, []byte("ada"), []byte("bob"), 1) })
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"removed":   {slices.Delete(slices.Clone(lines), 4, 5), "f:5 (#7): removed: entries between #5 and #7 are missing, or this one was edited"},
		"reordered": {swap, "f:5 (#7): reordered: the line belongs after #6"},
		"inserted":  {slices.Insert(slices.Clone(lines), 9, lines[3]), "f:10 (#5): inserted: the line stands in the file twice"},
		"edited":    {slices.Concat(lines[:4], []string{edited}, lines[5:]), "f:5 (#6): edited: its content does not have the link"},
		"truncated": {slices.Concat(lines[:4], []string{lines[4][:40] + "\n"}, lines[5:]), "f:5: truncated: the line cannot be read: it has no end"},
	}
	for name, test := range tests {
		report, err := Verify([]Source{{Name: "f", R: strings.NewReader(strings.Join(test.lines, ""))}}, &Cluster{Point: end})
		if err != nil || !report.Broken() {
			t.Fatalf("%s: got %+v, %v, want that it is broken", name, report, err)
		}
		if got := report.Trails[0].Broken.String(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestOnlyOneReading refuses lines that another reader could take for something else, although sum and link hold.
func TestOnlyOneReading(t *testing.T) {
	lines, end := trailOf(t)
	for name, change := range map[string]func(string) string{
		"two entries":   func(body string) string { return strings.Replace(body, `"entry":`, `"entry":{"v":2},"entry":`, 1) },
		"more fields":   func(body string) string { return body + `,"by":"nobody"` },
		"other letters": func(body string) string { return strings.Replace(body, `"entry"`, `"Entry"`, 1) },
		"blanks":        func(body string) string { return strings.Replace(body, `"entry":`, `"entry": `, 1) },
		"gap and entry": func(body string) string {
			return strings.Replace(body, `{"index"`, `{"gap":{"from":6,"why":""},"index"`, 1)
		},
	} {
		body := change(strings.TrimSuffix(lines[4], "\n")[:len(lines[4])-1-sumLength])
		changed := slices.Clone(lines)
		changed[4] = fmt.Sprintf("%s%s%08x%s\n", body, sumBegins, crc32.Checksum([]byte(body), castagnoli), sumEnds)
		report, err := Verify([]Source{{Name: "f", R: strings.NewReader(strings.Join(changed, ""))}}, &Cluster{Point: end})
		if err != nil || report.Trails[0].brokenAt() != 5 {
			t.Errorf("%s: got %v, %v, want line 5 to be broken: %s", name, report.Trails[0].Broken, err, changed[4])
		}
	}
}

// monitors writes the files of two monitors that miss different entries of one log.
func monitors(t *testing.T) (log []told, files map[string]string) {
	t.Helper()
	log, files = history(t, 20), map[string]string{}
	for name, missing := range map[string][2]int{"m1": {5, 9}, "m2": {12, 15}} {
		dir := t.TempDir()
		l, err := Open(Options{Monitor: name, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		tell(l, log[:missing[0]])
		l.Restored(log[missing[1]].index, log[missing[1]].chain)
		tell(l, log[missing[1]+1:])
		closeLog(t, l)
		files[name] = written(t, dir)[FileName]
	}
	return log, files
}

func TestMonitorsCloseEachOthersGaps(t *testing.T) {
	log, files := monitors(t)
	report, err := Verify(sources(files), nil)
	if err != nil || report.Broken() || len(report.Trails) != 2 {
		t.Fatalf("Verify: got %+v, %v, want two sound trails", report, err)
	}
	for i, other := range []string{"m2", "m1"} {
		if gaps := report.Trails[i].Gaps; len(gaps) != 1 || !gaps[0].Confirmed || gaps[0].Closed != other {
			t.Errorf("gaps of %s: got %+v, want one that %s closes", report.Trails[i], gaps, other)
		}
	}
	alone, err := Verify(sources(map[string]string{"m1": files["m1"]}), nil)
	if err != nil || alone.Trails[0].Gaps[0].Confirmed || alone.Trails[0].Gaps[0].Closed != "" {
		t.Errorf("the gap of one alone: got %+v, %v, want that nobody confirms it", alone.Trails[0], err)
	}
	var out bytes.Buffer
	if _, err := Export(&out, sources(files), Range{}); err != nil {
		t.Fatalf("Export: %v", err)
	}
	merged := verified(t, map[string]string{"export": out.String()}, log[19].point())
	if merged.Entries != 20 || len(merged.Gaps) != 0 || merged.Monitor != "m1,m2" {
		t.Errorf("the export: got %+v, want all 20 entries and no gap", merged)
	}
}

func TestMonitorsDiffer(t *testing.T) {
	_, files := monitors(t)
	forged := strings.SplitAfter(files["m1"], "\n")
	at := Point{}
	for i := 1; i < 6; i++ { // every entry up to the gap is written anew, from the third on, with links that fit
		forged[i] = resummed(t, forged[i], func(r *record) {
			if i > 2 {
				r.Entry, r.Raw = fmt.Appendf(nil, `{"forged":%d}`, i), nil
			}
			r.Chain = r.linked(at.Chain)
			at = r.point()
		})
	}
	files["m1"] = strings.Join(forged, "")
	report, err := Verify(sources(files), nil)
	if err != nil || !report.Broken() || len(report.Differ) != 1 || !strings.Contains(report.Differ[0], "m1 and m2 do not say the same: first at #5") {
		t.Errorf("a trail that was forged as a whole: got %+v, %v, want that it differs from the other monitor's", report, err)
	}
	var out bytes.Buffer
	if _, err := Export(&out, sources(files), Range{}); err != nil || out.Len() > 0 {
		t.Errorf("Export of what differs: got %d bytes, %v, want nothing", out.Len(), err)
	}
}

func TestExportOfARange(t *testing.T) {
	log, files := monitors(t)
	var out bytes.Buffer
	within := Range{From: log[3].index, To: log[11].index}
	if _, err := Export(&out, sources(map[string]string{"m1": files["m1"]}), within); err != nil {
		t.Fatal(err)
	}
	trail := verified(t, map[string]string{"export": out.String()}, log[11].point())
	if trail.Begin != log[2].point() || trail.Entries != 4 || len(trail.Gaps) != 1 {
		t.Errorf("the export: got %+v, want it to begin after %+v, with 4 entries and a gap", trail, log[2].point())
	}
}

// TestFilesOfOneMonitor removes and swaps whole files.
func TestFilesOfOneMonitor(t *testing.T) {
	log, dir := history(t, 12), t.TempDir()
	l := openLog(t, dir, 1000)
	tell(l, log)
	closeLog(t, l)
	files := written(t, dir)
	if len(files) < 4 {
		t.Fatalf("files: got %d, want four at least", len(files))
	}
	second := files["audit.2.jsonl"]
	delete(files, "audit.2.jsonl")
	if trail := verified(t, files, log[11].point()); len(trail.Gaps) != 1 || trail.Gaps[0].Why != gapFile {
		t.Errorf("without the second file: got %+v, want a gap", trail.Gaps)
	}
	lines := strings.SplitAfter(second, "\n")
	files["audit.2.jsonl"] = strings.Join(lines[:len(lines)-2], "")
	report, err := Verify(sources(files), nil)
	if err != nil || !report.Broken() || report.Trails[0].Broken.File != "audit.3.jsonl" || report.Trails[0].Broken.Line != 1 {
		t.Errorf("a second file without its last line: got %+v, %v, want audit.3.jsonl:1 to be broken", report.Trails[0].Broken, err)
	}
	files["audit.2.jsonl"] = strings.TrimSuffix(second, "\n")
	report, err = Verify(sources(files), nil)
	if err != nil || !report.Broken() || report.Trails[0].Broken.File != "audit.2.jsonl" || report.Trails[0].Broken.Kind != Truncated {
		t.Errorf("a second file with half a last line: got %+v, %v, want it to be truncated", report.Trails[0].Broken, err)
	}
}
