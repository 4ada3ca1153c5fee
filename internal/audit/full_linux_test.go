package audit

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limitFiles lets no file of this process grow beyond so many bytes: a write that passes them is cut there and fails, like
// on a disk that is full.
func limitFiles(t *testing.T, limit uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var former syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &former); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: former.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &former); err != nil {
			t.Error(err)
		}
	}
}

// limitedProcess in the environment says that this process was started to live with limitFiles.
const limitedProcess = "HOLTER_TEST_LIMITED"

// TestDiskFull fills the disk in the middle of a line. What fits in the queue is written when there is room again, the rest
// is a gap, and telling never waits.
//
// It runs in a process of its own, for the limit would cut the file that go test itself keeps of what a test opened.
func TestDiskFull(t *testing.T) {
	if os.Getenv(limitedProcess) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDiskFull$", "-test.v")
		child.Env = append(os.Environ(), limitedProcess+"=1")
		if out, err := child.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS: TestDiskFull/") != 2 {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for name, test := range map[string]struct {
		entries int
		gap     bool
	}{"briefly": {50, false}, "for long": {maxQueued + 500, true}} {
		t.Run(name, func(t *testing.T) {
			log, dir := bulk(test.entries), t.TempDir()
			l := openLog(t, dir, 0)
			tell(l, log[:3])
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := written(t, dir)[FileName]
			lift := limitFiles(t, uint64(len(before))+100)
			tell(l, log[3:5])
			if err := l.Flush(t.Context()); err == nil {
				t.Error("Flush on a full disk: got no error")
			}
			if said := l.Trouble(); !strings.Contains(said, "file too large") {
				t.Errorf("the trouble is %q, want what the disk says", said)
			}
			if got := written(t, dir)[FileName]; got != before {
				t.Errorf("after a line that did not fit:\n%s\nwant what was there before", got)
			}
			tell(l, log[5:]) // nobody reads the queue, so this would hang if it waited
			lift()
			if err := l.Flush(t.Context()); err != nil {
				t.Errorf("Flush when there is room again: %v", err)
			}
			if said := l.Trouble(); said != "" {
				t.Errorf("when there is room again the trouble is %q", said)
			}
			trail := verified(t, written(t, dir), log[len(log)-1].point()) // the gap is written without another entry
			if (len(trail.Gaps) == 1 && trail.Gaps[0].Why == gapQueue) != test.gap || !test.gap && trail.Entries != len(log) {
				t.Errorf("trail: got %d entries, gaps %+v, want gap: %t", trail.Entries, trail.Gaps, test.gap)
			}
			more := bulk(test.entries + 2)[test.entries:]
			tell(l, more)
			closeLog(t, l)
			verified(t, written(t, dir), more[1].point())
		})
	}
}

// TestRealFullDisk is the same on a file system that is full, which only root can make.
func TestRealFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a small file system; TestDiskFull is the same with a limit")
	}
	dir := t.TempDir()
	if err := syscall.Mount("audit", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	log := history(t, 400)
	l := openLog(t, dir, 0)
	ballast := filepath.Join(dir, "ballast")
	write(t, ballast, string(make([]byte, 40<<10)))
	tell(l, log[:100])
	if err := l.Flush(t.Context()); err == nil {
		t.Fatal("Flush on a full disk: got no error")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatalf("Flush when there is room again: %v", err)
	}
	verified(t, written(t, dir), log[99].point())
	tell(l, log[100:])
	if err := l.Flush(t.Context()); err == nil {
		t.Fatal("Flush of more than the disk has: got no error")
	}
	report, err := Verify(sources(written(t, dir)), nil)
	if err != nil || report.Broken() || report.Trails[0].Torn != "" {
		t.Errorf("the file on a full disk: got %+v, %v, want it sound and without half a line", report.Trails[0], err)
	}
	if err := l.Close(t.Context()); err == nil {
		t.Error("Close with lines that were not written: got no error")
	}
}
