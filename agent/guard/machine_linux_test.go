package guard_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/command"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/integration/testbed"
)

// patience bounds the wait for something that takes a moment.
const patience = 10 * time.Second

// family is a shell that ignores SIGTERM, a child of it, one in a process group of its own, and one that left for a session
// of its own. Each says its pid, and lives for long.
const family = `trap "" TERM HUP
echo $$
sleep 1000 & echo $!
set -m; sleep 1000 & echo $!; set +m
setsid sh -c 'echo $$; exec sleep 1000' &
wait`

// familySize is how many a family has.
const familySize = 4

func onMachine(t *testing.T) *guard.Machine {
	t.Helper()
	m, err := guard.NewMachine(filepath.Join(t.TempDir(), "commands"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// spawn starts a script as the leader of a session and reads so many pids from it. Nothing of it outlives the test.
func spawn(t *testing.T, script string, size int, env ...string) []int {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return born(t, cmd, size)
}

func born(t *testing.T, cmd *exec.Cmd, size int) []int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	t.Cleanup(func() {
		for _, pid := range append(pids, cmd.Process.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); len(pids) < size; {
		if !lines.Scan() {
			t.Fatalf("%s: got %d pids, want %d", cmd, len(pids), size)
		}
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// ticks is when a process was started.
func ticks(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lives says whether a process has not ended.
func lives(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0] != "Z"
}

func living(pids []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return !lives(pid) })
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// wantGone asks until nothing stands in the way of an answer: a machine that stands still for a moment cannot be looked into.
func wantGone(t *testing.T, m *guard.Machine, c guard.Charge, want bool) {
	t.Helper()
	var gone bool
	var err error
	await(t, "look for "+c.Workload, func() bool {
		gone, err = m.Gone(c)
		return err == nil
	})
	if gone != want {
		t.Errorf("gone: got %t, want %t", gone, want)
	}
}

// kill kills a charge once, and whatever it takes until nothing stands in the way.
func kill(t *testing.T, m *guard.Machine, c guard.Charge) {
	t.Helper()
	await(t, "kill "+c.Workload, func() bool { return m.Kill(c) == nil })
}

// killAll kills a charge as the guard does, until it is proven gone.
func killAll(t *testing.T, m *guard.Machine, c guard.Charge) {
	t.Helper()
	await(t, "kill all of "+c.Workload, func() bool {
		failure := m.Kill(c)
		gone, err := m.Gone(c)
		return failure == nil && err == nil && gone
	})
}

// fresh is a charge with a token that nothing on this machine has.
func fresh(handles ...actions.Handle) guard.Charge {
	return guard.Charge{
		Workload: "app", Token: rand.Uint64N(1<<62) + 1<<62, Handles: handles,
		Target: actions.Target{Workload: "app", Kind: command.Kind, Unit: "app"},
	}
}

func tokenOf(c guard.Charge) string { return "HOLTER_TOKEN=" + strconv.FormatUint(c.Token, 10) }

// An agent died after it had started something, and before it knew how to kill it.
func TestKillsByTheToken(t *testing.T) {
	m, c := onMachine(t), fresh()
	wantGone(t, m, c, true)
	pids := spawn(t, family, familySize, tokenOf(c))
	innocent := spawn(t, family, familySize, tokenOf(c)+"0", "X"+tokenOf(c))
	wantGone(t, m, c, false)
	killAll(t, m, c)
	if left := living(pids); len(left) > 0 {
		t.Errorf("left of %v: %v", pids, left)
	}
	if left := living(innocent); len(left) != familySize {
		t.Errorf("left of those with another token: got %v, want %v", left, innocent)
	}
}

// What has cleaned its environment is in the session of one that has not.
func TestKillsTheSessionOfWhatHasTheToken(t *testing.T) {
	m, c := onMachine(t), fresh()
	pids := spawn(t, `echo $$; env -i sh -c 'echo $$; exec /bin/sleep 1000' & wait`, 2, tokenOf(c))
	killAll(t, m, c)
	if left := living(pids); len(left) > 0 {
		t.Errorf("left of %v: %v", pids, left)
	}
}

func TestAdoptedWorkloadsHaveNoToken(t *testing.T) {
	m, c := onMachine(t), fresh()
	c.Token = 0
	pids := spawn(t, `echo $$; exec sleep 1000`, 1, "HOLTER_TOKEN=0")
	killAll(t, m, c)
	if len(living(pids)) != 1 {
		t.Error("what has the token 0 was killed")
	}
}

func TestKillsBySession(t *testing.T) {
	m := onMachine(t)
	for _, leaderless := range []bool{false, true} {
		pids := spawn(t, family, familySize)
		c := fresh(actions.Handle{Kind: actions.HandleSession, PID: pids[0], StartTicks: ticks(t, pids[0])})
		if leaderless {
			if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		wantGone(t, m, c, false)
		killAll(t, m, c)
		if left := living(pids); !slices.Equal(left, pids[3:]) {
			t.Errorf("left: got %v, want %v, which has a session of its own and no token", left, pids[3:])
		}
	}
}

func TestKillsByProcess(t *testing.T) {
	m, pids := onMachine(t), spawn(t, family, familySize)
	c := fresh(actions.Handle{Kind: actions.HandleProcess, PID: pids[3], StartTicks: ticks(t, pids[3])})
	wantGone(t, m, c, false)
	killAll(t, m, c)
	if left := living(pids); !slices.Equal(left, pids[:3]) {
		t.Errorf("left: got %v, want %v", left, pids[:3])
	}
}

func TestAPidThatWasGivenAwayIsNotKilled(t *testing.T) {
	m, pids := onMachine(t), spawn(t, family, familySize)
	for _, kind := range []actions.HandleKind{actions.HandleSession, actions.HandleProcess} {
		c := fresh(actions.Handle{Kind: kind, PID: pids[0], StartTicks: ticks(t, pids[0]) - 1})
		wantGone(t, m, c, true)
		kill(t, m, c)
	}
	decoy := spawn(t, family, familySize) // killed later, it is gone later
	killAll(t, m, fresh(actions.Handle{Kind: actions.HandleSession, PID: decoy[0], StartTicks: ticks(t, decoy[0])}))
	if left := living(pids); len(left) != familySize {
		t.Errorf("left: got %v, want %v", left, pids)
	}
}

func TestHandlesThatCouldHitAnythingAreRefused(t *testing.T) {
	m := onMachine(t)
	for _, h := range []actions.Handle{
		{Kind: actions.HandleSession, PID: 0, StartTicks: 1},
		{Kind: actions.HandleSession, PID: 1, StartTicks: 1},
		{Kind: actions.HandleSession, PID: -1, StartTicks: 1},
		{Kind: actions.HandleProcess, PID: os.Getpid()},
		{Kind: actions.HandleCgroup, Path: ""},
		{Kind: actions.HandleCgroup, Path: "memory/h1/app"},
		{Kind: actions.HandleCgroup, Path: "/"},
		{Kind: actions.HandleCgroup, Path: t.TempDir()},
		{Kind: actions.HandleCgroup, Path: filepath.Join(t.TempDir(), "gone")},
		{Kind: "other", PID: os.Getpid(), StartTicks: 1},
	} {
		if err := m.Kill(fresh(h)); err == nil {
			t.Errorf("kill by %+v: got no error", h)
		}
		if gone, err := m.Gone(fresh(h)); gone || err == nil {
			t.Errorf("gone by %+v: got %t, %v, want an error", h, gone, err)
		}
	}
	if root := cgroupRoot(t); root != "" {
		if err := m.Kill(fresh(actions.Handle{Kind: actions.HandleCgroup, Path: root})); err == nil {
			t.Errorf("kill by the root of all cgroups: got no error")
		}
	}
}

// Tokens are unique in one cluster only.
func TestAnotherAgentsWorkloadOfTheSameTokenIsNotKilled(t *testing.T) {
	c := fresh()
	env := map[string]string{"HOLTER_TOKEN": strconv.FormatUint(c.Token, 10)}
	drivers, dirs := map[string]*command.Driver{}, map[string]string{}
	for _, agent := range []string{"ours", "other"} {
		dirs[agent] = filepath.Join(t.TempDir(), "commands")
		d, err := command.New(command.Options{Dir: dirs[agent], Commands: map[string]command.Command{"app": {Run: []string{"/bin/sleep", "1000"}}}})
		if err != nil {
			t.Fatal(err)
		}
		drivers[agent] = d
		stop := actions.Action{Verb: actions.Stop, Target: c.Target, Force: true}
		t.Cleanup(func() { _ = d.Do(t.Context(), stop) })
		defer func() {
			if err := d.Do(t.Context(), stop); err != nil {
				t.Error(err)
			}
		}()
		if err := d.Do(t.Context(), actions.Action{Verb: actions.Start, Target: c.Target, Env: env}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := guard.NewMachine(dirs["ours"])
	if err != nil {
		t.Fatal(err)
	}
	killAll(t, m, c)
	for agent, want := range map[string]actions.Condition{"ours": actions.Stopped, "other": actions.Running} {
		if st, err := drivers[agent].Status(t.Context(), c.Target); err != nil || st.Condition != want {
			t.Errorf("%s: got %+v, %v, want %s", agent, st, err, want)
		}
	}
}

// cgroupRoot finds where cgroups v2 are mounted and can be made; empty: nowhere.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC && unix.Access(root, unix.W_OK) == nil {
			return root
		}
	}
	return ""
}

// newCgroup makes a cgroup below those of these names, and removes them at the end.
func newCgroup(t *testing.T, names ...string) string {
	t.Helper()
	dir := cgroupRoot(t)
	if dir == "" {
		t.Skip(testbed.LeftOut, "a guard that kills cgroups needs a writable cgroup v2 (mount -t cgroup2)")
	}
	for _, name := range names {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			await(t, "remove "+dir, func() bool { return os.Remove(dir) == nil })
		})
	}
	return dir
}

// spawnIn is spawn into a cgroup.
func spawnIn(t *testing.T, dir, script string, size int) []int {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(f.Fd())}
	return born(t, cmd, size)
}

func TestKillsByCgroup(t *testing.T) {
	name := fmt.Sprintf("holter-test-%d", rand.Uint32())
	above := newCgroup(t, name)
	below := newCgroup(t, name+"/below")
	m, pids := onMachine(t), append(spawnIn(t, above, family, familySize), spawnIn(t, below, family, familySize)...)
	c := fresh(actions.Handle{Kind: actions.HandleCgroup, Path: above})
	wantGone(t, m, c, false)
	killAll(t, m, c)
	if left := living(pids); len(left) > 0 {
		t.Errorf("left of %v: %v", pids, left)
	}
	wantGone(t, m, fresh(actions.Handle{Kind: actions.HandleCgroup, Path: above + "-none"}), true)
}

// The unit's name is enough, wherever systemd put it; a container's unit of the same name is another's.
func TestKillsByTheNameOfTheUnit(t *testing.T) {
	id := rand.Uint32()
	unit, slice := fmt.Sprintf("holter-%d.service", id), fmt.Sprintf("holter-%d.slice", id)
	newCgroup(t, slice)
	ours := newCgroup(t, slice+"/"+unit)
	newCgroup(t, slice+"/container.service")
	theirs := newCgroup(t, slice+"/container.service/"+unit)
	c := fresh()
	c.Target = actions.Target{Workload: "app", Kind: "systemd", Unit: unit}
	m := onMachine(t)
	pids, other := spawnIn(t, ours, family, familySize), spawnIn(t, theirs, family, familySize)
	wantGone(t, m, c, false)
	killAll(t, m, c)
	if left := living(pids); len(left) > 0 {
		t.Errorf("left of %v: %v", pids, left)
	}
	if left := living(other); len(left) != familySize {
		t.Errorf("left of the container's: got %v, want %v", left, other)
	}
	killAll(t, m, fresh(actions.Handle{Kind: actions.HandleCgroup, Path: theirs}))
}

// freeze puts a process into a state in which it cannot die.
func freeze(t *testing.T, pid int) (thaw func()) {
	t.Helper()
	dir := filepath.Join("/sys/fs/cgroup/freezer", fmt.Sprintf("holter-test-%d", rand.Uint32()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip(testbed.LeftOut, "a process that cannot die needs the freezer of cgroups v1: "+err.Error())
	}
	set := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	thaw = func() { set("freezer.state", "THAWED") }
	t.Cleanup(func() {
		thaw()
		_ = unix.Kill(pid, unix.SIGKILL)
		await(t, "remove "+dir, func() bool { return os.Remove(dir) == nil })
	})
	set("cgroup.procs", strconv.Itoa(pid))
	set("freezer.state", "FROZEN")
	await(t, "freeze", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return err == nil && strings.TrimSpace(string(b)) == "FROZEN"
	})
	return thaw
}

// A process that the kernel does not let go of is not gone, whatever it was sent: nor if all that told whose it is has ended.
func TestAProcessThatCannotDieIsNotGone(t *testing.T) {
	for _, c := range []struct {
		name, script string
		stuck        int // index of its pid
		handle       bool
	}{
		{"by its handle", `echo $$; echo $$; exec sleep 1000`, 0, true},
		{"by its token", `echo $$; echo $$; exec sleep 1000`, 0, false},
		{"left of a session", `echo $$; env -i sh -c 'echo $$; exec /bin/sleep 1000' & wait`, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, charge := onMachine(t), fresh()
			pids := spawn(t, c.script, 2, tokenOf(charge))
			if c.handle {
				charge.Token = 0
				charge.Handles = []actions.Handle{{Kind: actions.HandleSession, PID: pids[0], StartTicks: ticks(t, pids[0])}}
			}
			thaw := freeze(t, pids[c.stuck])
			for range 3 {
				kill(t, m, charge)
				await(t, "the others die", func() bool { return c.stuck == 0 || !lives(pids[0]) })
				wantGone(t, m, charge, false)
			}
			thaw()
			killAll(t, m, charge)
			if left := living(pids); len(left) > 0 {
				t.Errorf("left of %v: %v", pids, left)
			}
		})
	}
}

func BenchmarkLook(b *testing.B) {
	m, err := guard.NewMachine(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	c := fresh()
	for b.Loop() {
		if gone, err := m.Gone(c); !gone || err != nil {
			b.Fatal(gone, err)
		}
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	b.ReportMetric(float64(len(all)), "processes")
	if err != nil {
		b.Fatal(err)
	}
}
