package demo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is killed in an instant; what is not gone by now is stuck in the kernel.
const killLimit = 10 * time.Second

// process is one monitor, agent or guard.
type process struct {
	key     string // in processes.running
	machine machine
	cmd     *exec.Cmd
	gone    chan struct{} // closed when it has ended
}

// killed says of a process that has ended that it was by SIGKILL.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == unix.SIGKILL
}

// processes are the demo's children, and what their ends have left to it: it is the reaper of all that comes of it. It is
// used by one goroutine.
type processes struct {
	running map[string]*process // monitors and agents by the machine's name, guards by guardOf of it
	ends    chan *process       // those that have ended
	victims map[int]bool        // killed, and perhaps not reaped yet
}

func newProcesses() (*processes, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	return &processes{running: map[string]*process{}, ends: make(chan *process, maxEnds), victims: map[int]bool{}}, nil
}

// maxEnds is how many ends may wait to be looked at.
const maxEnds = 256

// guardOf is the key of a host's guard.
func guardOf(name string) string { return name + " guard" }

// start starts a machine: its monitor, or its guard and its agent.
func (ps *processes) start(m machine) error {
	if !m.isHost() {
		return ps.launch(m.Name, "monitor", m)
	}
	return errors.Join(ps.launch(guardOf(m.Name), "guard", m), ps.launch(m.Name, "agent", m))
}

// launch starts one process of a machine in a session of its own: Ctrl-C is for the demo alone.
func (ps *processes) launch(key, verb string, m machine) error {
	log, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p := &process{key: key, machine: m, gone: make(chan struct{}), cmd: exec.Command(m.Place.Exe, verb, "--config", m.config())} //nolint:noctx // it is killed by name, and waited for
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.Env = os.Environ()
	for name, value := range m.Env() {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", key, err)
	}
	ps.running[key] = p
	go func() { // ends with the process, which kill and killAll wait for
		_ = p.cmd.Wait() // ProcessState says how it ended
		close(p.gone)
		select {
		case ps.ends <- p:
		default: // the demo ends
		}
	}()
	return nil
}

// kill takes a machine down with all that runs on it, as a power cut would: its agent cannot start anything more, then all
// of it dies, then it is made sure that nothing has slipped through.
func (ps *processes) kill(name string) error {
	var failed []error
	var killed *process
	for _, key := range []string{name, guardOf(name)} {
		if p := ps.running[key]; p != nil {
			delete(ps.running, key)
			failed, killed = append(failed, ps.end(p)), p
		}
	}
	if killed != nil {
		failed = append(failed, ps.sweep(killed.machine))
	}
	return errors.Join(failed...)
}

// end kills a process and its children, and waits for it.
func (ps *processes) end(p *process) error {
	if p.cmd.Process.Signal(unix.SIGSTOP) == nil { // else it has ended, and the pid may be another's
		if err := ps.killChildren(p.cmd.Process.Pid); err != nil {
			return err
		}
	}
	_ = p.cmd.Process.Kill()
	select {
	case <-p.gone:
		return nil
	case <-time.After(killLimit):
		return fmt.Errorf("%s does not die", p.key)
	}
}

// killAll takes everything down.
func (ps *processes) killAll() error {
	var failed []error
	for _, p := range ps.running {
		failed = append(failed, ps.kill(p.machine.Name))
	}
	return errors.Join(failed...)
}

// killChildren kills the children of a stopped process. It cannot reap them, so their pids are theirs.
func (ps *processes) killChildren(parent int) error {
	all, err := children(parent)
	if err != nil {
		return err
	}
	for _, child := range all {
		ps.victims[child.pid] = true
		if err := unix.Kill(child.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", child.pid, err)
		}
	}
	return nil
}

// sweep kills and reaps what a dead agent has left behind: orphans, which are the demo's children now. One that was just
// being started may have no environment for a moment; it is waited for.
func (ps *processes) sweep(m machine) error {
	self := os.Getpid()
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); runtime.Gosched() {
		all, err := children(self)
		if err != nil {
			return err
		}
		left := 0
		for _, child := range all {
			switch {
			case ps.own(child.pid):
				continue
			case !ps.victims[child.pid] && !child.zombie:
				env := environ(child.pid)
				if len(env) > 0 && !bytes.Contains(env, []byte(machineEnv+"="+m.DataDir()+"\x00")) {
					continue // of another machine
				}
				left++
				if len(env) == 0 {
					continue
				}
				ps.victims[child.pid] = true
				_ = unix.Kill(child.pid, unix.SIGKILL) // it is our child: it cannot be another process
			case !ps.victims[child.pid]:
				continue
			default:
				left++
			}
			if pid, err := unix.Wait4(child.pid, nil, unix.WNOHANG, nil); err != nil || pid == child.pid {
				delete(ps.victims, child.pid)
				left--
			}
		}
		if left == 0 {
			return nil
		}
	}
	return fmt.Errorf("processes of %s do not die", m.Name)
}

// own says that a pid is a monitor or agent, which its own goroutine waits for.
func (ps *processes) own(pid int) bool {
	for _, p := range ps.running {
		if p.cmd.Process.Pid == pid {
			return true
		}
	}
	return false
}

// relative is a process as its parent sees it.
type relative struct {
	pid    int
	zombie bool
}

// children lists the children of a process.
func children(parent int) ([]relative, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	var found []relative
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // not a process
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it is gone
		}
		// The second field is the program's name in parentheses; after it come the state and the parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, relative{pid: pid, zombie: fields[0] == "Z"})
		}
	}
	return found, nil
}

// environ is the environment that a process was started with; empty while it is being started, and once it has ended.
func environ(pid int) []byte {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil
	}
	return env
}
