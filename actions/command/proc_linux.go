package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// look reads a process from /proc/PID/stat.
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

// is reports whether both are the same process.
func (p process) is(q process) bool { return p.pid == q.pid && p.ticks == q.ticks }

// marked reports whether a process was started with this NAME=VALUE in its environment. An environment that this user may
// not read is not one of ours.
func (p process) marked(nameValue string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
	if err != nil {
		return false
	}
	return bytes.HasPrefix(b, []byte(nameValue+"\x00")) || bytes.Contains(b, []byte("\x00"+nameValue+"\x00"))
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

// cgroupProcesses looks at every process in a cgroup and those below it. A cgroup that is not there has none.
func cgroupProcesses(dir string) ([]process, error) {
	var all []process
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err != nil {
			return err
		}
		for f := range strings.FieldsSeq(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			p, err := look(pid)
			if errors.Is(err, errGone) {
				continue
			}
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// awaitEmpty waits until the kernel has done with all that was in a cgroup, which is a little after it lists nothing there;
// only then it can be removed. No cgroup, or none of that name, is empty.
func awaitEmpty(ctx context.Context, cgroup string) error {
	if cgroup == "" {
		return nil
	}
	events, err := os.Open(filepath.Join(cgroup, "cgroup.events"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = events.Close() }()
	return await(ctx, events, func(fd uintptr) bool {
		b := make([]byte, 256)
		n, err := unix.Pread(int(fd), b, 0) // re-arms the event
		return err != nil || bytes.Contains(b[:n], []byte("populated 0"))
	})
}

// await waits until done says so, which is asked at once and whenever the kernel has something to tell of f. The wait is the
// runtime's own: no thread is held up by it.
func await(ctx context.Context, f *os.File, done func(fd uintptr) bool) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = c.Read(done)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

// grip is a process that is held by a pidfd, so that neither a signal nor a wait can meet another of the same pid.
type grip struct{ fd *os.File }

// hold takes hold of a process; errGone if it is not there any more.
func hold(p process) (grip, error) {
	fd, err := unix.PidfdOpen(p.pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return grip{}, errGone
	}
	if err != nil {
		return grip{}, fmt.Errorf("open a pidfd of %d: %w", p.pid, err)
	}
	g := grip{fd: os.NewFile(uintptr(fd), "pidfd")}
	now, err := look(p.pid)
	if err == nil && !now.is(p) {
		err = errGone
	}
	if err != nil {
		g.release()
		return grip{}, err
	}
	return g, nil
}

// release lets go. Closing a pidfd has no effect on the process and cannot fail in a way that matters.
func (g grip) release() { _ = g.fd.Close() }

// signal sends a signal; a process that has ended does not mind.
func (g grip) signal(s unix.Signal) error {
	c, err := g.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = c.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, 0) })
	if errors.Is(sent, unix.ESRCH) {
		sent = nil
	}
	return errors.Join(err, sent)
}

// wait waits until the process has ended.
func (g grip) wait(ctx context.Context) error {
	return await(ctx, g.fd, func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a file descriptor is an int32
		return err == nil && n > 0
	})
}

// reap takes the end of a child of this process off the kernel's hands. It tells how the child ended, or "" if it has not,
// or is nobody's child here.
func reap(pid int) string {
	var ws unix.WaitStatus
	got, err := unix.Wait4(pid, &ws, unix.WNOHANG, nil)
	switch {
	case err != nil || got != pid:
		return ""
	case ws.Signaled():
		return "killed by " + unix.SignalName(ws.Signal())
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}
