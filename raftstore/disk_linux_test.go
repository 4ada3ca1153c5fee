package raftstore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/planner"
)

// smallDisk mounts a file system of a few MB where a monitor keeps its data.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("this machine does not let root mount: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// looped mounts an ext4 of its own, which can be made read-only and hang.
func looped(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("this machine cannot mount an image: %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// soon waits in real time: file systems know no other.
func (c *cluster) soon(what string, holds func() bool) {
	c.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("%s: not within a minute", what)
		}
		c.greet()
	}
}

// onSmallDisk starts three monitors, the first of which has a disk of its own and leads.
func onSmallDisk(t *testing.T, minFree int64, disk func(*testing.T, string)) (*cluster, *Store) {
	c := newCluster(t, "m1", "m2", "m3")
	disk(t, c.dir("m1"))
	for name := range c.peers {
		opts := c.options(name)
		if name == "m1" {
			opts.MinFree = minFree
		}
		c.open(opts)
	}
	c.soon("somebody leads", func() bool { return c.leading() != nil })
	if s := c.stores["m1"]; !s.Leading() {
		c.soon("m1 leads", func() bool {
			if leader := c.leading(); leader != nil && leader != s {
				_ = leader.TransferTo(t.Context(), "m1") // refused until it has greeted
			}
			return s.Leading()
		})
	}
	c.plan(c.stores["m1"])
	for i := range 5 {
		c.propose(c.stores["m1"], note("before "+string(rune('a'+i))))
	}
	return c, c.stores["m1"]
}

func (c *cluster) leading() *Store {
	for _, s := range c.stores {
		if s.Leading() {
			return s
		}
	}
	return nil
}

// fill writes zeros until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// movesAway demands that leadership leaves m1 without a loss, that m1 says why, and that it catches up when it can.
func movesAway(t *testing.T, c *cluster, sick *Store, why string, mend func()) {
	t.Helper()
	c.soon("another one leads", func() bool { s := c.leading(); return s != nil && s != sick })
	c.soon("m1 says why", func() bool {
		return strings.Contains(sick.Trouble(), why) || strings.Contains(sick.Trouble(), "no space left")
	})
	c.soon("entries are taken", func() bool {
		s := c.leading()
		if s == nil || s == sick {
			return false
		}
		_, err := s.Propose(t.Context(), note("after"))
		if err != nil && !errors.Is(err, planner.ErrNotLeader) {
			t.Fatal(err)
		}
		return err == nil
	})
	if got := len(noted(c.leading())); got != 6 {
		t.Errorf("notes on the next leader: got %d, want the 5 acknowledged ones and one more", got)
	}
	mend()
	c.soon("m1 has caught up", func() bool { return len(noted(sick)) == 6 && sick.Trouble() == "" })
}

func TestFullDiskOfTheLeader(t *testing.T) {
	for name, test := range map[string]struct {
		minFree int64
		why     string
	}{
		"with a margin":    {1 << 20, "a leader needs"},
		"to the last byte": {-1, "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			c, sick := onSmallDisk(t, test.minFree, smallDisk)
			full := filepath.Join(c.dir("m1"), "full")
			if test.minFree < 0 { // what the canary overwrites is there already: let it need a block of its own
				if err := os.Truncate(filepath.Join(c.dir("m1"), canaryFile), 0); err != nil {
					t.Fatal(err)
				}
			}
			fill(t, full)
			movesAway(t, c, sick, test.why, func() {
				if err := os.Remove(full); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A disk that hangs ends the process, leader or follower: others lead then.
func TestHungDiskOfTheLeader(t *testing.T) {
	c, sick := onSmallDisk(t, -1, looped)
	c.doomed = true
	run(t, "fsfreeze", "--freeze", c.dir("m1"))
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = true
			run(t, "fsfreeze", "--unfreeze", c.dir("m1"))
		}
	}
	defer thaw()
	c.soon("m1 ends", func() bool { return len(c.died()) > 0 })
	if got := c.died()[0].Error(); !strings.Contains(got, "the disk did not answer within 3s") {
		t.Errorf("death: got %q, want that the disk hangs", got)
	}
	c.network.Isolate(c.peers["m1"]) // in a process it would be gone
	c.soon("another one leads", func() bool {
		for name, s := range c.stores {
			if name != "m1" && s.Leading() {
				return true
			}
		}
		return false
	})
	for name, s := range c.stores {
		if name != "m1" && s.Leading() {
			c.propose(s, note("after"))
			if got := len(noted(s)); got != 6 {
				t.Errorf("notes on %s: got %d, want the 5 acknowledged ones and one more", name, got)
			}
		}
	}
	thaw()
	c.network.HealAll()
	c.soon("m1 has caught up", func() bool { return len(noted(sick)) == 6 })
}

// TestRoom: how much room a leader needs, by what is set.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		minFree     int64
		total, want uint64
	}{
		{0, 1 << 40, maxMinFree}, {0, 2000, 100}, {7, 1 << 40, 7}, {-1, 1 << 40, 0},
	} {
		if got := leastFree(Options{MinFree: c.minFree}, c.total); got != c.want {
			t.Errorf("min_free %d on a disk of %d: got %d, want %d", c.minFree, c.total, got, c.want)
		}
	}
	s := &Store{dir: &directory{path: t.TempDir()}, opts: Options{MinFree: 7}}
	free, total, least, err := s.Room()
	if err != nil || total == 0 || free > total || least != 7 {
		t.Errorf("got %d of %d free, at least %d, %v", free, total, least, err)
	}
}
