//go:build !linux

package guard

import (
	"errors"
	"os"
)

func own(os.FileInfo) bool { return true }

func lock(string) (func(), error) { return nil, errors.New("the guard needs Linux") }
