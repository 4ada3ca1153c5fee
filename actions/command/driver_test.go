//go:build linux

package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// limit bounds each action of these tests.
const limit = 20 * time.Second

var (
	startApp = actions.Action{Verb: actions.Start, Target: app}
	stopApp  = actions.Action{Verb: actions.Stop, Target: app}
	forceApp = actions.Action{Verb: actions.Stop, Target: app, Force: true}
)

func do(t *testing.T, d *Driver, a actions.Action) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return d.Do(ctx, a)
}

func mustDo(t *testing.T, d *Driver, a actions.Action) {
	t.Helper()
	if err := do(t, d, a); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, d *Driver, want actions.Condition, detail string) {
	t.Helper()
	st, err := d.Status(t.Context(), app)
	if err != nil || st.Condition != want || !strings.Contains(st.Detail, detail) {
		t.Errorf("status: got %+v, %v, want %s with %q", st, err, want, detail)
	}
}

// fifo makes a named pipe. Whoever opens an end of it waits for the other end to be opened.
func fifo(t *testing.T, path string) string {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// hear waits until a workload writes to a pipe and returns what it wrote.
func hear(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// agent runs another process as the agent of a state directory: it starts argv as the workload app and exits.
func agent(t *testing.T, dir string, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], argv...)
	cmd.Env = append(os.Environ(), agentDir+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestOrphanOfAnAgentThatDiedBeforeTheRecord(t *testing.T) {
	dir := t.TempDir()
	up := fifo(t, filepath.Join(t.TempDir(), "up"))
	run := shell(`echo $$ >"$1"; exec sleep 1000`, up)
	d := newDriver(t, Command{Run: run}, Options{Dir: dir})
	// The agent waits for a reader of this pipe when it writes the record, and so it stays between the two.
	record := fifo(t, filepath.Join(dir, "app.json.new"))
	a := agent(t, dir, run...)
	pid := hear(t, up)
	if err := a.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(); err == nil {
		t.Error("the agent ended by itself, want killed")
	}
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}

	expect(t, d, actions.Running, "")
	mustDo(t, d, startApp)
	h, err := d.Handles(t.Context(), app)
	if err != nil || len(h) != 1 || h[0].Kind != actions.HandleSession || strconv.Itoa(h[0].PID) != pid {
		t.Errorf("handles: got %v, %v, want the session of %s", h, err, pid)
	}
	mustDo(t, d, stopApp)
	expect(t, d, actions.Stopped, "")
}

func TestWorkloadOutlivesItsAgent(t *testing.T) {
	dir := t.TempDir()
	run := shell(`exec sleep 1000`)
	d := newDriver(t, Command{Run: run}, Options{Dir: dir})
	if err := agent(t, dir, run...).Wait(); err != nil {
		t.Fatal(err)
	}
	expect(t, d, actions.Running, "")
	mustDo(t, d, stopApp)
	expect(t, d, actions.Stopped, "")
}

func TestStartThatCannotSucceedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		run  []string
		want string
	}{
		"no such file":   {[]string{"/no/such/file"}, "start app: fork/exec /no/such/file: no such file or directory"},
		"ends at once":   {shell(`echo no such table >&2; exit 3`), "start app: /bin/sh: ended at once: exit status 3: no such table"},
		"dies at once":   {shell(`kill -SEGV $$`), "start app: /bin/sh: ended at once: killed by SIGSEGV"},
		"talks for long": {shell(`yes | head -n 10000; exit 1`), "start app: /bin/sh: ended at once: exit status 1: " + strings.TrimSpace(strings.Repeat("y\n", outputLimit/2))},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, Command{Run: c.run}, Options{Dir: t.TempDir()})
			if err := do(t, d, startApp); err == nil || err.Error() != c.want {
				t.Errorf("start: got %v, want %s", err, c.want)
			}
			expect(t, d, actions.Stopped, "")
		})
	}
}

func TestEndIsTold(t *testing.T) {
	gate := fifo(t, filepath.Join(t.TempDir(), "gate"))
	d := newDriver(t, Command{Run: shell(`read x <"$1"; exit 4`, gate)}, Options{Dir: t.TempDir()})
	mustDo(t, d, startApp)
	h, err := d.Handles(t.Context(), app)
	if err != nil || len(h) != 1 {
		t.Fatalf("handles: got %v, %v, want one", h, err)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := (process{pid: h[0].PID, ticks: h[0].StartTicks}).wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, d, actions.Stopped, "exit status 4")
	expect(t, d, actions.Stopped, "exit status 4")
	mustDo(t, d, stopApp)
	if st, err := d.Status(t.Context(), app); err != nil || st.Detail != "" {
		t.Errorf("status after a stop on purpose: got %+v, %v", st, err)
	}
}

func TestStopThatIsIgnoredYieldsToForce(t *testing.T) {
	up := fifo(t, filepath.Join(t.TempDir(), "up"))
	d := newDriver(t, Command{Run: shell(`trap "" TERM; echo up >"$1"; exec sleep 1000`, up)}, Options{Dir: t.TempDir()})
	started := make(chan error, 1)
	go func() { started <- d.Do(t.Context(), startApp) }()
	hear(t, up)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Do(ctx, stopApp); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: got %v, want %v", err, context.DeadlineExceeded)
	}
	expect(t, d, actions.Running, "")
	mustDo(t, d, forceApp)
	expect(t, d, actions.Stopped, "")
}

// familyScript has a child in a session of its own and one with an empty environment.
const familyScript = `
	trap '' TERM
	setsid sleep 1000 &
	env -i sleep 1000 &
	trap - TERM
	echo up >"$1"
	read x <"$2"`

func family(t *testing.T) (d *Driver, gate string) {
	t.Helper()
	up := fifo(t, filepath.Join(t.TempDir(), "up"))
	gate = fifo(t, filepath.Join(t.TempDir(), "gate"))
	d = newDriver(t, Command{Run: shell(familyScript, up, gate)}, Options{Dir: t.TempDir()})
	started := make(chan error, 1)
	go func() { started <- d.Do(t.Context(), startApp) }()
	hear(t, up)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return d, gate
}

func TestForceTakesDownChildrenThatLeft(t *testing.T) {
	d, _ := family(t)
	s := d.workloads["app"].(*supervised)
	first, err := s.life()
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.members(first.leader)
	if err != nil || len(all) != 3 {
		t.Fatalf("processes: got %v, %v, want the first and its two children", all, err)
	}
	mustDo(t, d, forceApp)
	for _, p := range all {
		if now, err := look(p.pid); err == nil && now.is(p) && !now.zombie {
			t.Errorf("process %d lives after a forced stop", p.pid)
		}
	}
	expect(t, d, actions.Stopped, "")
}

func TestChildrenLeftOverAreNotStoppedAndAreClearedByTheNextStart(t *testing.T) {
	d, gate := family(t)
	s := d.workloads["app"].(*supervised)
	first, err := s.life()
	if err != nil || !first.alive {
		t.Fatalf("first process: got %+v, %v", first, err)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := first.leader.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, d, actions.Unknown, "its first process has ended (exit status 0)")
	left, err := s.members(first.leader)
	if err != nil || len(left) != 2 {
		t.Fatalf("processes left: got %v, %v, want the two children", left, err)
	}
	s.command.Run = shell(`exec sleep 1000`)
	mustDo(t, d, startApp)
	expect(t, d, actions.Running, "")
	for _, p := range left {
		if now, err := look(p.pid); err == nil && now.is(p) && !now.zombie {
			t.Errorf("process %d of the earlier life lives", p.pid)
		}
	}
}

func TestRecordThatIsNotOfThisLife(t *testing.T) {
	d := newDriver(t, Command{Run: shell(`exec sleep 1000`)}, Options{Dir: t.TempDir()})
	s := d.workloads["app"].(*supervised)
	me, err := look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]life{
		"of another boot": {Boot: "another", PID: me.pid, Ticks: me.ticks},
		"of a reused pid": {Boot: s.boot, PID: me.pid, Ticks: me.ticks + 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.record, b, 0o600); err != nil {
				t.Fatal(err)
			}
			expect(t, d, actions.Stopped, "")
			mustDo(t, d, stopApp)
			mustDo(t, d, startApp)
			expect(t, d, actions.Running, "")
			mustDo(t, d, stopApp)
		})
	}
}

// A record that cannot be read, or that a newer agent wrote who knows more of it, is no proof of anything.
func TestBrokenRecordIsUnknown(t *testing.T) {
	d := newDriver(t, Command{Run: shell(`exec sleep 1000`)}, Options{Dir: t.TempDir()})
	s := d.workloads["app"].(*supervised)
	for _, record := range []string{"{", fmt.Sprintf(`{"v":2,"boot":%q,"pid":0}`, s.boot)} {
		if err := os.WriteFile(s.record, []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		if st, err := d.Status(t.Context(), app); err == nil || st.Condition != actions.Unknown || !strings.Contains(err.Error(), s.record) {
			t.Errorf("status with the record %s: got %+v, %v, want an error with %s", record, st, err, s.record)
		}
		if err := os.Remove(s.record); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLogIsEmptiedAtAStartAndWhenTooLong(t *testing.T) {
	up := fifo(t, filepath.Join(t.TempDir(), "up"))
	d := newDriver(t, Command{Run: shell(`echo begun; echo up >"$1"; exec sleep 1000`, up)}, Options{Dir: t.TempDir()})
	log := d.workloads["app"].(*supervised).log
	if err := os.WriteFile(log, []byte("of an earlier life\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- d.Do(t.Context(), startApp) }()
	hear(t, up)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(log); err != nil || string(b) != "begun\n" {
		t.Errorf("log after the start: got %q, %v", b, err)
	}
	if err := os.Truncate(log, logLimit+1); err != nil {
		t.Fatal(err)
	}
	expect(t, d, actions.Running, "")
	if st, err := os.Stat(log); err != nil || st.Size() != 0 {
		t.Errorf("log after a look at a workload whose log is too long: got %v, %v", st.Size(), err)
	}
}
