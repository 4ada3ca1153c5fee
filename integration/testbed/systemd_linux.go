// Package testbed makes the machines that tests run on where this process alone will not do: hosts made of namespaces, and
// their management controllers.
//
// A SystemdHost is a whole systemd as pid 1 of namespaces of its own (mounts, pids, network, cgroups, names), over a
// throwaway copy of this machine's own files. It is up in under a second and needs root, but no container engine. A BMC speaks
// IPMI and switches whatever power the test gives it.
//
// Invariants: a test that a machine cannot run is skipped with one line that begins with LeftOut, and never passes; every
// mount of a host is in its own mount namespace; a host and a BMC die with the process that made them, however that one dies.
//
// Concurrency: hosts and BMCs are used by one test and its goroutines; their methods may be called from several.
package testbed

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// LeftOut begins the line with which a test is skipped that this machine cannot run.
const LeftOut = "LEFT OUT:"

const (
	// upLimit bounds how long a host may take to come up.
	upLimit = 60 * time.Second
	// upPoll is the interval at which a host is asked whether it is up.
	upPoll = 20 * time.Millisecond
)

// boot is what becomes pid 1 of a host.
//
//go:embed systemd.sh
var boot string

// RequireSystemdHost skips the test unless this machine can run a SystemdHost.
func RequireSystemdHost(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip(LeftOut, "a systemd host needs root")
	}
	for _, program := range []string{"/lib/systemd/systemd", "dbus-daemon", "systemctl", "unshare", "nsenter", "bash", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(LeftOut, "a systemd host needs", program, "(packages systemd, dbus, util-linux, iproute2)")
		}
	}
}

// SystemdHost is a host whose pid 1 is systemd.
type SystemdHost struct {
	name string
	dir  string // holds nothing that the host writes: a mount point, and the console
	cmd  *exec.Cmd
	died <-chan struct{} // closed when pid 1 has been waited for
}

// StartSystemdHost starts a host and waits until it is up; it is gone with everything on it when the test ends. It calls
// RequireSystemdHost first.
func StartSystemdHost(t testing.TB) *SystemdHost {
	t.Helper()
	RequireSystemdHost(t)
	dir, err := os.MkdirTemp("", "holter-host-")
	if err != nil {
		t.Fatal(err)
	}
	h := &SystemdHost{name: filepath.Base(dir), dir: dir}
	t.Cleanup(func() { h.remove(t) })
	if err := h.boot(); err != nil {
		t.Fatalf("start a systemd host: %v", err)
	}
	h.awaitUp(t)
	return h
}

// boot starts pid 1 and something that waits for its end.
func (h *SystemdHost) boot() error {
	console, err := os.Create(filepath.Join(h.dir, "console"))
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	if err := os.Mkdir(filepath.Join(h.dir, "mnt"), 0o700); err != nil {
		return err
	}
	h.cmd = exec.Command("bash", "-c", boot, "boot", filepath.Join(h.dir, "mnt"), h.name)
	h.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	h.cmd.Stdout, h.cmd.Stderr = console, console
	h.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	h.died, err = startTied(h.cmd)
	return err
}

func (h *SystemdHost) awaitUp(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upLimit)
	defer cancel()
	tick := time.NewTicker(upPoll)
	defer tick.Stop()
	state := "not booted"
	for {
		// Before the host has a root of its own, what runs in it would be asking this machine.
		if _, err := os.Stat(h.Path("/run/" + h.name)); err == nil {
			out, err := h.Exec(ctx, "systemctl", "is-system-running")
			state = strings.TrimSpace(string(out))
			if state == "running" || state == "degraded" {
				return
			}
			if state == "" && err != nil {
				state = err.Error()
			}
		}
		select {
		case <-tick.C:
		case <-h.died:
			t.Fatalf("the systemd host died while it came up: %s", h.console())
		case <-ctx.Done():
			t.Fatalf("the systemd host is not up after %v: %s\n%s", upLimit, state, h.console())
		}
	}
}

// Path is where this machine sees a path of the host, sockets included.
func (h *SystemdHost) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(h.cmd.Process.Pid), "root", path)
}

// Bus is the address of the host's system bus, as seen from this machine.
func (h *SystemdHost) Bus() string { return "unix:path=" + h.Path("/run/dbus/system_bus_socket") }

// Exec runs a command on the host and returns its standard output; the error holds what it wrote to standard error.
func (h *SystemdHost) Exec(ctx context.Context, argv ...string) ([]byte, error) {
	in := []string{"-t", strconv.Itoa(h.cmd.Process.Pid), "-m", "-u", "-i", "-n", "-p", "-C", "--"}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "nsenter", append(in, argv...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, err
}

// WriteUnit writes a unit file and has systemd read it.
func (h *SystemdHost) WriteUnit(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(h.Path("/etc/systemd/system/"+name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Exec(t.Context(), "systemctl", "daemon-reload"); err != nil {
		t.Fatal(err)
	}
}

// Crash ends the host and everything on it at once, as a loss of power does.
func (h *SystemdHost) Crash() {
	_ = h.cmd.Process.Kill() // fails only if it is dead already
	<-h.died
}

// remove ends the host and removes what is left of it: its cgroups and its directory.
func (h *SystemdHost) remove(t testing.TB) {
	if h.cmd != nil && h.cmd.Process != nil {
		h.Crash()
		sweep := `mount -t cgroup2 none "$1" && if [ -d "$1/$2" ]; then find "$1/$2" -depth -type d -exec rmdir {} +; fi`
		out, err := exec.Command("unshare", "-m", "sh", "-c", sweep, "sh", filepath.Join(h.dir, "mnt"), h.name).CombinedOutput()
		if err != nil {
			t.Errorf("remove the cgroups of a systemd host: %v: %s", err, out)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		t.Error(err)
	}
}

func (h *SystemdHost) console() string {
	b, err := os.ReadFile(filepath.Join(h.dir, "console"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
