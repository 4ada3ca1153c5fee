package raftstore

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// tryOpen opens a store that must not open and returns why it did not. Its stream must be closed then.
func (c *cluster) tryOpen(opts Options) string {
	c.Helper()
	s, err := Open(opts)
	if err == nil {
		c.stores[opts.Name] = s
		c.Fatal("Open succeeded, want an error")
	}
	if _, err := opts.Stream.Accept(); !errors.Is(err, net.ErrClosed) {
		c.Errorf("stream after a failed Open: got %v, want it closed", err)
	}
	return err.Error()
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name string
		// spoil changes what was a good directory of monitor m1, or the options.
		spoil func(c *cluster, opts *Options) error
		want  string
	}{
		{"file in the way", func(c *cluster, opts *Options) error {
			opts.Dir = filepath.Join(c.root, "file")
			return os.WriteFile(opts.Dir, nil, 0o600)
		}, "not a directory"},
		{"another monitor's", func(_ *cluster, opts *Options) error {
			opts.Name = "m2"
			return nil
		}, `belongs to monitor "m1", this is "m2"`},
		{"no log", func(_ *cluster, opts *Options) error {
			return os.Remove(filepath.Join(opts.Dir, logFile))
		}, "the log of m1-"},
		{"no id", func(_ *cluster, opts *Options) error {
			return os.Remove(filepath.Join(opts.Dir, idFile))
		}, `holds a log, but the file "id" that says whose it is, is gone`},
		{"log that is none", func(_ *cluster, opts *Options) error {
			return os.WriteFile(filepath.Join(opts.Dir, logFile), []byte(strings.Repeat("nonsense", 4096)), 0o600)
		}, "open "},
		{"expect", func(_ *cluster, opts *Options) error {
			opts.Expect = 3
			return nil
		}, "expect is 3 but 2 monitors are configured"},
		{"not configured", func(_ *cluster, opts *Options) error {
			opts.Peers = map[string]string{"m2": "x"}
			return nil
		}, `monitor "m1" is not among the configured monitors`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "m1", "m2")
				c.start("m1")
				c.start("m2")
				c.leader()
				c.crash("m1")
				opts := c.options("m1")
				if err := test.spoil(c, &opts); err != nil {
					t.Fatal(err)
				}
				if got := c.tryOpen(opts); !strings.Contains(got, test.want) || strings.Contains(got, "\n") {
					t.Errorf("Open: got %q, want one line with %q", got, test.want)
				}
			})
		})
	}
}

func TestDirectoryInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		c.startAll()
		second := c.options("m1")
		second.Stream = c.network.Listen("elsewhere")
		if got := c.tryOpen(second); !strings.Contains(got, "is in use by another monitor") {
			t.Errorf("Open of a directory in use: got %q", got)
		}
	})
}

func TestHalfFormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1", "m2")
		c.start("m1")
		c.stop("m1")
		db, err := raftboltdb.NewBoltStore(filepath.Join(c.dir("m1"), logFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.SetUint64([]byte("CurrentTerm"), 1), db.Close()); err != nil {
			t.Fatal(err)
		}
		if got := c.tryOpen(c.options("m1")); !strings.Contains(got, "forming the cluster was interrupted") {
			t.Errorf("Open of a half-formed cluster: got %q", got)
		}
	})
}

func TestSnapshotOfNewerProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		s := c.startAll()
		snapshots, id := s.dir.snapshots, raft.ServerID(s.dir.id)
		last, term := s.raft.LastIndex(), s.raft.CurrentTerm()
		c.stop("m1")
		servers := raft.Configuration{Servers: []raft.Server{{ID: id, Address: "m1:raft"}}}
		sink, err := snapshots.Create(1, last, term, servers, 1, s.network)
		if err != nil {
			t.Fatal(err)
		}
		const state = `{"events":[["1",{"index":1,"entry":{"v":1,"name":"host_painted","event":{}}}]]}`
		if _, err := sink.Write([]byte(state)); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		if got := c.tryOpen(c.options("m1")); !strings.Contains(got, "this monitor is older than the log; upgrade it") {
			t.Errorf("Open with a newer program's snapshot: got %q", got)
		}
	})
}

func TestBallast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "m1")
		opts := c.options("m1")
		opts.Ballast, opts.MinFree = 1<<20, noSpace
		s := c.open(opts)
		path := filepath.Join(opts.Dir, ballastFile)
		if info, err := os.Stat(path); err != nil || info.Size() != opts.Ballast {
			t.Errorf("ballast file: got %v, %v, want %d bytes", info, err, opts.Ballast)
		}
		c.until("trouble", func() bool { return s.Info().Why != "" })
		if why := s.Info().Why; !strings.Contains(why, "deleting "+path+" gives 1 MB") {
			t.Errorf("Info.Why without space: got %q, want a hint at %s", why, path)
		}
	})
}
