package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
)

// told is one entry of a log as its machine tells it.
type told struct {
	index   uint64
	raw     []byte
	refusal *planner.Refusal
	chain   string
}

func (e told) point() Point { return Point{e.index, e.chain} }

// history is a log of real entries, folded by a real state: some are refused, some indexes are raft's own, one entry is
// written as no monitor of today writes it.
func history(t testing.TB, n int) []told {
	t.Helper()
	state := planner.NewState()
	var log []told
	for i := range n {
		entry := planner.Entry{
			At: time.Date(2026, 11, 23, 5, 0, i, 0, time.UTC), By: "ada", Reason: fmt.Sprintf("<reason %d>", i),
			Event: planner.PlanArmed{Plan: "none"}, // refused: there is no such plan
		}
		if i%3 != 1 {
			entry.Event = planner.UserSet{User: fmt.Sprint("user-", i)}
		}
		if i == 0 {
			entry.Event = planner.ClusterFormed{Cluster: "c", Monitors: []string{"m1"}}
		}
		raw, err := planner.EncodeEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			raw = bytes.ReplaceAll(raw, []byte(`","`), []byte("\",\n \""))
		}
		index := state.Index + 1
		if i%5 == 0 {
			index += 2
		}
		decoded, err := planner.DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		next, err := state.Apply(index, decoded)
		state = next.Chained(state, raw, err != nil)
		refusal, _ := errors.AsType[*planner.Refusal](err)
		log = append(log, told{index: index, raw: raw, refusal: refusal, chain: state.Chain})
	}
	return log
}

// bulk is many small entries. No state has seen them.
func bulk(n int) []told {
	var log []told
	chain := ""
	for i := range n {
		raw := fmt.Appendf(nil, `{"v":%d}`, i)
		chain = planner.Link(chain, uint64(i+1), raw)
		log = append(log, told{index: uint64(i + 1), raw: raw, chain: chain})
	}
	return log
}

// tell tells a Log entries.
func tell(l *Log, entries []told) {
	for _, e := range entries {
		l.Applied(e.index, e.raw, e.refusal, e.chain)
	}
}

func openLog(t testing.TB, dir string, size int64) *Log {
	t.Helper()
	l, err := Open(Options{Monitor: "m1", Dir: dir, MaxSize: size, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// written is what a monitor's files hold, by name.
func written(t testing.TB, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "audit*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(text)
	}
	return files
}

func sources(files map[string]string) []Source {
	var list []Source
	for name, text := range files {
		list = append(list, Source{Name: name, R: bytes.NewReader([]byte(text))})
	}
	return list
}

// verified verifies files that are to be sound and of one monitor.
func verified(t testing.TB, files map[string]string, end Point) *Trail {
	t.Helper()
	report, err := Verify(sources(files), &Cluster{Point: end})
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if len(report.Trails) != 1 || report.Broken() || report.Trails[0].Cluster != Agrees || report.Trails[0].End != end {
		for _, trail := range report.Trails {
			t.Logf("trail of %s: %d entries up to %+v, %s with the cluster, broken: %v", trail, trail.Entries, trail.End, trail.Cluster, trail.Broken)
		}
		t.Fatalf("Verify of what was written: got broken %t, %v, want one sound trail that ends at %+v", report.Broken(), report.Differ, end)
	}
	return report.Trails[0]
}

func TestWriteAndVerify(t *testing.T) {
	for _, size := range []int64{0, 1, 1500} {
		dir, log := t.TempDir(), history(t, 40)
		l := openLog(t, dir, size)
		tell(l, log)
		closeLog(t, l)
		files := written(t, dir)
		trail := verified(t, files, log[len(log)-1].point())
		if trail.Entries != len(log) || trail.Refused != 13 || len(trail.Gaps) != 0 || trail.Torn != "" {
			t.Errorf("trail of files of %d: got %+v, want %d entries, 13 of them refused, no gap", size, trail, len(log))
		}
		if (len(files) > 1) != (size > 0) || size == 1 && len(files) != len(log) {
			t.Errorf("files of at most %d bytes: got %d", size, len(files))
		}
		for name := range files {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode of %s: got %v, %v, want 0600", name, info.Mode(), err)
			}
		}
	}
}

// TestRestartGoesOn restarts after each entry, with and without a snapshot: nothing is written twice, nothing is missing.
func TestRestartGoesOn(t *testing.T) {
	log := history(t, 12)
	for _, size := range []int64{0, 900} {
		want := t.TempDir()
		l := openLog(t, want, size)
		tell(l, log)
		closeLog(t, l)
		for snapshot := range log {
			dir := t.TempDir()
			for upTo := range log {
				l := openLog(t, dir, size)
				replayed := log[:upTo+1]
				if snapshot < upTo {
					l.Restored(log[snapshot].index, log[snapshot].chain)
					replayed = log[snapshot+1 : upTo+1]
				}
				tell(l, replayed)
				closeLog(t, l)
			}
			verified(t, written(t, dir), log[len(log)-1].point())
			if got, want := written(t, dir), written(t, want); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("files of %d after restarts from a snapshot at #%d:\n%v\nwant what is written without restarts:\n%v",
					size, log[snapshot].index, got, want)
			}
		}
	}
}

// TestCrashAnywhere cuts what was written at every byte and goes on from there: the same bytes again.
func TestCrashAnywhere(t *testing.T) {
	log := bulk(5)
	whole := t.TempDir()
	l := openLog(t, whole, 400)
	tell(l, log)
	closeLog(t, l)
	files := written(t, whole)
	if len(files) != 3 {
		t.Fatalf("files: got %d, want 3", len(files))
	}
	names := []string{"audit.1.jsonl", "audit.2.jsonl", FileName}
	for last := range names {
		text := files[names[last]]
		for n := range len(text) + 1 {
			dir := t.TempDir()
			for _, name := range names[:last] {
				write(t, filepath.Join(dir, name), files[name])
			}
			write(t, filepath.Join(dir, FileName), text[:n])
			l := openLog(t, dir, 400)
			tell(l, log)
			closeLog(t, l)
			if got := written(t, dir); fmt.Sprint(got) != fmt.Sprint(files) {
				t.Fatalf("after a crash %d bytes into %s:\n%v\nwant\n%v", n, names[last], got, files)
			}
		}
	}
}

// TestCrashBetweenFiles is a crash after the full file was put aside, before the next one has begun.
func TestCrashBetweenFiles(t *testing.T) {
	log := history(t, 6)
	dir := t.TempDir()
	l := openLog(t, dir, 1000)
	tell(l, log[:5])
	closeLog(t, l)
	before := len(written(t, dir))
	if err := os.Rename(filepath.Join(dir, FileName), fullPath(dir, before)); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir, 1000)
	tell(l, log)
	closeLog(t, l)
	if trail := verified(t, written(t, dir), log[5].point()); trail.Entries != 6 || len(trail.Files) != before+1 {
		t.Errorf("after the crash: got %d entries in %d files, want 6 in %d", trail.Entries, len(trail.Files), before+1)
	}
}

// TestSnapshotIsAGap misses entries because a snapshot came in their place, after and before something was written.
func TestSnapshotIsAGap(t *testing.T) {
	log := history(t, 12)
	dir := t.TempDir()
	l := openLog(t, dir, 0)
	l.Restored(log[1].index, log[1].chain) // a monitor that is new in an old cluster
	tell(l, log[2:5])
	l.Restored(log[8].index, log[8].chain) // it was away for long
	closeLog(t, l)
	verified(t, written(t, dir), log[8].point()) // the gap is there before another entry comes
	l = openLog(t, dir, 0)
	l.Restored(log[8].index, log[8].chain)
	tell(l, log[9:])
	closeLog(t, l)
	trail := verified(t, written(t, dir), log[11].point())
	want := []Gap{
		{From: 1, To: log[1].index, Why: gapSnapshot},
		{From: log[4].index + 1, To: log[8].index, Why: gapSnapshot, Confirmed: true},
	}
	if len(trail.Gaps) != len(want) || trail.Entries != 6 {
		t.Fatalf("gaps: got %+v and %d entries, want %+v and 6", trail.Gaps, trail.Entries, want)
	}
	for i, got := range trail.Gaps {
		got.former, got.after = Point{}, Point{}
		if got != want[i] {
			t.Errorf("gap %d: got %+v, want %+v", i, got, want[i])
		}
	}
}

// TestGapBetweenQueuedLines drops entries and takes others in before the writer has seen that.
func TestGapBetweenQueuedLines(t *testing.T) {
	log := bulk(maxQueued + 20)
	l := &Log{log: zerolog.Nop(), wake: make(chan struct{}, 1)} // nobody writes
	tell(l, log[:maxQueued+10])
	l.wrote(100)
	tell(l, log[maxQueued+10:])
	if got := len(l.queue); got != maxQueued-100+11 {
		t.Fatalf("queue: got %d lines, want ten more and a gap", got)
	}
	at := maxQueued - 100
	gap, next := l.queue[at], l.queue[at+1]
	if gap.kind != lineGap || gap.from != log[maxQueued].index || gap.point != log[maxQueued+9].point() || gap.why != gapQueue {
		t.Errorf("after what was queued first: got %+v, want a gap of ten entries", gap)
	}
	if next.kind != lineEntry || next.point != log[maxQueued+10].point() {
		t.Errorf("after the gap: got %+v, want the next entry", next)
	}
}

// TestOldSnapshotBeginsAChain goes on from a snapshot of a program that had no chains.
func TestOldSnapshotBeginsAChain(t *testing.T) {
	dir, raw := t.TempDir(), []byte(`{"v":1}`)
	l := openLog(t, dir, 0)
	l.Restored(41, "")
	end := Point{43, planner.Link("", 43, raw)}
	l.Applied(end.Index, raw, nil, end.Chain)
	closeLog(t, l)
	report, err := Verify(sources(written(t, dir)), &Cluster{Point: end, From: 41})
	if err != nil || report.Broken() || report.Trails[0].Cluster != Agrees || len(report.Trails[0].Gaps) != 1 {
		t.Errorf("a chain that begins after #41: got %+v, %v, want that it agrees and has a gap", report.Trails[0], err)
	}
	report, err = Verify(sources(written(t, dir)), &Cluster{Point: Point{43, end.Chain[1:] + "0"}, From: 40})
	if err != nil || report.Broken() || report.Trails[0].Cluster != Behind {
		t.Errorf("chains that begin at different places: got %+v, %v, want that they cannot be compared", report.Trails[0], err)
	}
}

// TestForeignFileIsKept finds files that do not agree with the log: the last entry was changed while the monitor was down.
func TestForeignFileIsKept(t *testing.T) {
	log := history(t, 8)
	edits := map[string]func(text []byte) []byte{
		"as nobody writes it": func(text []byte) []byte { return bytes.Replace(text, []byte("reason 4"), []byte("reason X"), 1) },
		"with its check sum": func(text []byte) []byte {
			all := bytes.SplitAfter(text, []byte("\n"))
			at := len(all) - 2
			r, err := decode(bytes.TrimSuffix(all[at], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			r.Entry = bytes.Replace(r.Entry, []byte("reason 4"), []byte("reason X"), 1)
			r.Chain = planner.LinkRefused(planner.Link(log[3].chain, r.Index, r.Entry))
			all[at], _ = r.encode()
			return bytes.Join(all, nil)
		},
		"another cluster's": func([]byte) []byte {
			r := record{Index: 6, Chain: planner.Link("", 6, []byte(`{"other":1}`)), Entry: []byte(`{"other":1}`)}
			header, _ := record{Audit: 1, Monitor: "m1", File: 1}.encode()
			text, _ := r.encode()
			return append(header, text...)
		},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, 0)
			tell(l, log[:5])
			closeLog(t, l)
			text := edit([]byte(written(t, dir)[FileName]))
			write(t, filepath.Join(dir, FileName), string(text))
			l = openLog(t, dir, 0)
			tell(l, log)
			closeLog(t, l)
			files := written(t, dir)
			if files["audit.1.jsonl"] != string(text) {
				t.Error("the file that was changed is not kept as it was found")
			}
			delete(files, "audit.1.jsonl")
			if trail := verified(t, files, log[7].point()); trail.Begin.Index > log[3].index || len(trail.Gaps) > 0 {
				t.Errorf("the new file: got it to begin after #%d, want what was changed in it, #%d", trail.Begin.Index, log[4].index)
			}
		})
	}
}

// TestFileThatWentAway has another program move, cut or write the file while the monitor runs.
func TestFileThatWentAway(t *testing.T) {
	log := history(t, 9)
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	l := openLog(t, dir, 0)
	deeds := []func() error{
		func() error { return os.Rename(path, filepath.Join(dir, "away")) },
		func() error { return os.Truncate(path, 10) },
		func() error { return os.WriteFile(path, []byte("another file"), 0o600) },
	}
	for i, deed := range deeds {
		tell(l, log[3*i:3*i+1])
		if err := errors.Join(l.Flush(t.Context()), deed()); err != nil {
			t.Fatal(err)
		}
		tell(l, log[3*i+1:3*i+3])
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	report, err := Verify(sources(map[string]string{FileName: written(t, dir)[FileName]}), &Cluster{Point: log[8].point()})
	if err != nil || report.Broken() || report.Trails[0].Cluster != Agrees || report.Trails[0].Entries != 2 {
		t.Errorf("the last file: got %+v, %v, want two entries that agree with the cluster", report.Trails[0], err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "away")); err != nil || !bytes.Contains(text, log[0].raw) {
		t.Errorf("the file that was moved: got %q, %v, want the first entry in it", text, err)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	if _, err := Open(Options{Monitor: "m1", Dir: path}); err == nil {
		t.Error("Open of a file as a directory: got no error")
	}
	dir := filepath.Join(t.TempDir(), "none")
	l := openLog(t, dir, 0)
	closeLog(t, l)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open and Close of nothing: got %v, want that nothing was made", err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
