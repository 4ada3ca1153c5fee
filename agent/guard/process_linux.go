package guard

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one process, told from a later one of the same pid by the time of its start.
type process struct {
	pid     int
	group   int
	session int
	ticks   uint64 // when it was started, in clock ticks since boot
	zombie  bool   // it has ended but was not waited for
}

// errGone says that a process does not exist any more.
var errGone = errors.New("no such process")

// look reads a process from /proc/PID/stat, which the kernel answers even for one that hangs.
func look(pid int) (process, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return process{}, errGone
	}
	if err != nil {
		return process{}, err
	}
	// The second field is the name in parentheses, which may hold anything. The fields after it: 0 state, 2 group,
	// 3 session, 17 number of threads, 19 start ticks.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return process{}, fmt.Errorf("read %s: %d fields after the name, want 20 or more", path, len(f))
	}
	group, e1 := strconv.Atoi(f[2])
	session, e2 := strconv.Atoi(f[3])
	threads, e3 := strconv.Atoi(f[17])
	ticks, e4 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		return process{}, fmt.Errorf("read %s: %w", path, err)
	}
	// A process whose first thread has ended looks like a zombie while its other threads go on.
	zombie := (f[0] == "Z" || f[0] == "X") && threads <= 1
	return process{pid: pid, group: group, session: session, ticks: ticks, zombie: zombie}, nil
}

// allProcesses looks at every process of the machine.
func allProcesses() ([]process, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	var all []process
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue // not a process
		}
		p, err := look(pid)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// kill kills this process and no later one of its pid.
func (p process) kill() error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer func() { _ = unix.Close(fd) }()
	now, err := look(p.pid)
	switch {
	case errors.Is(err, errGone) || err == nil && now.ticks != p.ticks:
		return nil
	case err != nil:
		return err
	}
	return ignoreGone(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
