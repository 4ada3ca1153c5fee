package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of a demo that others look at. The lock is held as long as the demo lives.
const (
	homePattern = "holter-demo-"
	lockFile    = "lock"
	serverFile  = "server"
)

// errNoDemo says that there is nobody to ask.
var errNoDemo = errors.New("no demo of yours runs on this machine")

// home is the folder of one demo.
type home struct {
	dir  string
	lock *os.File
}

// newHome makes a folder and locks it, after it has removed those of demos that were killed.
func newHome() (home, error) {
	for _, dir := range homes() {
		if lock, err := takeLock(dir); err == nil {
			_ = errors.Join(os.RemoveAll(dir), lock.Close()) // what cannot be removed now can be removed by the next demo
		}
	}
	dir, err := os.MkdirTemp("", homePattern)
	if err != nil {
		return home{}, err
	}
	// Locked under another name first, so that nobody finds it unlocked.
	fresh := filepath.Join(dir, lockFile+".new")
	lock, err := os.OpenFile(fresh, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(fresh, filepath.Join(dir, lockFile))
	}
	if err != nil {
		return home{}, errors.Join(err, os.RemoveAll(dir))
	}
	return home{dir: dir, lock: lock}, nil
}

// homes lists the folders of this user's demos.
func homes() []string {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		dir := filepath.Join(os.TempDir(), e.Name())
		var stat unix.Stat_t
		if strings.HasPrefix(e.Name(), homePattern) && e.IsDir() && unix.Lstat(dir, &stat) == nil && int(stat.Uid) == os.Getuid() {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// takeLock takes the lock of a demo's folder, which its demo holds until it ends.
func takeLock(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// announce lets Servers find the demo.
func (h home) announce(servers []string) error {
	return os.WriteFile(filepath.Join(h.dir, serverFile), []byte(strings.Join(servers, ",")), 0o600)
}

// remove removes everything. With keep the folder stays, and no other demo will remove it.
func (h home) remove(keep bool) error {
	defer func() { _ = h.lock.Close() }()
	if keep {
		return errors.Join(os.Remove(filepath.Join(h.dir, lockFile)), os.Remove(filepath.Join(h.dir, serverFile)))
	}
	return os.RemoveAll(h.dir)
}

// Servers names the monitors of the demo that this user has started last and that still runs, as HOLTER_SERVER wants it.
func Servers() (string, error) {
	newest, at := "", int64(0)
	for _, dir := range homes() {
		lock, err := takeLock(dir)
		if err == nil {
			_ = lock.Close() // its demo is gone
			continue
		}
		info, failed := os.Stat(filepath.Join(dir, serverFile))
		if !errors.Is(err, unix.EWOULDBLOCK) || failed != nil || info.ModTime().UnixNano() < at {
			continue
		}
		newest, at = dir, info.ModTime().UnixNano()
	}
	if newest == "" {
		return "", errNoDemo
	}
	servers, err := os.ReadFile(filepath.Join(newest, serverFile))
	if err != nil {
		return "", fmt.Errorf("find the demo: %w", err)
	}
	return string(servers), nil
}
