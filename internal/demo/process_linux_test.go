package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/console"
)

// testLimit bounds one demo of the tests.
const testLimit = 2 * time.Minute

// program builds the program once for all tests of this package.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "holter-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "holter")
	out, err := exec.Command("go", "build", "-o", path, "github.com/holter-ha/holter/cmd/holter").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", errors.Join(err, os.RemoveAll(dir)), out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	path, err := program()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(filepath.Dir(path))
	os.Exit(code)
}

// bench is one demo process whose temporary files are all in one folder, which is how its processes are known, too.
type bench struct {
	t      *testing.T
	tmp    string
	cmd    *exec.Cmd
	lines  chan string // of stdout
	told   []string    // those that were read
	stderr bytes.Buffer
}

func holter(ctx context.Context, tmp string, args ...string) *exec.Cmd {
	path, _ := program() // built by TestMain
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LANG=C.UTF-8")
	return cmd
}

// startDemo starts a demo in a process group of its own. tty may be nil.
func startDemo(t *testing.T, tmp string, tty *os.File, args ...string) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	b := &bench{t: t, tmp: tmp, cmd: holter(ctx, tmp, append([]string{"demo"}, args...)...), lines: make(chan string, 1024)}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if tty != nil {
		b.cmd.Stdin = tty
		b.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	b.cmd.Stderr = &b.stderr
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			b.lines <- s.Text()
		}
	}()
	return b
}

// await reads until a line matches.
func (b *bench) await(pattern string) {
	b.t.Helper()
	wanted := regexp.MustCompile(pattern)
	for line := range b.lines {
		b.told = append(b.told, line)
		if wanted.MatchString(line) {
			return
		}
	}
	_ = b.cmd.Wait()
	b.t.Fatalf("the demo ended before it said %q:\n%s\n%s", pattern, strings.Join(b.told, "\n"), &b.stderr)
}

// end reads to the end and returns the exit code.
func (b *bench) end() console.Exit {
	for line := range b.lines {
		b.told = append(b.told, line)
	}
	_ = b.cmd.Wait() // its exit code is asked for
	return console.Exit(b.cmd.ProcessState.ExitCode())
}

// inOrder checks that lines match one after another.
func (b *bench) inOrder(patterns ...string) {
	b.t.Helper()
	rest := b.told
	for _, pattern := range patterns {
		wanted, found := regexp.MustCompile(pattern), false
		for len(rest) > 0 && !found {
			found, rest = wanted.MatchString(rest[0]), rest[1:]
		}
		if !found {
			b.t.Fatalf("nothing matches %q after what came before it:\n%s", pattern, strings.Join(b.told, "\n"))
		}
	}
}

// clean checks that no process, no port and no file is left.
func (b *bench) clean() {
	b.t.Helper()
	if left := b.processes(); len(left) > 0 {
		b.t.Errorf("processes are left: %v", left)
	}
	block := regexp.MustCompile(`127\.\d+\.\d+\.`).FindString(strings.Join(b.told, "\n"))
	if left := listening(b.t, block); len(left) > 0 {
		b.t.Errorf("ports are left: %v", left)
	}
	files, err := os.ReadDir(b.tmp)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(files) > 0 {
		b.t.Errorf("files are left: %v", files)
	}
}

// processes lists those that were started by the demo, by the folder in their environment.
func (b *bench) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && bytes.Contains(environ(pid), []byte(machineEnv+"="+b.tmp)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listening lists the open ports of a block of addresses.
func listening(t *testing.T, block string) []string {
	t.Helper()
	if block == "" {
		t.Fatal("the demo has not said which addresses it uses")
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(table)) {
		const listens = "0A"
		fields := strings.Fields(line)
		address, port, _ := strings.Cut(fields[1], ":")
		raw, err := hex.DecodeString(address)
		if err != nil || len(raw) != net.IPv4len || fields[3] != listens {
			continue
		}
		if ip := net.IPv4(raw[3], raw[2], raw[1], raw[0]); strings.HasPrefix(ip.String(), block) {
			found = append(found, ip.String()+":"+port)
		}
	}
	return found
}

func TestScriptIsPlayedAndNothingIsLeft(t *testing.T) {
	b := startDemo(t, t.TempDir(), nil, "--script", "kill host-of:db; wait; kill leader; heal; wait", "--exit")
	b.await("ready in")
	if pids := b.processes(); len(pids) != 3+6+6+4 {
		t.Errorf("%d processes run, want 3 monitors, 6 agents, 6 guards and 4 workloads", len(pids))
	}
	if exit := b.end(); exit != console.ExitOK {
		t.Errorf("exit code %d, want 0\n%s\n%s", exit, strings.Join(b.told, "\n"), &b.stderr)
	}
	t.Log(strings.Join(b.told, "\n"))
	b.inOrder(
		`ams-1 is killed: SIGKILL to its agent, its guard, db`, `ams-1 is suspect`, `ams-1 is lost: .* by m\d`,
		`R-0002 begins: shop-dr@\d+ for ams-1`, `ams-1 runs nothing any more, evidence: lease-expired: not renewed by m\d`, `start\.stop/web on ams-3: done`, `start\.stop/api on ams-2: done`,
		`start/db on fra-2: done`, `start/api on \S+: done`, `start/web on \S+: done`, `R-0002 succeeded`,
		`m\d is killed: SIGKILL to the leading monitor`, `healed: started again on the old disk: ams-1, m\d`, `\S+ is back`, `\S+ is back`,
		`runs: \d+ succeeded; the shop answers: front on \S+ → web on \S+ → api on \S+ → db on fra-2`,
	)
	b.inOrder(`ams-1 is killed`, `the shop does not answer`, `ams-1 is lost`, `outage seen by the client \d+\.\d\d s \(\d+ requests lost\)`)
	b.inOrder(`ams-1 is killed`, `last beat of ams-1`, `ams-1 is suspect`)
	b.inOrder(`ams-1 is lost`, `ams-1 may still run what it ran, until its lease is over: .* from now at most`, `ams-1 runs nothing any more`)
	b.clean()
}

func TestInterruptEndsItInTheMiddleOfARun(t *testing.T) {
	b := startDemo(t, t.TempDir(), nil, "--script", "kill host-of:db; wait")
	b.await("R-0002 begins")
	if err := unix.Kill(-b.cmd.Process.Pid, unix.SIGINT); err != nil { // as a terminal does: to the whole group
		t.Fatal(err)
	}
	if exit := b.end(); exit != console.ExitInterrupt {
		t.Errorf("exit code %d, want %d\n%s", exit, console.ExitInterrupt, &b.stderr)
	}
	b.clean()
}

func TestEverythingDiesWithADemoThatIsKilled(t *testing.T) {
	tmp := t.TempDir()
	b := startDemo(t, tmp, nil, "--script", "wait")
	b.await("ready in")
	env, err := holter(t.Context(), tmp, "demo", "env").Output()
	if want := regexp.MustCompile(`^export HOLTER_SERVER=http://127\S+:\d+,http://\S+,http://\S+\n$`); err != nil || !want.Match(env) {
		t.Errorf("demo env says %q, %v; want what matches %s", env, err, want)
	}
	var held []unix.PollFd
	for _, pid := range b.processes() {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		held = append(held, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.end()
	const limit = 10 * time.Second
	for i := range held {
		if n, err := unix.Poll(held[i:i+1], int(limit.Milliseconds())); n != 1 || err != nil {
			t.Fatalf("process %d of %d outlives the demo by %s: %v", i+1, len(held), limit, err)
		}
	}
	if err := holter(t.Context(), tmp, "demo", "env").Run(); err == nil {
		t.Error("demo env names a demo that was killed")
	}
	next := startDemo(t, tmp, nil, "--script", "kill leader; wait", "--exit")
	if exit := next.end(); exit != console.ExitOK {
		t.Errorf("exit code of the next demo %d, want 0\n%s", exit, &next.stderr)
	}
	next.clean() // the folder of the one that was killed too
}

func TestWhatOthersDoToTheProcesses(t *testing.T) {
	tmp := t.TempDir()
	b := startDemo(t, tmp, nil, "--script", "wait")
	b.await("ready in")
	pidOf := func(machine string) int {
		t.Helper()
		for _, pid := range b.processes() {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err == nil && bytes.Contains(line, []byte("/"+machine+".yaml\x00")) {
				return pid
			}
		}
		t.Fatalf("there is no process of %s", machine)
		return 0
	}
	if err := unix.Kill(pidOf("ams-2"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.await("ams-2 is killed: SIGKILL to its agent, its guard, api") // the workload goes with its host
	b.await("R-0002 succeeded")
	if err := unix.Kill(pidOf("m2"), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := b.end(); exit != console.ExitFailed || !strings.Contains(b.stderr.String(), "m2 ended by itself: exit status 0") {
		t.Errorf("exit code %d, %q; want 1 and that m2 ended by itself", exit, &b.stderr)
	}
	if left := b.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

func TestKeysOfATerminal(t *testing.T) {
	terminal, tty := openTerminal(t)
	b := startDemo(t, t.TempDir(), tty)
	b.await(`\[k\] kill a host`)
	if waitsForEnter(t, tty) {
		t.Error("the terminal waits for Enter")
	}
	press := func(keys string) {
		t.Helper()
		if _, err := terminal.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	press("s")
	b.await(`demo · 3/3 monitors, leader m\d`)
	b.await(`no run is open`)
	press("3")
	b.await("ams-3 is killed: SIGKILL to its agent, its guard, web")
	b.await("R-0002 succeeded")
	press("3k")
	b.await("ams-3 is dead already")
	b.await("is killed: SIGKILL to its agent, its guard, ")
	press("h")
	b.await("healed")
	b.await("is back")
	b.await("is back")
	press("\x03")
	if exit := b.end(); exit != console.ExitInterrupt {
		t.Errorf("exit code %d, want %d\n%s", exit, console.ExitInterrupt, &b.stderr)
	}
	if !waitsForEnter(t, tty) {
		t.Error("the terminal is not as it was")
	}
	b.clean()
}

// openTerminal makes a pseudo-terminal: what a person sits at, and what the program has.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func waitsForEnter(t *testing.T, tty *os.File) bool {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return now.Lflag&unix.ICANON != 0
}

func TestWrongUsageStartsNothing(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--script", "kil web; wait", "--exit"}, `"kil web": there is no such step`},
		{[]string{"--exit"}, "say which with --script"},
		{nil, "there is no terminal for the keys: say what to do with --script"},
	}
	for _, test := range tests {
		tmp := t.TempDir()
		b := startDemo(t, tmp, nil, test.args...)
		if exit := b.end(); exit != console.ExitUsage || len(b.told) > 0 || !strings.Contains(b.stderr.String(), test.want) {
			t.Errorf("demo %q: exit code %d, %q, %q; want %d and %q", test.args, exit, b.told, &b.stderr, console.ExitUsage, test.want)
		}
		if files, err := os.ReadDir(tmp); err != nil || len(files) > 0 {
			t.Errorf("demo %q left %v, %v", test.args, files, err)
		}
	}
}

func TestAWaitThatTakesTooLongSaysWhatIsMissingAndLeavesTheLogs(t *testing.T) {
	tmp := t.TempDir()
	b := startDemo(t, tmp, nil, "--script", "kill fra-3; wait 100ms", "--exit")
	if exit := b.end(); exit != console.ExitFailed || !strings.Contains(b.stderr.String(), "fra-3 is not lost yet for the monitors") {
		t.Errorf("exit code %d, %q; want 1 and that fra-3 is not lost yet", exit, &b.stderr)
	}
	b.inOrder("logs and files are left in " + tmp)
	logs, err := filepath.Glob(filepath.Join(tmp, "*", "*.log"))
	if err != nil || len(logs) != 3+6 {
		t.Errorf("logs are %v, %v; want those of 3 monitors and 6 agents", logs, err)
	}
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o700)); err != nil {
		t.Fatal(err)
	}
	b.clean()
}
