//go:build linux

package command

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/conformance"
)

var app = actions.Target{Workload: "app", Kind: Kind, Unit: "app"}

func shell(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

// newDriver makes a driver with the one workload app, and sees to it that nothing of it is left in the end.
func newDriver(t *testing.T, c Command, o Options) *Driver {
	t.Helper()
	o.Commands = map[string]Command{"app": c}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.Do(ctx, actions.Action{Verb: actions.Stop, Target: app, Force: true}); err != nil {
			t.Errorf("clean up: %v", err)
		}
		if h, err := d.Handles(ctx, app); err != nil || len(h) != 0 {
			t.Errorf("left behind: %v, %v", h, err)
		}
	})
	return d
}

func conform(t *testing.T, c Command, options func(t *testing.T) Options) {
	t.Helper()
	t.Parallel()
	conformance.Run(t, conformance.Suite{Setup: func(t *testing.T) conformance.Bed {
		o := options(t)
		// A program with the race detector in it would wait for a second before it exits.
		c.Env = map[string]string{serve: "1", "SERVE": os.Args[0], "STATE": t.TempDir(), "GORACE": "atexit_sleep_ms=0"}
		return conformance.Bed{
			New:     func() actions.Driver { return newDriver(t, c, o) },
			Target:  app,
			Unknown: actions.Target{Workload: "other", Kind: Kind, Unit: "other"},
			Env:     map[string]string{"HOLTER_TOKEN": "7"},
			Kill:    conformance.Kill,
			Midway:  []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond},
		}
	}})
}

func inSession(t *testing.T) Options { return Options{Dir: t.TempDir()} }

// inCgroup makes a cgroup to run in, where this machine has a cgroup2 that this user may write.
func inCgroup(t *testing.T) Options {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(f[1], "holter-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := removeCgroup(dir); err != nil {
				t.Error(err)
			}
		})
		return Options{Dir: t.TempDir(), Cgroup: dir}
	}
	t.Skip("LEFT OUT: no cgroup2 that this user may write")
	return Options{}
}

func TestSupervisedConformsInASession(t *testing.T) {
	conform(t, Command{Run: []string{os.Args[0]}}, inSession)
}

func TestSupervisedConformsInACgroup(t *testing.T) {
	conform(t, Command{Run: []string{os.Args[0]}}, inCgroup)
}

func TestScriptedConformsInASession(t *testing.T) { conform(t, daemon, inSession) }

func TestScriptedConformsInACgroup(t *testing.T) { conform(t, daemon, inCgroup) }

// daemon is a service as an init script keeps it: the pid of what it started in the background is in a file.
var daemon = Command{
	Start: shell(`
		sleep 0.05
		$SERVE &
		echo $! >$STATE/pid`),
	Stop:   shell(`kill $(cat $STATE/pid) && rm $STATE/pid`),
	Status: shell(`[ -f $STATE/pid ] && grep -qs '^State:.[^XZ]' /proc/$(cat $STATE/pid)/status || exit 3`),
}
