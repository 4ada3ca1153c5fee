package raftstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/rs/zerolog"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/holter-ha/holter/planner"
)

// A directory is made anew beside the files that it replaces, and put in their place when it is whole: recovering, until
// then, and recovered, while its files are moved. Whoever finds the latter goes on moving.
const (
	recoveringDir = "recover.tmp"
	recoveredDir  = "recover.new"
	formerDir     = "before-" // and the new server id: what was there
)

// installed are the files of a data directory that a recovery replaces, in the order in which they are moved: without its id a
// directory with a log is not opened.
var installed = []string{idFile, takenFile, logFile, "snapshots"}

// Copy is what one monitor's data directory holds, read while the monitor is stopped.
type Copy struct {
	ID       string
	Last     uint64 // index of the newest entry
	Term     uint64
	Snapshot uint64 // index of the newest snapshot; 0: none
	Members  []Member
	// State is what the copy adds up to: entries that were not committed are part of it, for they may have been.
	State *planner.State
}

// ReadCopy reads the data directory of the monitor of that name. It changes nothing, and fails while the monitor runs.
func ReadCopy(dir, name string) (*Copy, error) {
	id, err := readID(dir, name)
	if err != nil {
		return nil, err
	}
	db := filepath.Join(dir, logFile)
	if _, err := os.Stat(db); err != nil || id == "" {
		return nil, fmt.Errorf("%s holds no log of monitor %s", dir, name)
	}
	log, err := raftboltdb.New(raftboltdb.Options{Path: db, BoltOptions: &bbolt.Options{Timeout: lockWait, ReadOnly: true}})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("data directory %s is in use: stop monitor %s first", dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db, err)
	}
	c := &Copy{ID: id, State: planner.NewState()}
	err = c.read(dir, log)
	return c, errors.Join(err, log.Close())
}

func (c *Copy) read(dir string, log *raftboltdb.BoltStore) error {
	term, err := log.GetUint64([]byte("CurrentTerm"))
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return fmt.Errorf("read the term: %w", err)
	}
	c.Term = term
	if err := c.readSnapshot(dir); err != nil {
		return err
	}
	first, err1 := log.FirstIndex()
	last, err2 := log.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	c.Last = max(last, c.Snapshot)
	for index := max(first, c.Snapshot+1); index <= last && last > 0; index++ {
		var entry raft.Log
		if err := log.GetLog(index, &entry); err != nil {
			return fmt.Errorf("read entry %d: %w", index, err)
		}
		if err := c.fold(&entry); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copy) fold(entry *raft.Log) error {
	switch entry.Type {
	case raft.LogConfiguration:
		c.setMembers(raft.DecodeConfiguration(entry.Data))
	case raft.LogCommand:
		next, err := fold(c.State, entry)
		if _, refused := errors.AsType[*planner.Refusal](err); err != nil && !refused {
			return err
		}
		c.State = next
	case raft.LogNoop, raft.LogBarrier, raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
	}
	return nil
}

func (c *Copy) setMembers(conf raft.Configuration) {
	c.Members = nil
	for _, server := range conf.Servers {
		c.Members = append(c.Members, memberOf(server))
	}
}

// readSnapshot begins with the newest snapshot, if there is one.
func (c *Copy) readSnapshot(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "snapshots")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, newRaftLog(zerolog.Nop()))
	if err != nil {
		return fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	list, err := store.List()
	if err != nil || len(list) == 0 {
		return err
	}
	meta, r, err := store.Open(list[0].ID)
	if err != nil {
		return fmt.Errorf("open snapshot %s: %w", list[0].ID, err)
	}
	defer func() { _ = r.Close() }()
	if c.State, err = planner.DecodeState(r); err != nil {
		return explain(fmt.Errorf("read snapshot %s: %w", list[0].ID, err))
	}
	c.Snapshot, c.Term = meta.Index, max(c.Term, meta.Term)
	c.setMembers(meta.Configuration)
	return nil
}

// Recovery is how a cluster is recovered: from this monitor's own copy, or from a state that was saved.
type Recovery struct {
	Name    string
	Dir     string
	Address string // of its Raft listener
	By      string // who does it
	Reason  string
	Source  string // where the state comes from, for people
	Above   uint64 // a floor for the new index; 0: none
	At      time.Time
}

// Recovered is what came of it.
type Recovered struct {
	ID     string
	From   uint64 // the newest index of the copy
	Index  uint64 // at which the log goes on
	Former string // where the former files are; empty: there were none
}

// Recover makes this monitor's directory that of a cluster of one, with a raised generation (see planner.ClusterRecovered). Its
// server id is a new one, so that nobody of the former cluster can speak to it. What was there is kept beside it.
func Recover(r Recovery, c *Copy) (Recovered, error) { return r.install(c.State, c.Last, c.Term) }

// Restore does the same in an empty directory with a state that was saved at an index and term.
func Restore(r Recovery, state *planner.State, last, term uint64) (Recovered, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Recovered{}, fmt.Errorf("read data directory: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "lost+found" }) // of an empty file system
	if len(entries) > 0 {
		return Recovered{}, fmt.Errorf("%s is not empty: a snapshot is restored into an empty data directory only; nothing was changed", r.Dir)
	}
	return r.install(state, last, term)
}

// Resume puts a directory in place whose recovery was interrupted after it was whole; false: there was none.
func Resume(dir string) (bool, error) {
	if err := checkInstalled(dir); err == nil {
		return false, nil
	}
	_, err := replace(dir)
	return true, err
}

// checkInstalled refuses a directory whose files are being replaced.
func checkInstalled(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, recoveredDir)); err == nil {
		return fmt.Errorf("the recovery of %s was interrupted: run `holter monitor recover` again, it goes on", dir)
	}
	return nil
}

func (r Recovery) install(state *planner.State, last, term uint64) (Recovered, error) {
	done := Recovered{From: last, Index: planner.NextGeneration(max(last, state.Index), r.Above, r.At)}
	staging := filepath.Join(r.Dir, recoveringDir)
	if err := os.RemoveAll(staging); err != nil {
		return done, fmt.Errorf("clear %s: %w", staging, err)
	}
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return done, fmt.Errorf("make %s: %w", staging, err)
	}
	id, err := makeID(staging, r.Name)
	if err != nil {
		return done, err
	}
	done.ID = id
	event := planner.ClusterRecovered{From: last, Monitors: []string{id}, Source: r.Source}
	next, err := state.Apply(done.Index, planner.Entry{At: r.At.UTC(), By: r.By, Reason: r.Reason, Event: event})
	if err != nil {
		return done, err
	}
	servers := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id), Address: raft.ServerAddress(r.Address)}}}
	if err := writeDirectory(staging, next, term+1, servers); err != nil {
		return done, fmt.Errorf("make %s: %w", staging, err)
	}
	if err := os.Rename(staging, filepath.Join(r.Dir, recoveredDir)); err != nil {
		return done, err
	}
	if err := syncDir(r.Dir); err != nil {
		return done, err
	}
	done.Former, err = replace(r.Dir)
	return done, err
}

// writeDirectory makes an empty log and one snapshot.
func writeDirectory(dir string, state *planner.State, term uint64, servers raft.Configuration) error {
	log, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, logFile)})
	if err != nil {
		return err
	}
	if err := errors.Join(log.SetUint64([]byte("CurrentTerm"), term), log.Close()); err != nil {
		return err
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, newRaftLog(zerolog.Nop()))
	if err != nil {
		return err
	}
	_, transport := raft.NewInmemTransport("") // for the addresses' encoding only
	sink, err := store.Create(raft.SnapshotVersionMax, state.Index, term, servers, state.Index, transport)
	if err != nil {
		return err
	}
	if err := (snapshot{state: state, kept: new(atomic.Int64)}).Persist(sink); err != nil {
		return err
	}
	return syncDir(dir)
}

// replace moves the files of a whole recovered directory into place, and those that were there aside. It may be interrupted
// anywhere and called again.
func replace(dir string) (former string, err error) {
	from, aside := filepath.Join(dir, recoveredDir), filepath.Join(dir, formerDir+"this")
	if id, err := os.ReadFile(filepath.Join(from, idFile)); err == nil { // it is moved last
		aside = filepath.Join(dir, formerDir+filepath.Base(strings.TrimSpace(string(id))))
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return "", err
	}
	for _, name := range installed { // first all that is to go: nothing that stays behind is opened without its id
		next, old := filepath.Join(from, name), filepath.Join(dir, name)
		_, missing := os.Stat(next)
		if _, err := os.Stat(old); err == nil && (missing == nil || name == takenFile) {
			if err := os.Rename(old, filepath.Join(aside, name)); err != nil {
				return "", err
			}
			former = aside
		}
	}
	for _, name := range slices.Backward(installed) {
		if err := os.Rename(filepath.Join(from, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if former == "" {
		_ = os.Remove(aside) // empty
	}
	if err := errors.Join(syncDir(dir), os.Remove(from)); err != nil {
		return "", err
	}
	return former, syncDir(dir)
}
