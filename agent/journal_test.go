package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

func testJournal(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j
}

func testRecord(n int, begun time.Time) *record {
	return &record{Command: wire.Command{ID: fmt.Sprintf("1/s/w/%d", n), Token: uint64(n)}, Begun: begun}
}

func TestJournalRemembers(t *testing.T) {
	dir := t.TempDir()
	j := testJournal(t, dir)
	begun := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	rec := testRecord(7, begun)
	want := entry{Target: actions.Target{Workload: "w", Kind: "memory", Unit: "w"}, Token: 7, MaxSeen: 7, SeenID: rec.Command.ID}
	if err := j.save(rec, "w", &want); err != nil {
		t.Fatal(err)
	}
	rec.Result = &wire.Result{ID: rec.Command.ID, Outcome: wire.Done}
	if err := j.save(rec, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := j.saveHeld(held{Epoch: 5}); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}

	j = testJournal(t, dir)
	entries, last, err := j.load()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "entries", entries, map[string]entry{"w": want})
	diff(t, "held", last, held{Epoch: 5})
	got, err := j.command(rec.Command.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "record", got, rec)
	if got, err := j.command("unknown"); got != nil || err != nil {
		t.Errorf("unknown command: got %+v, %v", got, err)
	}
}

// Old commands are cleared out beyond keepRecords, young ones only beyond maxRecords.
func TestJournalIsBounded(t *testing.T) {
	dir := t.TempDir()
	j := testJournal(t, dir)
	j.db.NoSync = true // a thousand writes
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := range keepRecords + 50 {
		if err := j.save(testRecord(n, start), "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if j.records != keepRecords+50 {
		t.Errorf("young records: got %d, want all %d", j.records, keepRecords+50)
	}
	newest := testRecord(keepRecords+50, start.Add(keepFor))
	for range 2 { // begun and ended are one record
		if err := j.save(newest, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if j.records != keepRecords {
		t.Errorf("records: got %d, want %d", j.records, keepRecords)
	}
	for n, want := range map[int]bool{0: false, 50: false, 51: true, keepRecords + 50: true} {
		got, err := j.command(fmt.Sprintf("1/s/w/%d", n))
		if err != nil || (got != nil) != want {
			t.Errorf("record %d: got %v, %v, want it there: %v", n, got, err, want)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if got := testJournal(t, dir).records; got != keepRecords {
		t.Errorf("records after opening again: got %d, want %d", got, keepRecords)
	}
}

func TestJournalThatCannotBeOpened(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, dir string) string // returns the data directory
		want    string
	}{
		"in use": {func(t *testing.T, dir string) string {
			testJournal(t, dir)
			return dir
		}, "another agent is using it"},
		"not a journal": {func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, journalFile), []byte(strings.Repeat("not a journal\n", 10_000)))
			return dir
		}, "it is damaged"},
		"pages overwritten": {func(t *testing.T, dir string) string {
			j := testJournal(t, dir)
			j.db.NoSync = true
			for n := range 200 {
				if err := j.save(testRecord(n, time.Now()), "", nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, journalFile)
			image, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 3 * os.Getpagesize(); i < len(image); i++ {
				image[i] = 0xff
			}
			write(t, path, image)
			return dir
		}, "it is damaged"},
		"directory is a file": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "file")
			write(t, path, nil)
			return path
		}, "make the data directory"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // waiting for the lock takes no time
				dir := tc.prepare(t, t.TempDir())
				_, err := openJournal(dir)
				if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v, want it to name %s and say %q", err, dir, tc.want)
				}
			})
		})
	}
}

// An agent that is older than its journal does not begin: it would not know all that it must not forget.
func TestJournalOfANewerAgent(t *testing.T) {
	j := testJournal(t, t.TempDir())
	for format, known := range map[string]bool{"1": true, "2": false, "": false, "one": false} {
		err := j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketHost).Put(keyFormat, []byte(format)) })
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = j.load()
		if known != (err == nil) || !known && !strings.Contains(err.Error(), "run the agent of the newer version") {
			t.Errorf("format %q: got error %v, want one: %t", format, err, !known)
		}
	}
}

// What the next version adds within a format is ignored.
func TestJournalWithAnAddedField(t *testing.T) {
	j := testJournal(t, t.TempDir())
	want := entry{Target: actions.Target{Workload: "w", Kind: "memory", Unit: "w"}, Token: 7, MaxSeen: 7, SeenID: "1/s/w/1", Exclusive: true}
	err := j.db.Update(func(tx *bolt.Tx) error {
		text, err := json.Marshal(want)
		if err != nil {
			return err
		}
		return tx.Bucket(bucketWorkloads).Put([]byte("w"), []byte(`{"added_later":[1],`+string(text[1:])))
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := j.load()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "entries", entries, map[string]entry{"w": want})
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	if _, err := New(Options{Host: "h1"}); err == nil || !strings.Contains(err.Error(), "are required") {
		t.Errorf("got %v", err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
