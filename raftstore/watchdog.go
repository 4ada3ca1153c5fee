package raftstore

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// stall is how long one write to the disk may take, and one barrier. A store that answers late is not safe to go on with:
// the write lands after raft has moved on.
const stall = 3 * time.Second

// durable is where raft keeps its log, its term and its vote.
type durable interface {
	raft.LogStore
	raft.StableStore
}

// watchdog ends the process when a write to the store beneath hangs.
type watchdog struct {
	inner durable
	limit time.Duration
	die   func(error)
}

var _ durable = (*watchdog)(nil)

// guard starts the timer of one write; the function returned stops it.
func (w *watchdog) guard(write string) func() bool { return guard(write, w.limit, w.die) }

func guard(write string, limit time.Duration, die func(error)) func() bool {
	return time.AfterFunc(limit, func() {
		die(fmt.Errorf("%s: the disk did not answer within %s", write, limit))
	}).Stop
}

// FirstIndex implements raft.LogStore.
func (w *watchdog) FirstIndex() (uint64, error) { return w.inner.FirstIndex() }

// LastIndex implements raft.LogStore.
func (w *watchdog) LastIndex() (uint64, error) { return w.inner.LastIndex() }

// GetLog implements raft.LogStore.
func (w *watchdog) GetLog(index uint64, entry *raft.Log) error { return w.inner.GetLog(index, entry) }

// StoreLog implements raft.LogStore.
func (w *watchdog) StoreLog(entry *raft.Log) error {
	defer w.guard("store an entry")()
	return w.inner.StoreLog(entry)
}

// StoreLogs implements raft.LogStore.
func (w *watchdog) StoreLogs(entries []*raft.Log) error {
	defer w.guard("store entries")()
	return w.inner.StoreLogs(entries)
}

// DeleteRange implements raft.LogStore.
func (w *watchdog) DeleteRange(first, last uint64) error {
	defer w.guard("delete entries")()
	return w.inner.DeleteRange(first, last)
}

// Set implements raft.StableStore.
func (w *watchdog) Set(key, value []byte) error {
	defer w.guard("store the vote")()
	return w.inner.Set(key, value)
}

// Get implements raft.StableStore.
func (w *watchdog) Get(key []byte) ([]byte, error) { return w.inner.Get(key) }

// SetUint64 implements raft.StableStore.
func (w *watchdog) SetUint64(key []byte, value uint64) error {
	defer w.guard("store the term")()
	return w.inner.SetUint64(key, value)
}

// GetUint64 implements raft.StableStore.
func (w *watchdog) GetUint64(key []byte) (uint64, error) { return w.inner.GetUint64(key) }
