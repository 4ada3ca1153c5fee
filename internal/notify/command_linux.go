package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	outputDelay = time.Second // how long the output is waited for when something that was left behind holds it open
	saidLimit   = 400         // bytes of what a command writes to standard error that go into the log
)

// command tells of an event by a program: the event as JSON on its standard input, its name and index in the environment.
// However it ends, its process group is killed.
func command(args []string) send {
	return func(ctx context.Context, m Message) error {
		body, err := encode(m, 0)
		if err != nil {
			return fmt.Errorf("encode the event: %w", err)
		}
		said := tail{}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir, cmd.Env = "/", append(environment(),
			"HOLTER_EVENT="+m.Item.Name, "HOLTER_INDEX="+strconv.FormatUint(m.Item.Index, 10),
			"HOLTER_CLUSTER="+m.Cluster, "HOLTER_CLUSTER_ID="+m.ClusterID)
		cmd.Stdin, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(body), &said, outputDelay
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return kill(cmd) }
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start %s: %w", args[0], err)
		}
		// Until it is waited for, nobody else gets its number, nor its group's.
		awaitEnd(cmd.Process.Pid)
		killErr := kill(cmd)
		if err = cmd.Wait(); killErr != nil {
			return fmt.Errorf("end what %s has started: %w", args[0], killErr)
		}
		return ended(ctx, cmd, err, said.text())
	}
}

// awaitEnd returns when a child has ended, and leaves it to be waited for.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
}

// kill ends a command's process group, of which it is the first.
func kill(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// ended says what came of a command. That it did not read its input, or left something behind, is its own affair.
func ended(ctx context.Context, cmd *exec.Cmd, err error, said string) error {
	switch {
	case cmd.ProcessState != nil && cmd.ProcessState.Success():
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = errors.New("did not end in time and was killed")
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	if said != "" {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, said)
	}
	return fmt.Errorf("%s: %w", cmd.Path, err)
}

// environment is the little of this process's own that a command gets, by name, so that no secret of the monitor's leaks.
func environment() []string {
	env := []string{"LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"HOME", "USER", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// tail keeps the last saidLimit bytes that were written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b[max(0, len(b)-saidLimit):]...)
	t.kept = t.kept[max(0, len(t.kept)-saidLimit):]
	return len(b), nil
}

// text is what was kept as one line without control characters.
func (t *tail) text() string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(t.kept), ""), func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c)
	}), " ")
}
