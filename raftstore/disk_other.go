//go:build !linux

package raftstore

import (
	"errors"
	"os"
)

// syncData waits until what was written to f is on the disk.
func syncData(f *os.File) error { return f.Sync() }

// diskSpace is known on Linux only.
func diskSpace(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
