package record_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

// lifeEnv makes this test's own program a workload: its value is the record, the token and the host.
const lifeEnv = "HOLTER_TEST_LIFE"

func TestMain(m *testing.M) {
	if text := os.Getenv(lifeEnv); text != "" {
		live(text)
		return
	}
	os.Exit(m.Run())
}

// live is a life that says when it has begun, and ends when its standard input does.
func live(text string) {
	var dir string
	id := record.ID{Workload: "db"}
	if _, err := fmt.Sscan(text, &dir, &id.Token, &id.Host); err != nil {
		panic(err)
	}
	life, err := record.Begin(dir, id)
	if err != nil {
		panic(err)
	}
	fmt.Println("begun")
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	if err := life.Stop(); err != nil {
		panic(err)
	}
}

// begin starts a life and waits until it has begun.
func begin(t *testing.T, dir string, token int, host string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", lifeEnv, dir, token, host))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// judge is what the judge says, without the times.
func judge(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := record.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range record.Judge(lines) {
		said = append(said, fmt.Sprintf("%s: %s %d, %s %d", f.What, f.First.Host, f.First.Token, f.Second.Host, f.Second.Token))
		for _, want := range []string{f.First.Host, f.Second.Host, f.First.Since.String(), f.Second.Since.String(), f.At.String(), fmt.Sprint("token ", f.Second.Token)} {
			if text := record.Report([]record.Fault{f}); !strings.Contains(text, want) {
				t.Errorf("report %q does not say %s", text, want)
			}
		}
	}
	return said
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(t *testing.T, dir string)
		want []string
	}{
		{"one after the other", func(t *testing.T, dir string) {
			kill(begin(t, dir, 3, "a"))
			kill(begin(t, dir, 4, "b"))
			begin(t, dir, 4, "b")
		}, nil},
		{"two at once", func(t *testing.T, dir string) {
			begin(t, dir, 3, "a")
			begin(t, dir, 4, "b")
		}, []string{"ran twice: a 3, b 4"}},
		{"two at once on one host", func(t *testing.T, dir string) {
			begin(t, dir, 3, "a")
			begin(t, dir, 3, "a")
		}, []string{"ran twice: a 3, a 3"}},
		{"the first one is frozen, and killed before anybody looks", func(t *testing.T, dir string) {
			first := begin(t, dir, 3, "a")
			if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			begin(t, dir, 4, "b")
			kill(first)
		}, []string{"ran twice: a 3, b 4"}},
		{"an older token", func(t *testing.T, dir string) {
			kill(begin(t, dir, 4, "b"))
			kill(begin(t, dir, 3, "a"))
		}, []string{"began with an older token: b 4, a 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.play(t, dir)
			if diff := cmp.Diff(judge(t, dir), c.want); diff != "" {
				t.Errorf("faults (-got +want):\n%s", diff)
			}
		})
	}
}

func TestEachOverlapIsToldOnce(t *testing.T) {
	a := record.ID{Workload: "db", Token: 3, Host: "a", Since: 10}
	b := record.ID{Workload: "db", Token: 4, Host: "b", Since: 11}
	got := record.Judge([]record.Line{
		{At: 10, What: record.Started, ID: a},
		{At: 11, What: record.Started, ID: b},
		{At: 12, What: record.Seen, ID: a, Other: b},
		{At: 13, What: record.Seen, ID: b, Other: a},
	})
	want := []record.Fault{{What: record.Overlap, First: a, Second: b, At: 12}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("faults (-got +want):\n%s", diff)
	}
}

func TestLives(t *testing.T) {
	dir := t.TempDir()
	hosts := func() []string {
		t.Helper()
		lives, err := record.Lives(dir)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, id := range lives {
			hosts = append(hosts, id.Host)
		}
		return hosts
	}
	if got := hosts(); got != nil {
		t.Errorf("before anything has run live %v", got)
	}
	kill(begin(t, dir, 3, "a"))
	begin(t, dir, 4, "b")
	if diff := cmp.Diff(hosts(), []string{"b"}); diff != "" {
		t.Errorf("lives (-got +want):\n%s", diff)
	}
}

func TestALifeIsWrittenInOrder(t *testing.T) {
	dir := t.TempDir()
	life, err := record.Begin(dir, record.ID{Workload: "db", Token: 3, Host: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := life.Stop(); err != nil {
		t.Error(err)
	}
	if err := life.Close(); err != nil {
		t.Error(err)
	}
	lines, err := record.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, fmt.Sprint(l.What, " ", l.ID.Workload, " ", l.ID.Token, " ", l.ID.Host, " ", l.At >= l.ID.Since && l.ID.Since > 0))
	}
	if diff := cmp.Diff(got, []string{"started db 3 a true", "stopped db 3 a true"}); diff != "" {
		t.Errorf("lines (-got +want):\n%s", diff)
	}
}
