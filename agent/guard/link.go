package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// version of both files. The agent and the guard are upgraded one after the other, and each must never misread what the other
// wrote: the version decides. Within one version a field may be added only if whoever ignores it kills no later and no less for
// that. What does restrict needs the next version, in those orders that use it: an older guard does not go by them, says so, and
// kills when the last ones say, and meanwhile nothing is started. So the guard is upgraded first where the version rises.
const version = 1

// The files of the directory that the agent and the guard share.
const (
	ordersFile = "orders.json"
	wordFile   = "word.json"
	lockFile   = "guard.lock"
)

// maxFile bounds each of the files, in bytes.
const maxFile = 4 << 20

// WordFresh is the age up to which the guard's Word proves that it is alive.
const WordFresh = time.Second

// Link is the agent's end. Word may be called at any time; the other methods by one goroutine at a time.
type Link struct {
	dir    string
	newest uint64 // of the orders known to be written
}

// Open makes the directory if it is not there. It belongs to this user alone: whoever can write to it can have anything
// killed.
func Open(dir string) (*Link, error) {
	if err := prepare(dir); err != nil {
		return nil, fmt.Errorf("prepare the directory that the agent and the guard share: %w", err)
	}
	return &Link{dir: dir}, nil
}

func prepare(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // others have theirs there; dir itself is for its owner alone
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !own(info):
		return fmt.Errorf("%s belongs to another user, who could have anything killed: give it to this one, or choose another run_dir", dir)
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory of 0600 could not be entered
}

// Leftover returns the orders of this boot that a former incarnation of the agent left, nil if there are none. Where they are
// lost, or older, it returns those that the guard goes by.
func (l *Link) Leftover(boot string) (*Orders, error) {
	var said said
	if err := read(filepath.Join(l.dir, wordFile), &said); err != nil || said.Boot != boot || said.Orders != nil && (check(said.Orders) != nil || said.Orders.Boot != boot) {
		said.Orders = nil // no guard of this boot has spoken yet, or one that goes by what this agent does not understand
	}
	left, err := readOrders(l.dir)
	switch {
	case err == nil && left.Boot != boot, errors.Is(err, os.ErrNotExist):
		left = said.Orders
	case err != nil && said.Orders == nil:
		return nil, fmt.Errorf("read what a former agent of this boot left for the guard: %w; when nothing exclusive runs on this host, remove the file", err)
	case err != nil, said.Orders != nil && said.Orders.Seq > left.Seq:
		left = said.Orders
	}
	if left != nil {
		l.newest = left.Seq
	}
	return left, nil
}

// Order replaces the orders. Their Seq must be higher than that of any before, or the guard would not go by them.
func (l *Link) Order(o Orders) error {
	if o.Seq <= l.newest {
		return fmt.Errorf("orders %d are not newer than %d, which were written before", o.Seq, l.newest)
	}
	o.V = version
	if err := check(&o); err != nil {
		return err
	}
	if err := write(filepath.Join(l.dir, ordersFile), o); err != nil {
		return err
	}
	l.newest = o.Seq
	return nil
}

// Word reads what the guard of this boot says of itself.
func (l *Link) Word(boot string) (Word, error) {
	var w Word
	if err := read(filepath.Join(l.dir, wordFile), &w); err != nil {
		return Word{}, err
	}
	if w.V != version || w.Boot != boot {
		return Word{}, fmt.Errorf("the word of the guard is of version %d and boot %s, want %d and %s", w.V, w.Boot, version, boot)
	}
	return w, nil
}

// Alive says that the guard was alive less than WordFresh ago. A word may be a little younger than the reader's now.
func (w Word) Alive(now time.Duration) bool { return (now - w.Stamp).Abs() <= WordFresh }

// said is the word as it is written: with the orders that the guard goes by, for whoever comes after it, or after the agent.
type said struct {
	Word
	Orders *Orders `json:"orders,omitempty"`
}

// readOrders reads and checks the orders.
func readOrders(dir string) (*Orders, error) {
	var o Orders
	if err := read(filepath.Join(dir, ordersFile), &o); err != nil {
		return nil, err
	}
	return &o, check(&o)
}

// read decodes a file whole.
func read(path string, v any) error {
	text, err := load(path)
	if err != nil {
		return err
	}
	return decode(path, text, v)
}

func decode(path string, text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

func load(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read %s: it has %d bytes, want at most %d", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// write replaces a file whole. It need not survive a loss of power: it is void after the next boot.
func write(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
