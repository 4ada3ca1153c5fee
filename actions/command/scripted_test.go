//go:build linux

package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
)

// flag is a workload that is no process: a file.
func flag(t *testing.T) (c Command, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "flag")
	return Command{
		Start:  shell(`touch "$1"`, file),
		Stop:   shell(`rm "$1"`, file),
		Status: shell(`[ -e "$1" ] || exit 3`, file),
	}, file
}

func TestScriptedWorkloadThatIsNoProcess(t *testing.T) {
	c, _ := flag(t)
	d := newDriver(t, c, Options{Dir: t.TempDir()})
	mustDo(t, d, startApp)
	expect(t, d, actions.Running, "")
	if h, err := d.Handles(t.Context(), app); !errors.Is(err, errNoHandles) {
		t.Errorf("handles: got %v, %v, want %v", h, err, errNoHandles)
	}
	mustDo(t, d, forceApp)
	expect(t, d, actions.Stopped, "")
}

func TestScriptedStatusThatIsNotKnown(t *testing.T) {
	c, file := flag(t)
	code := filepath.Join(t.TempDir(), "code")
	c.Status = shell(`echo pid file is stale; exit $(cat "$1")`, code)
	d := newDriver(t, c, Options{Dir: t.TempDir()})
	set := func(n string) {
		t.Helper()
		if err := os.WriteFile(code, []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer set("3") // for the clean-up
	set("1")
	expect(t, d, actions.Unknown, "exit status 1: pid file is stale")
	if err := do(t, d, startApp); err == nil || !strings.Contains(err.Error(), "nobody knows if it runs") {
		t.Errorf("start: got %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was started all the same: %v", err)
	}
	set("3")
	if err := do(t, d, startApp); err == nil || !strings.Contains(err.Error(), "exited with 0, but the workload is stopped") {
		t.Errorf("start that its status does not bear out: got %v", err)
	}
	c.Status = []string{"/no/such/file"}
	missing, err := New(Options{Dir: t.TempDir(), Commands: map[string]Command{"app": c}})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := missing.Status(t.Context(), app); err == nil || st.Condition != actions.Unknown {
		t.Errorf("status without a status command: got %+v, %v", st, err)
	}
}

func TestScriptedStoppedWithProcessesLeftIsNotStopped(t *testing.T) {
	c, _ := flag(t)
	c.Start = append([]string{"/bin/sh", "-c", `sleep 1000 & ` + c.Start[2]}, c.Start[3:]...)
	d := newDriver(t, c, Options{Dir: t.TempDir()})
	mustDo(t, d, startApp)
	if _, err := runCommand(t.Context(), c.Stop, "", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, d, actions.Unknown, "processes are left: 1")
	mustDo(t, d, stopApp)
	expect(t, d, actions.Stopped, "")
}

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	dir := t.TempDir()
	d, err := New(Options{Dir: t.TempDir(), Commands: map[string]Command{
		"note": {Exec: shell(`printf '%s\n' "$A $B $HOLTER_UNIT" "$PWD" "$@" >` + out), Dir: dir, Env: map[string]string{"A": "1", "B": "2"}, Idempotent: true},
		"fail": {Exec: shell(`echo so it is; exit 9`)},
		"hang": {Exec: shell(`sleep 1000 & wait`)},
		"app":  {Run: shell(`exec sleep 1000`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	run := func(unit string) actions.Action {
		return actions.Action{
			Verb: actions.Run, Target: actions.Target{Workload: unit, Kind: Kind, Unit: unit},
			Args: []string{"x y", "$HOME"}, Env: map[string]string{"B": "3"},
		}
	}
	mustDo(t, d, run("note"))
	if b, err := os.ReadFile(out); err != nil || string(b) != "1 3 \n"+dir+"\nx y\n$HOME\n" {
		t.Errorf("the command saw: %q, %v", b, err)
	}
	if done, err := d.Done(t.Context(), run("note")); done || err != nil {
		t.Errorf("done of a run: got %v, %v", done, err)
	}
	for unit, want := range map[string]string{
		"fail":  "run fail: /bin/sh: exit status 9: so it is",
		"other": "run other: " + errUnknownUnit.Error(),
		"app":   "run app: " + errNotExec.Error(),
	} {
		if err := do(t, d, run(unit)); err == nil || err.Error() != want {
			t.Errorf("run %s: got %v, want %s", unit, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Do(ctx, run("hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run that hangs: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := d.Status(t.Context(), actions.Target{Unit: "note"}); !errors.Is(err, errNotWorkload) {
		t.Errorf("status of a command that is run: got %v, want %v", err, errNotWorkload)
	}
	if !d.Idempotent("note") || d.Idempotent("fail") || d.Idempotent("other") {
		t.Error("idempotent: want it of note only")
	}
}
