package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// Kill kills what a handle of this machine points at, as the guard does. What is gone already is killed.
func Kill(h actions.Handle) error {
	var err error
	switch h.Kind {
	case actions.HandleCgroup:
		err = os.WriteFile(filepath.Join(h.Path, "cgroup.kill"), []byte("1"), 0)
	case actions.HandleSession:
		err = unix.Kill(-h.PID, unix.SIGKILL)
	case actions.HandleProcess:
		err = unix.Kill(h.PID, unix.SIGKILL)
	default:
		err = fmt.Errorf("a handle of the unknown kind %q", h.Kind)
	}
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
