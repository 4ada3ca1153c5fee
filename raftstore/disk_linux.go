package raftstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData waits until what was written to f is on the disk.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// diskSpace is what is free for this process, and all there is, in bytes.
func diskSpace(dir string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize), nil //nolint:gosec // a block size is positive
}
