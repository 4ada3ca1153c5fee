package raftstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The files of a data directory, beside raft's snapshots.
const (
	idFile      = "id"
	logFile     = "raft.db"
	canaryFile  = "canary"
	takenFile   = "taken" // made before the directory waits to be taken into a cluster
	ballastFile = "ballast"
)

const (
	lockWait = time.Second // for another process to let go of the directory
	idBytes  = 8
)

// directory is an opened data directory. Its lock is the log's: one process at a time.
type directory struct {
	path      string
	id        string // name, "-", 16 hex digits; made with the directory and never again
	db        *raftboltdb.BoltStore
	snapshots *raft.FileSnapshotStore
	fresh     bool      // it has never been part of a cluster
	taken     bool      // it waits to be taken into one, or was
	kept      time.Time // when the newest snapshot was made, as found at the start; zero: there was none
	// halfFormed: the first term is there, but neither log nor snapshot. In the directory of the monitor that forms the
	// cluster this is what a crash in the midst of it leaves.
	halfFormed bool
}

// openDirectory opens or makes the data directory of the monitor of that name.
func openDirectory(path, name string, join bool, log raftLogger) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := checkInstalled(path); err != nil {
		return nil, err
	}
	d := &directory{path: path}
	id, err := readID(path, name)
	if err != nil {
		return nil, err
	}
	db := filepath.Join(path, logFile)
	if _, err := os.Stat(db); id != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the log of %s is gone from %s: %s", id, path, replaceHint(id))
	}
	d.db, err = raftboltdb.New(raftboltdb.Options{Path: db, BoltOptions: &bbolt.Options{Timeout: lockWait}})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("data directory %s is in use by another monitor", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db, err)
	}
	if err := d.load(id, name, log); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if err := d.take(join); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// take marks an empty directory that is to be taken into a cluster, for good.
func (d *directory) take(join bool) error {
	mark := filepath.Join(d.path, takenFile)
	if join && d.fresh {
		if err := writeFile(mark, []byte("this monitor was not there when its cluster was formed\n")); err != nil {
			return fmt.Errorf("mark data directory: %w", err)
		}
	}
	_, err := os.Stat(mark)
	d.taken = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read data directory: %w", err)
	}
	return nil
}

// load finds out what the directory holds and gives it its id if it is new.
func (d *directory) load(id, name string, log raftLogger) (err error) {
	if d.snapshots, err = raft.NewFileSnapshotStoreWithLogger(d.path, keptSnapshots, log); err != nil {
		return fmt.Errorf("open snapshots in %s: %w", d.path, err)
	}
	state, err := raft.HasExistingState(d.db, d.db, d.snapshots)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	d.id, d.fresh = id, !state
	switch {
	case id == "" && state:
		return fmt.Errorf("%s holds a log, but the file %q that says whose it is, is gone", d.path, idFile)
	case id == "":
		d.id, err = makeID(d.path, name)
		return err
	case d.fresh:
		return nil
	}
	last, err := d.db.LastIndex()
	if err != nil {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	snapshots, err := d.snapshots.List()
	if err != nil {
		return fmt.Errorf("read snapshots in %s: %w", d.path, err)
	}
	if len(snapshots) > 0 {
		d.kept = snapshotTime(snapshots[0].ID)
	}
	term, err := d.db.GetUint64([]byte("CurrentTerm"))
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	d.halfFormed = last == 0 && len(snapshots) == 0 && term == 1
	return nil
}

// snapshotTime reads when a snapshot was made from raft's name for it: term, index and milliseconds since 1970.
func snapshotTime(id string) time.Time {
	at := id[strings.LastIndexByte(id, '-')+1:]
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (d *directory) close() error {
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}

// readID returns the directory's server id, empty if it has none yet.
func readID(dir, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, idFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read data directory: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if owner := nameOf(id); owner != name {
		return "", fmt.Errorf("data directory %s belongs to monitor %q, this is %q", dir, owner, name)
	}
	return id, nil
}

// makeID makes a new server id and leaves it on disk.
func makeID(dir, name string) (string, error) {
	random := make([]byte, idBytes)
	_, _ = rand.Read(random) // never fails
	id := name + "-" + hex.EncodeToString(random)
	if err := writeFile(filepath.Join(dir, idFile), []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("write server id: %w", err)
	}
	return id, nil
}

// nameOf is the configured name in a server id, empty if it is none.
func nameOf(id string) string {
	cut := len(id) - 2*idBytes - 1
	if cut <= 0 || id[cut] != '-' {
		return ""
	}
	return id[:cut]
}

// replaceHint says what to do about a monitor whose data is lost.
func replaceHint(id string) string {
	return fmt.Sprintf("give it its data directory back; nothing was changed. If that is lost for good: start it with an empty "+
		"directory and --join, and tell the others: holter monitor replace %s", nameOf(id))
}

// writeFile makes a file that is there whole or not at all, whenever the power goes.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// keepBallast makes the ballast file if it is missing and there is room. It holds zeros for an operator to delete when the
// disk is full.
func keepBallast(path string, size int64) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	free, _, err := diskSpace(filepath.Dir(path))
	if err == nil && free < uint64(size)+maxMinFree { //nolint:gosec // a size is never negative
		return nil
	}
	if err := writeFile(path, make([]byte, size)); err != nil {
		return fmt.Errorf("make ballast file: %w", err)
	}
	return nil
}
