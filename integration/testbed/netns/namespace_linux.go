package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setupLimit bounds each command that sets something up. It is generous: the machine may be loaded.
const setupLimit = 30 * time.Second

// namespace is a network and a pid namespace, and mounts of their own. It lives as long as its first process, and nothing in
// it lives longer.
type namespace struct {
	first *exec.Cmd
	died  chan struct{} // closed when the first process, and thereby everything else, is gone
}

func newNamespace() (*namespace, error) {
	// The first process ignores the ends of its children, so that the kernel buries the orphans that come to it.
	n := &namespace{first: exec.Command("env", "--ignore-signal=CHLD", "sleep", "infinity"), died: make(chan struct{})}
	n.first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	started := make(chan error, 1)
	go func() { // ends with the process, which kill waits for
		defer close(n.died)
		// Pdeathsig is sent when the thread ends that started the child, so this one stays with it.
		runtime.LockOSThread()
		err := n.first.Start()
		started <- err
		if err == nil {
			_ = n.first.Wait() // it is killed; how it ended says nothing
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("make a namespace: %w", err)
	}
	return n, nil
}

// kill ends everything in the namespace, and waits until it is gone.
func (n *namespace) kill() {
	_ = n.first.Process.Kill() // fails only if it is dead already
	<-n.died
}

// path is the file of one of the namespaces: "net", "pid" or "mnt".
func (n *namespace) path(kind string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", n.first.Process.Pid, kind)
}

// in calls f on a thread that is in the namespaces of these kinds. The thread is never used for anything else.
func (n *namespace) in(f func() error, kinds ...string) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		result <- n.enter(f, kinds)
	}()
	return <-result
}

func (n *namespace) enter(f func() error, kinds []string) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else the kernel lets no thread change its mounts
		return fmt.Errorf("unshare: %w", err)
	}
	var files []*os.File // opened before this machine's /proc is out of sight
	for _, kind := range kinds {
		file, err := os.Open(n.path(kind))
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		files = append(files, file)
	}
	for _, file := range files {
		if err := unix.Setns(int(file.Fd()), 0); err != nil {
			return fmt.Errorf("enter %s: %w", file.Name(), err)
		}
	}
	return f()
}

// start starts a process of the namespace.
func (n *namespace) start(cmd *exec.Cmd) error {
	return n.in(cmd.Start, "pid", "net", "mnt")
}

// script runs a shell script in the namespace.
func (n *namespace) script(text string, args ...string) error {
	return setup(func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "/bin/sh", append([]string{"-euc", text, "sh"}, args...)...)
	}, n.start)
}

// ip runs commands of ip(8) in the network of the namespace, but where this machine's own processes can be named.
func (n *namespace) ip(lines ...string) error {
	return setup(func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		return cmd
	}, func(cmd *exec.Cmd) error { return n.in(cmd.Start, "net") })
}

func setup(command func(context.Context) *exec.Cmd, start func(*exec.Cmd) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), setupLimit)
	defer cancel()
	cmd := command(ctx)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], errors.Join(err, ctx.Err()), strings.TrimSpace(said.String()))
	}
	return nil
}
