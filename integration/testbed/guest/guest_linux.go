// Package guest boots small real Linux machines for tests of what needs one of its own: a hardware watchdog that resets it.
//
// A Guest runs Debian's generic kernel under QEMU's software emulation, with an init of ours (package init, below) in place
// of a distribution. It has a watchdog, a serial console, a second serial port over which the test has lines executed (it
// works without any network), and chosen loopback addresses of this machine's, which it sees on its own loopback: that is
// where programs that refuse to talk to strangers in the clear want them.
// KVM is never used: where it is offered but nested it may crawl or abort, and software emulation boots in seconds.
//
// Invariants: a test that a machine cannot run is skipped with one line that begins with testbed.LeftOut, and never passes;
// no root is needed; the kernel is downloaded once, into the user's cache folder; a guest is gone when its test ends, and
// dies with the process that made it, however that one dies.
//
// Concurrency: a Guest is used by one test and its goroutines; its methods may be called from several.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
	"github.com/holter-ha/holter/integration/testbed/guest/relay"
)

// limit bounds everything that is asked of a guest, its boot too. A boot takes some 3 s on a quiet machine, and ten times as
// long on a busy one.
const limit = 60 * time.Second

// consolePoll is the interval at which the console is looked at.
const consolePoll = 20 * time.Millisecond

const (
	qemu = "qemu-system-x86_64"
	mkfs = "mkfs.ext4"
)

// diskSize is that of a guest's disk; the file is as long as what was written.
const diskSize = 64 << 20

// Cgroup is an empty cgroup of version 2 in each guest, for programs that are to be given one.
const Cgroup = control.Cgroup

// Command is a program that runs in a guest from boot on.
type Command = control.Command

// Options of a guest.
type Options struct {
	Watchdog string    // the model of its watchdog: "i6300esb", or none
	Action   string    // what the watchdog does to it: "reset" (if empty), "poweroff", "pause"
	Forward  []string  // loopback addresses with a TCP port that lead to the very same on this machine: "127.9.0.1:7472"
	Commands []Command // run from boot on
	Disk     string    // a file that holds the guest's /data, made if it is not there; none: /data is memory as all else is
}

// Guest is a machine that runs.
type Guest struct {
	dir    string
	cmd    *exec.Cmd
	stderr bytes.Buffer  // QEMU's own words; to be read when it died
	died   chan struct{} // closed when QEMU has been waited for
	qmp    *qmp
	port   *port
}

// Start boots a guest and waits until its init is up. When the test ends the guest ends; its console is shown if the test
// failed.
func Start(t testing.TB, image Image, o Options) *Guest {
	t.Helper()
	g := &Guest{dir: t.TempDir(), died: make(chan struct{})}
	config := control.Config{Forward: forward(t, o.Forward), Commands: o.Commands}
	if err := image.write(g.initrd(), config); err != nil {
		t.Fatalf("write the initrd of a guest: %v", err)
	}
	if err := makeDisk(o.Disk); err != nil {
		t.Fatalf("make the disk of a guest: %v", err)
	}
	if err := g.boot(image.kernel.path(), o); err != nil {
		t.Fatalf("start a guest: %v", err)
	}
	t.Cleanup(func() {
		g.Kill()
		g.qmp.close()
		g.port.close()
		if t.Failed() {
			t.Logf("console of the guest:\n%s", g.Console())
		}
	})
	if err := g.qmp.negotiate(t.Context()); err != nil {
		t.Fatalf("start a guest: %v: %s", err, g.lastWords())
	}
	if err := g.WaitBoot(t.Context()); err != nil {
		t.Fatalf("boot a guest: %v: %s", err, g.lastWords())
	}
	return g
}

func (g *Guest) initrd() string      { return filepath.Join(g.dir, "initrd") }
func (g *Guest) consoleFile() string { return filepath.Join(g.dir, "console") }

// boot starts QEMU and something that waits for its end.
func (g *Guest) boot(kernel string, o Options) error {
	qmpConn, qmpFile, err := socketPair()
	if err != nil {
		return err
	}
	defer func() { _ = qmpFile.Close() }()
	portConn, portFile, err := socketPair()
	if err != nil {
		_ = qmpConn.Close()
		return err
	}
	defer func() { _ = portFile.Close() }()
	g.qmp, g.port = newQMP(qmpConn), newPort(portConn)

	g.cmd = exec.Command(qemu, g.arguments(kernel, o)...)
	g.cmd.ExtraFiles = []*os.File{qmpFile, portFile}
	g.cmd.Stderr = &g.stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(g.died)
		// Pdeathsig is sent when the thread ends that started the child, so this one stays with it.
		runtime.LockOSThread()
		err := g.cmd.Start()
		started <- err
		if err == nil {
			_ = g.cmd.Wait() // how it ended says nothing: it is killed
		}
	}()
	if err := <-started; err != nil {
		g.qmp.close()
		g.port.close()
		return err
	}
	return nil
}

func (g *Guest) arguments(kernel string, o Options) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "q35,accel=tcg", "-cpu", "qemu64", "-m", "512M",
		"-kernel", kernel, "-initrd", g.initrd(),
		"-append", "console=ttyS0 quiet mitigations=off no_timer_check rdinit=/init",
		"-chardev", "file,id=console,path=" + g.consoleFile(), "-serial", "chardev:console",
		"-chardev", "socket,id=port,fd=4", "-serial", "chardev:port",
		"-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
		"-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile=",
	}
	if o.Disk != "" {
		args = append(args, "-drive", "if=none,id=disk0,format=raw,file="+o.Disk, "-device", "virtio-blk-pci,drive=disk0")
	}
	if o.Watchdog != "" {
		action := o.Action
		if action == "" {
			action = "reset"
		}
		args = append(args, "-device", o.Watchdog+",id=watchdog0", "-action", "watchdog="+action)
	}
	return args
}

// forward starts for each address something on this machine's 127.0.0.1, all that a guest reaches, which passes on to it.
func forward(t testing.TB, addresses []string) []control.Forward {
	t.Helper()
	var list []control.Forward
	for _, address := range addresses {
		r, err := relay.Start("127.0.0.1:0", address)
		if err != nil {
			t.Fatalf("forward %s: %v", address, err)
		}
		t.Cleanup(r.Close)
		list = append(list, control.Forward{Address: address, Port: r.Port()})
	}
	return list
}

// makeDisk makes a file with an empty file system in it, unless there is none to make or it is there.
func makeDisk(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	return run(context.Background(), "", mkfs, "-q", "-F", file)
}

// WaitBoot waits for the next boot that was not waited for yet. Start has waited for the first.
func (g *Guest) WaitBoot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return g.port.waitBoot(ctx)
}

// Boots is how often the guest's init came up.
func (g *Guest) Boots() int { return int(g.port.boots.Load()) }

// WaitEvent waits for an event of QEMU's, such as WATCHDOG, RESET or SHUTDOWN. Each event is returned once.
func (g *Guest) WaitEvent(ctx context.Context, name string) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return g.qmp.wait(ctx, name)
}

// QMP has QEMU execute a command of its control protocol, such as set_link, stop or system_reset.
func (g *Guest) QMP(ctx context.Context, command string, arguments any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return g.qmp.execute(ctx, command, arguments)
}

// Exec has the guest's init execute a line and returns what it printed:
//
//	cat PATH           the content of a file
//	ps                 a line "PID STATE ARGV" for each process
//	signal NAME COMMAND  send a signal (STOP, CONT, TERM, KILL …) to a command of Options.Commands
//	run ARGV           run a program and wait for its end
func (g *Guest) Exec(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := g.port.execute(ctx, line)
	if err != nil {
		return out, fmt.Errorf("%s: %w", line, err)
	}
	return out, nil
}

// Console is what the guest wrote to its console: kernel, init and commands, of all boots.
func (g *Guest) Console() string {
	b, err := os.ReadFile(g.consoleFile())
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(b), "\r", "")
}

// WaitConsole waits until a text is on the console.
func (g *Guest) WaitConsole(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(consolePoll)
	defer tick.Stop()
	for !strings.Contains(g.Console(), text) {
		select {
		case <-tick.C:
		case <-g.died:
			return fmt.Errorf("wait for %q on the console: %w", text, errEnded)
		case <-ctx.Done():
			return fmt.Errorf("wait for %q on the console: %w", text, ctx.Err())
		}
	}
	return nil
}

// Kill ends the guest at once, as a loss of power does.
func (g *Guest) Kill() {
	_ = g.cmd.Process.Kill() // fails only if it is dead already
	<-g.died
}

// lastWords is what is known of a guest that did not come up.
func (g *Guest) lastWords() string {
	g.Kill()
	return strings.TrimSpace(g.stderr.String()) + "\n" + g.Console()
}
