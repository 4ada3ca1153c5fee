package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

const (
	// marker is the environment variable by which a workload's processes are found.
	marker = "HOLTER_UNIT="
	// outputLimit bounds what of a command's output goes into an error, in bytes.
	outputLimit = 4 << 10
	// logLimit bounds a workload's log, in bytes: a longer one is emptied by the next look at the workload.
	logLimit = 8 << 20
	// outputDelay is how long a command's output is waited for when something that it left behind holds it open.
	outputDelay = time.Second
)

// group is the processes of one workload, and where their output goes.
type group struct {
	command Command
	marker  string // NAME=VALUE in the environment of each of its processes
	cgroup  string // the directory that they are born in; empty: none
	log     string
}

// members looks at all processes of the workload that have not ended. Those of the session of leader belong to it too, even
// if they have cleaned their environment.
func (g *group) members(leader process) ([]process, error) {
	if g.cgroup != "" {
		all, err := cgroupProcesses(g.cgroup)
		return slices.DeleteFunc(all, func(p process) bool { return p.zombie }), err
	}
	all, err := allProcesses()
	if err != nil {
		return nil, err
	}
	// A pid is not given away while a session is named after it. So the session is the leader's own, even after the leader's
	// end, unless another process has its pid. (It could have been given away twice since the last look; see life.Gone.)
	own := leader.pid != 0 && !slices.ContainsFunc(all, func(p process) bool { return p.pid == leader.pid && !p.is(leader) })
	return slices.DeleteFunc(all, func(p process) bool {
		return p.zombie || (!own || p.session != leader.pid) && !p.marked(g.marker)
	}), nil
}

// clear waits until the workload has no process left. Each gets the signal first, once.
func (g *group) clear(ctx context.Context, leader process, s unix.Signal) error {
	var signalled []process
	for {
		left, err := g.members(leader)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return awaitEmpty(ctx, g.cgroup)
		}
		for _, p := range left {
			if slices.ContainsFunc(signalled, p.is) {
				continue
			}
			if err := p.signal(s); err != nil {
				return fmt.Errorf("signal process %d: %w", p.pid, err)
			}
			signalled = append(signalled, p)
		}
		for _, p := range left {
			if err := p.wait(ctx); err != nil {
				return fmt.Errorf("wait for the end of process %d: %w", p.pid, err)
			}
		}
	}
}

func (p process) signal(s unix.Signal) error {
	g, err := hold(p)
	if err != nil {
		return ignoreGone(err)
	}
	defer g.release()
	return g.signal(s)
}

func (p process) wait(ctx context.Context) error {
	g, err := hold(p)
	if err != nil {
		return ignoreGone(err)
	}
	defer g.release()
	return g.wait(ctx)
}

func ignoreGone(err error) error {
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// handlesOf names processes as things to kill; a session's group is one thing.
func (g *group) handlesOf(members []process) []actions.Handle {
	if len(members) == 0 {
		return nil
	}
	if g.cgroup != "" {
		return []actions.Handle{{Kind: actions.HandleCgroup, Path: g.cgroup}}
	}
	var all []actions.Handle
	leads := map[int]bool{} // the groups that are handled as a whole
	for _, p := range members {
		if p.pid == p.session && p.pid == p.group {
			leads[p.group] = true
			all = append(all, actions.Handle{Kind: actions.HandleSession, PID: p.pid, StartTicks: p.ticks})
		}
	}
	for _, p := range members {
		if !leads[p.group] {
			all = append(all, actions.Handle{Kind: actions.HandleProcess, PID: p.pid, StartTicks: p.ticks})
		}
	}
	slices.SortFunc(all, func(a, b actions.Handle) int { return a.PID - b.PID })
	return all
}

// birthplace makes and opens the cgroup that new processes are born in; nil if the workload has none. It is a new one each
// time: Linux 6.14 and later kill whatever is cloned into a cgroup whose cgroup.kill was ever written to.
func (g *group) birthplace() (*os.File, error) {
	if g.cgroup == "" {
		return nil, nil
	}
	if err := removeCgroup(g.cgroup); err != nil {
		return nil, fmt.Errorf("remove the old cgroup: %w", err)
	}
	if err := os.Mkdir(g.cgroup, 0o755); err != nil { //nolint:gosec // everybody may look at cgroups
		return nil, fmt.Errorf("make the cgroup: %w", err)
	}
	return os.Open(g.cgroup)
}

// removeCgroup removes a cgroup and those below it, which must be empty.
func removeCgroup(dir string) error {
	below, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range below {
		if e.IsDir() {
			err = errors.Join(err, removeCgroup(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}

// attributes of a new process: a session of its own, in the cgroup if there is one.
func attributes(cgroup *os.File) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if cgroup != nil {
		a.UseCgroupFD, a.CgroupFD = true, int(cgroup.Fd())
	}
	return a
}

// openLog empties the log and opens it for a new process.
func (g *group) openLog() (*os.File, error) {
	return os.OpenFile(g.log, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
}

// trimLog empties a log that has grown too long. Its writers append, so they go on at its new end.
func (g *group) trimLog() error {
	st, err := os.Stat(g.log)
	if errors.Is(err, os.ErrNotExist) || err == nil && st.Size() <= logLimit {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Truncate(g.log, 0)
}

// lastOutput is the end of the log, for an error. What cannot be read is no output.
func (g *group) lastOutput() string {
	f, err := os.Open(g.log)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), outputLimit))
	n, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	return strings.TrimSpace(string(b[:n]))
}

// environment is what a command gets: the little that is passed on of this process's own, and what the file and the action
// add to it. It is passed on by name, so that no secret of the agent's leaks to a workload.
func environment(added ...map[string]string) []string {
	all := map[string]string{}
	for _, name := range []string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			all[name] = v
		}
	}
	for _, m := range added {
		maps.Copy(all, m)
	}
	env := make([]string, 0, len(all)+1)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// tail keeps the last outputLimit bytes that were written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	t.kept = t.kept[max(0, len(t.kept)-outputLimit):]
	return len(b), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.kept)) }

// runCommand runs a command to its end and returns its exit code; it is an error if that is not 0, with the command's
// output. When ctx ends, the whole session of the command is killed.
func runCommand(ctx context.Context, argv []string, dir string, env []string) (int, error) {
	var out tail
	cmd := command(ctx, argv, dir, env)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = outputDelay
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it exited with 0
	}
	return cmd.ProcessState.ExitCode(), outcome(ctx, argv[0], err, out.String())
}

func command(ctx context.Context, argv []string, dir string, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = attributes(nil)
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd
}

// outcome makes the error of a command that ended with err.
func outcome(ctx context.Context, path string, err error, output string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	if output != "" {
		return fmt.Errorf("%s: %w: %s", path, err, output)
	}
	return fmt.Errorf("%s: %w", path, err)
}
