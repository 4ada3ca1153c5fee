// Package record is how workloads of tests say themselves when and where they ran, and the judge over what they said.
//
// A record is a directory that all workloads of a cluster share. A life, one process of a workload, holds a lock on a file of
// its own there for as long as it exists, frozen or not: the kernel lets go of it, however the process ends. Then it writes
// that it started, and writes down every other life of its workload whose lock is still held. So of two lives that overlap at
// all, the one that began later has always seen the other, and nobody has to guess when a killed one ended.
//
// Invariants: a life that was seen existed then; times are CLOCK_BOOTTIME, so those of all namespaces of a machine compare.
//
// Concurrency: processes share a record; each Life is used by one goroutine. Reading is allowed at any time.
package record

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What happened to a life.
const (
	Started = "started" // it began
	Stopped = "stopped" // it was asked to end, and is about to
	Seen    = "seen"    // it has just begun, and another life of its workload exists
)

// ID names a life.
type ID struct {
	Workload string
	Token    uint64 // of the grant under which it was started
	Host     string
	Since    time.Duration // when it began
}

// String is the id in four words.
func (id ID) String() string {
	return fmt.Sprintf("%s %d %s %d", id.Workload, id.Token, id.Host, id.Since)
}

func parseID(words []string) (ID, error) {
	var id ID
	_, err := fmt.Sscan(strings.Join(words, " "), &id.Workload, &id.Token, &id.Host, &id.Since)
	return id, err
}

// Line is one line of a record.
type Line struct {
	At    time.Duration
	What  string
	ID    ID // whose line it is
	Other ID // the one that was seen
}

// String is the line as it is written.
func (l Line) String() string {
	text := fmt.Sprintf("%d %s %v", l.At, l.What, l.ID)
	if l.What == Seen {
		text += " " + l.Other.String()
	}
	return text
}

// parse reads a line. One that was cut short is a mistake: each is written at once.
func parse(text string) (Line, error) {
	words := strings.Fields(text)
	var l Line
	err := errors.New("too short")
	if len(words) >= 6 {
		l.What = words[1]
		at, notTime := strconv.ParseInt(words[0], 10, 64)
		l.At = time.Duration(at)
		l.ID, err = parseID(words[2:6])
		err = errors.Join(notTime, err)
	}
	if err == nil && l.What == Seen {
		l.Other, err = parseID(words[6:])
	}
	if err != nil {
		return Line{}, fmt.Errorf("line %q of a record: %w", text, err)
	}
	return l, nil
}

// Now reads CLOCK_BOOTTIME.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("read CLOCK_BOOTTIME: " + err.Error()) // it exists since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Life is what a workload's process writes about itself.
type Life struct {
	id   ID
	lock *os.File
	log  *os.File
}

// Begin writes that a life began now, and which others of its workload exist. It sets the Since of id.
func Begin(dir string, id ID) (*Life, error) {
	id.Since = Now()
	for _, word := range []string{id.Workload, id.Host} {
		if word == "" || strings.ContainsAny(word, " @/\n") {
			return nil, fmt.Errorf("%q cannot be a word of a record", word)
		}
	}
	if err := os.MkdirAll(locks(dir), 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(lockFile(dir, id), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// One that looks may hold the lock for a moment.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), errors.Join(err, lock.Close()))
	}
	log, err := os.OpenFile(logFile(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l := &Life{id: id, lock: lock, log: log}
	err = l.write(Started, ID{})
	if err == nil {
		err = l.look(dir)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// look writes down which other lives of the workload exist. A new life locks before it looks, so of two that begin at the
// same time at least one sees the other.
func (l *Life) look(dir string) error {
	all, err := Lives(dir)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Workload != l.id.Workload || other == l.id {
			continue
		}
		if err := l.write(Seen, other); err != nil {
			return err
		}
	}
	return nil
}

// Lives lists the lives that exist now, frozen ones too; none if nothing has run yet.
func Lives(dir string) ([]ID, error) {
	all, err := os.ReadDir(locks(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lives []ID
	for _, entry := range all {
		id, err := parseID(strings.Split(entry.Name(), "@"))
		if err != nil {
			return nil, fmt.Errorf("%s is not the file of a life: %w", entry.Name(), err)
		}
		held, err := isLocked(filepath.Join(locks(dir), entry.Name()))
		if err != nil {
			return nil, err
		}
		if held {
			lives = append(lives, id)
		}
	}
	return lives, nil
}

// isLocked says whether somebody holds a lock.
func isLocked(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()                         // unlocks too
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) // shared: who looks must not seem to live to others who look
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Stop writes that this life is about to end.
func (l *Life) Stop() error { return l.write(Stopped, ID{}) }

// Close ends the life.
func (l *Life) Close() error { return errors.Join(l.log.Close(), l.lock.Close()) }

// write appends a line in one go, so that lines of several processes do not mix.
func (l *Life) write(what string, other ID) error {
	_, err := l.log.WriteString(Line{At: Now(), What: what, ID: l.id, Other: other}.String() + "\n")
	return err
}

// Read reads all lines of a record in the order of their times; none if nothing has run yet.
func Read(dir string) ([]Line, error) {
	text, err := os.ReadFile(logFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []Line
	for line := range bytes.Lines(text) {
		l, err := parse(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Compare(a.At, b.At) })
	return lines, nil
}

func logFile(dir string) string { return filepath.Join(dir, "workloads.log") }

func locks(dir string) string { return filepath.Join(dir, "lives") }

// lockFile is where a life holds its lock; its name is the life's id, so that it is known as soon as the file is there.
func lockFile(dir string, id ID) string {
	return filepath.Join(locks(dir), strings.ReplaceAll(id.String(), " ", "@"))
}
