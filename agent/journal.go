package agent

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// Limits of the journal. The newest keepRecords commands stay; older ones stay for keepFor, but never more than maxRecords.
const (
	keepRecords = 1_000
	maxRecords  = 10_000
	keepFor     = 24 * time.Hour
	lockLimit   = time.Second // for another agent to let go of the file
)

const journalFile = "journal.db"

// The journal's buckets: commands by id, their ids in the order they came, workloads by name, and what is there once.
var (
	bucketCommands  = []byte("commands")
	bucketOrder     = []byte("order")
	bucketWorkloads = []byte("workloads")
	bucketHost      = []byte("host")
	keyHeld         = []byte("held")
	keyID           = []byte("id")
	keyFormat       = []byte("format")
)

// journalFormat is what this program understands of a journal. A program that does not know a field drops it when it writes the
// record again; one that must not be lost needs the next format, and an older agent refuses the journal. None is written for 1.
const journalFormat = 1

// record is a command in the journal: begun, and ended once it has a Result.
type record struct {
	Command wire.Command `json:"command"`
	Begun   time.Time    `json:"begun"` // wall clock, for people and for the clearing out
	Result  *wire.Result `json:"result,omitempty"`
}

// entry is what the journal knows of a workload.
//
// Invariant: MaxSeen never goes down.
type entry struct {
	Target  actions.Target `json:"target"` // as it was started
	Token   uint64         `json:"token"`  // under which it may run here; 0: it does not, or it was only found
	MaxSeen uint64         `json:"max_seen"`
	SeenID  string         `json:"seen_id"` // the command that raised MaxSeen; only its own repetition may carry that token
	// Exclusive says that it is stopped when the lease ends, if the host fences itself.
	Exclusive bool `json:"exclusive,omitempty"`
}

// see raises MaxSeen to a command's token.
func (e *entry) see(c wire.Command) {
	if c.Token > e.MaxSeen {
		e.MaxSeen, e.SeenID = c.Token, c.ID
	}
}

// held is the host epoch that the agent held last: of which log it was, for a log only grows. Whether it was in this boot of
// the machine is in the orders for the guard.
type held struct {
	Epoch uint64 `json:"host_epoch"`
}

// journal remembers across restarts what was begun, what came of it, and what runs here by right. Each write is on disk
// when it returns. The loop is its only user.
type journal struct {
	db      *bolt.DB
	records int
}

func openJournal(dir string) (opened *journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	path := filepath.Join(dir, journalFile)
	defer func() { // bbolt panics over some kinds of damage
		if p := recover(); p != nil {
			opened, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockLimit})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open journal %s: another agent is using it", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{db: db}
	if err := j.prepare(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return j, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("open journal %s: it is damaged (%w): move it away to go on without it, then what runs here counts as found", path, err)
}

func (j *journal) prepare(path string) error {
	err := j.db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() {
			first = errors.Join(first, err)
		}
		return first
	})
	if err != nil {
		return damaged(path, err)
	}
	return j.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketCommands, bucketOrder, bucketWorkloads, bucketHost} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("prepare journal %s: %w", path, err)
			}
		}
		return tx.Bucket(bucketOrder).ForEach(func(_, _ []byte) error {
			j.records++
			return nil
		})
	})
}

// load reads what is not asked for by command id.
func (j *journal) load() (entries map[string]entry, last held, err error) {
	entries = make(map[string]entry)
	err = j.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketHost).Get(keyFormat); b != nil && string(b) != strconv.Itoa(journalFormat) {
			return fmt.Errorf("it is of format %q, this program knows %d: run the agent of the newer version; nothing was changed", b, journalFormat)
		}
		if b := tx.Bucket(bucketHost).Get(keyHeld); b != nil {
			if err := json.Unmarshal(b, &last); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketWorkloads).ForEach(func(name, b []byte) error {
			var e entry
			if err := json.Unmarshal(b, &e); err != nil {
				return fmt.Errorf("workload %s: %w", name, err)
			}
			entries[string(name)] = e
			return nil
		})
	})
	if err != nil {
		return nil, held{}, fmt.Errorf("read journal: %w", err)
	}
	return entries, last, nil
}

// command finds a command by its id, nil if the journal does not know it.
func (j *journal) command(id string) (*record, error) {
	var rec *record
	err := j.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketCommands).Get([]byte(id))
		if b == nil {
			return nil
		}
		rec = new(record)
		return json.Unmarshal(b, rec)
	})
	if err != nil {
		return nil, fmt.Errorf("read command %s from the journal: %w", id, err)
	}
	return rec, nil
}

// save writes a command's record, a workload's entry, or both at once; either may be nil.
func (j *journal) save(rec *record, name string, e *entry) error {
	added := 0
	err := j.db.Update(func(tx *bolt.Tx) error {
		if e != nil {
			if err := put(tx.Bucket(bucketWorkloads), []byte(name), e); err != nil {
				return err
			}
		}
		if rec == nil {
			return nil
		}
		var err error
		added, err = j.put(tx, rec)
		return err
	})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.records += added
	return nil
}

// id is the journal's own name, drawn when it was made.
func (j *journal) id() (string, error) {
	var id string
	err := j.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketHost)
		if known := b.Get(keyID); known != nil {
			id = string(known)
			return nil
		}
		var drawn [16]byte
		_, _ = rand.Read(drawn[:]) // never fails
		id = hex.EncodeToString(drawn[:])
		return b.Put(keyID, []byte(id))
	})
	if err != nil {
		return "", fmt.Errorf("name the journal: %w", err)
	}
	return id, nil
}

func (j *journal) saveHeld(h held) error {
	err := j.db.Update(func(tx *bolt.Tx) error { return put(tx.Bucket(bucketHost), keyHeld, h) })
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// put writes a record and clears out old ones; it returns by how many the records have grown.
func (j *journal) put(tx *bolt.Tx, rec *record) (added int, err error) {
	commands, order := tx.Bucket(bucketCommands), tx.Bucket(bucketOrder)
	id := []byte(rec.Command.ID)
	if commands.Get(id) == nil {
		seq, err := order.NextSequence()
		if err != nil {
			return 0, err
		}
		if err := order.Put(binary.BigEndian.AppendUint64(nil, seq), id); err != nil {
			return 0, err
		}
		added++
	}
	if err := put(commands, id, rec); err != nil {
		return 0, err
	}
	cursor := order.Cursor()
	for key, oldest := cursor.First(); key != nil && j.records+added > keepRecords; key, oldest = cursor.First() {
		var old record
		if err := json.Unmarshal(commands.Get(oldest), &old); err != nil {
			return 0, fmt.Errorf("command %s: %w", oldest, err)
		}
		if rec.Begun.Sub(old.Begun) < keepFor && j.records+added <= maxRecords {
			break
		}
		if err := commands.Delete(oldest); err != nil {
			return 0, err
		}
		if err := order.Delete(key); err != nil {
			return 0, err
		}
		added--
	}
	return added, nil
}

func put(b *bolt.Bucket, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, data)
}

func (j *journal) close() error { return j.db.Close() }
