package systemd_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/conformance"
	"github.com/holter-ha/holter/actions/systemd"
	"github.com/holter-ha/holter/integration/testbed"
)

// limit bounds each action of these tests.
const limit = 20 * time.Second

func target(unit string) actions.Target {
	return actions.Target{Workload: unit, Kind: systemd.Kind, Unit: unit}
}

func start(unit string) actions.Action {
	return actions.Action{Verb: actions.Start, Target: target(unit), Env: map[string]string{"HOLTER_TOKEN": "7"}}
}

func stop(unit string) actions.Action {
	return actions.Action{Verb: actions.Stop, Target: target(unit)}
}

func newDriver(t *testing.T, h *testbed.SystemdHost) *systemd.Driver {
	d := systemd.New(systemd.Options{
		Address:    h.Bus(),
		CgroupRoot: h.Path("/sys/fs/cgroup"),
		EnvDir:     h.Path("/run/holter"),
	})
	t.Cleanup(d.Close)
	return d
}

func do(t *testing.T, d *systemd.Driver, a actions.Action) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return d.Do(ctx, a)
}

func status(t *testing.T, d *systemd.Driver, unit string) actions.Status {
	t.Helper()
	st, err := d.Status(t.Context(), target(unit))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestSystemd shares one host among all that is to be tried on it.
func TestSystemd(t *testing.T) {
	h := testbed.StartSystemdHost(t)
	t.Run("conforms", func(t *testing.T) { conforms(t, h) })
	t.Run("failed start says why", func(t *testing.T) { failedStart(t, h) })
	t.Run("what ends at once is not running", func(t *testing.T) { endsAtOnce(t, h) })
	t.Run("force takes down what ignores a stop and would restart", func(t *testing.T) { stubborn(t, h) })
	t.Run("inactive with processes left is not stopped", func(t *testing.T) { leftovers(t, h) })
	t.Run("autostart", func(t *testing.T) { autostart(t, h) })
	t.Run("environment", func(t *testing.T) { environment(t, h) })
	t.Run("the bus is dialled again after it broke", func(t *testing.T) { brokenBus(t, h) })
	t.Run("a host that is gone is an error", func(t *testing.T) { goneHost(t, h) })
}

func conforms(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "app.service", `[Service]
ExecStartPre=/bin/sleep 0.05
ExecStart=/bin/sh -c 'sleep 1000 & trap "sleep 0.05; exit 0" TERM; while :; do wait; done'
`)
	conformance.Run(t, conformance.Suite{Setup: func(t *testing.T) conformance.Bed {
		return conformance.Bed{
			New:     func() actions.Driver { return newDriver(t, h) },
			Target:  target("app.service"),
			Unknown: target("nothing.service"),
			Env:     map[string]string{"HOLTER_TOKEN": "7"},
			Kill:    conformance.Kill,
			Midway:  []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond},
		}
	}})
}

func failedStart(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "bad.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'exit 3'\n")
	d := newDriver(t, h)
	err := do(t, d, start("bad.service"))
	want := "start bad.service: systemd says failed: it is failed (failed), result exit-code"
	if err == nil || err.Error() != want {
		t.Errorf("start: got %v, want %s", err, want)
	}
	if st := status(t, d, "bad.service"); st.Condition != actions.Stopped || st.Detail != "failed (failed), result exit-code" {
		t.Errorf("status: got %+v", st)
	}
}

func endsAtOnce(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
	err := do(t, newDriver(t, h), start("once.service"))
	want := "start once.service: its job is done, but it is inactive (dead)"
	if err == nil || err.Error() != want {
		t.Errorf("start: got %v, want %s", err, want)
	}
}

func stubborn(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "stubborn.service", `[Service]
Type=notify
NotifyAccess=all
Restart=always
RestartSec=0
TimeoutStopSec=infinity
ExecStart=/bin/sh -c 'trap "" TERM; systemd-notify --ready; while :; do sleep 1000; done'
ExecStopPost=/bin/sleep 1000
`)
	d := newDriver(t, h)
	if err := do(t, d, start("stubborn.service")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := d.Do(ctx, stop("stubborn.service")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: got %v, want %v", err, context.DeadlineExceeded)
	}
	if st := status(t, d, "stubborn.service"); st.Condition != actions.Unknown || !strings.HasPrefix(st.Detail, "deactivating") {
		t.Errorf("status after a stop that is ignored: got %+v", st)
	}
	forced := stop("stubborn.service")
	forced.Force = true
	if err := do(t, d, forced); err != nil {
		t.Error(err)
	}
	if st := status(t, d, "stubborn.service"); st.Condition != actions.Stopped {
		t.Errorf("status after force: got %+v", st)
	}
}

func leftovers(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "messy.service", "[Service]\nKillMode=process\nExecStart=/bin/sh -c 'sleep 1000 & wait'\n")
	d := newDriver(t, h)
	if err := do(t, d, start("messy.service")); err != nil {
		t.Fatal(err)
	}
	if err := do(t, d, stop("messy.service")); err == nil {
		t.Error("stop that leaves a process behind: got no error")
	}
	if st := status(t, d, "messy.service"); st.Condition != actions.Unknown || !strings.Contains(st.Detail, "processes are left") {
		t.Errorf("status: got %+v", st)
	}
	forced := stop("messy.service")
	forced.Force = true
	if err := do(t, d, forced); err != nil {
		t.Error(err)
	}
	if st := status(t, d, "messy.service"); st.Condition != actions.Stopped {
		t.Errorf("status after force: got %+v", st)
	}
}

func autostart(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "boot.service", "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=basic.target\n")
	d := newDriver(t, h)
	for _, want := range []bool{false, true} {
		if got := status(t, d, "boot.service"); got.Autostart != want {
			t.Errorf("status: got %+v, want autostart %v", got, want)
		}
		if _, err := h.Exec(t.Context(), "systemctl", "enable", "boot.service"); err != nil {
			t.Fatal(err)
		}
	}
}

func environment(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "env.service", `[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=-/run/holter/%n.env
ExecStart=/bin/sh -c 'printf "%%s" "$HOLTER_RUN" >/run/saw; systemd-notify --ready; exec sleep 1000'
`)
	d := newDriver(t, h)
	a := start("env.service")
	a.Env["HOLTER_RUN"] = `a "b" $c \d` + " `e`"
	if err := do(t, d, a); err != nil {
		t.Fatal(err)
	}
	saw, err := os.ReadFile(h.Path("/run/saw"))
	if err != nil || string(saw) != a.Env["HOLTER_RUN"] {
		t.Errorf("the unit saw %q, %v, want %q", saw, err, a.Env["HOLTER_RUN"])
	}
	if err := do(t, d, stop("env.service")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.Path("/run/holter/env.service.env")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after the stop: got %v, want %v", err, os.ErrNotExist)
	}
}

func brokenBus(t *testing.T, h *testbed.SystemdHost) {
	h.WriteUnit(t, "slow.service", "[Service]\nExecStartPre=/bin/sleep 1000\nExecStart=/bin/sleep 1000\n")
	d := newDriver(t, h)
	ended := make(chan error, 1)
	go func() { ended <- do(t, d, start("slow.service")) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for status(t, d, "slow.service").Detail != "activating (start-pre)" {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("start ended early: %v", err)
		}
	}
	if _, err := h.Exec(t.Context(), "systemctl", "kill", "--signal=KILL", "dbus.service"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start while the bus breaks: got %v, want an error at once", err)
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		st, err := d.Status(ctx, target("slow.service"))
		cancel()
		if err == nil {
			if st.Condition != actions.Unknown {
				t.Errorf("status over the new bus: got %+v", st)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("no new connection within %v: %v", limit, err)
		}
		<-tick.C
	}
	forced := stop("slow.service")
	forced.Force = true
	if err := do(t, d, forced); err != nil {
		t.Error(err)
	}
}

func goneHost(t *testing.T, h *testbed.SystemdHost) {
	d := newDriver(t, h)
	if st := status(t, d, "app.service"); st.Condition != actions.Stopped {
		t.Errorf("status: got %+v", st)
	}
	h.Crash()
	if st, err := d.Status(t.Context(), target("app.service")); err == nil || st.Condition != actions.Unknown {
		t.Errorf("status after the crash: got %+v, %v", st, err)
	}
}
