// Command init is the first process of a test's guest, and all that is in it beside the kernel and what the test brings.
//
// It mounts what every Linux has, loads the modules that lie there, brings up the network, forwards ports, runs the commands
// of its configuration, and executes the lines that come in on its serial port. It is a program of three parts: as process 1
// it reaps and starts itself again as the second, which does the work, so that the one never takes a child of the other's;
// called as "watchdog-feed" it feeds the watchdog.
//
// Invariants: it never writes to the watchdog unless called as its feeder; when its second process ends the guest is off.
// Concurrency: each request, command and connection has a goroutine; they share the table of commands, under its mutex.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
)

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "watchdog-feed":
		exit(feed(os.Args[2]))
	case os.Getpid() == 1:
		exit(reap())
	default:
		exit(serve())
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// reap is process 1: it waits for every orphan, and switches the guest off when nobody serves any more.
func reap() error {
	if err := mount(); err != nil {
		return err
	}
	cmd := exec.Command("/init")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) || pid == cmd.Process.Pid {
			return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
}

func mount() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
		{"tmpfs", "/run"},
		{"tmpfs", "/tmp"},
		{"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return os.Mkdir(control.Cgroup, 0o755)
}

// serve brings the guest up and answers until its serial port ends, which it never does.
func serve() error {
	b, err := os.ReadFile(control.ConfigFile)
	if err != nil {
		return err
	}
	var config control.Config
	if err := json.Unmarshal(b, &config); err != nil {
		return fmt.Errorf("read %s: %w", control.ConfigFile, err)
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := mountData(); err != nil {
		return err
	}
	if err := bringUpNetwork(); err != nil {
		return err
	}
	for _, f := range config.Forward {
		if err := forward(f); err != nil {
			return err
		}
	}
	commands := startCommands(config.Commands)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	return answer(strings.TrimSpace(string(boot)), commands)
}

// mountData mounts the disk, if there is one.
func mountData() error {
	_, err := os.Stat(control.Disk)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = unix.Mount(control.Disk, control.Data, "ext4", 0, "")
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", control.Data, err)
	}
	return nil
}

func loadModules() error {
	files, err := filepath.Glob(filepath.Join(control.ModuleDir, "*.ko"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := load(file); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return nil
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.ENODEV) {
		return nil // a driver whose device this guest has not
	}
	return err
}
