package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startedLimit bounds the whole way of docs/getting-started.md.
const startedLimit = 4 * time.Minute

var fenced = regexp.MustCompile("(?s)```(sh|text)\n(.*?)```")

// TestGettingStarted runs docs/getting-started.md as it is written: each sh block in the same shell, in an empty directory, and
// what it prints must hold the lines of the text block below it, in their order. Only the addresses are others, for no two tests
// may have the same.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "127.20.0.", freeBlock(t)+".0.")
	dir, blocks := t.TempDir(), fenced.FindAllStringSubmatch(text, -1)
	shell := newShell(t, dir)
	ran := 0
	for i, block := range blocks {
		if block[1] != "sh" {
			continue
		}
		ran++
		said := shell.run(block[2])
		if i+1 < len(blocks) && blocks[i+1][1] == "text" {
			if missing := absent(said, blocks[i+1][2]); missing != "" {
				t.Fatalf("after\n%s\nthe line\n%s\nis not in its place in\n%s", block[2], missing, said)
			}
		}
	}
	if ran < 8 {
		t.Errorf("%d blocks were run: the page has lost some", ran)
	}
}

// shell is one bash that runs block after block.
type shell struct {
	t   *testing.T
	dir string
	in  *os.File
	out *os.File
	n   int
}

// newShell starts a bash in a directory, with the program in its PATH. All that it starts dies with the test.
func newShell(t *testing.T, dir string) *shell {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(programs.Holter(t), filepath.Join(bin, "holter")); err != nil {
		t.Fatal(err)
	}
	childIn, in := pipe(t)
	out, childOut := pipe(t)
	ctx, cancel := context.WithTimeout(context.Background(), startedLimit)
	cmd := exec.CommandContext(ctx, "bash", "-u")
	cmd.Dir, cmd.Stdin, cmd.ExtraFiles = dir, childIn, []*os.File{childOut}
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOLTER_TEST="+dir+" ")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = childIn.Close(), childOut.Close()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		cancel()
		(&processes{t: t, dir: dir}).killWorkloads("")
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
			more, _ := filepath.Glob(filepath.Join(dir, "*", "*.log"))
			for _, path := range append(logs, more...) {
				log, _ := os.ReadFile(path)
				t.Logf("--- %s\n%s", path, log[max(0, len(log)-4000):])
			}
		}
	})
	return &shell{t: t, dir: dir, in: in, out: out}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// run runs a block and returns what it has printed. Every command of it must succeed.
func (s *shell) run(block string) string {
	s.t.Helper()
	s.n++
	path := filepath.Join(s.t.TempDir(), "block")
	if err := os.WriteFile(path, []byte("set -e\n"+block+"set +e\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	// What goes on in the background keeps the file open, not the pipe that tells the end.
	if _, err := fmt.Fprintf(s.in, ". %s > %s.out 2>&1 3>&-; echo %d >&3\n", path, path, s.n); err != nil {
		s.t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, err := s.out.Read(answer)
	said, readErr := os.ReadFile(path + ".out")
	if err != nil || readErr != nil || string(bytes.TrimSpace(answer[:n])) != fmt.Sprint(s.n) {
		s.t.Fatalf("a command of this block failed: %v %v\n%s\n%s", err, readErr, block, said)
	}
	return string(said)
}

// absent is the first line of a page that is not in a text after the line before it, empty if all are. … stands for anything,
// and any white space for any other.
func absent(said, page string) string {
	lines := strings.Split(said, "\n")
	for want := range strings.Lines(page) {
		words := strings.Fields(regexp.QuoteMeta(want))
		if len(words) == 0 {
			continue
		}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(strings.Join(words, `\s+`), "…", ".*") + "$")
		for ; len(lines) > 0 && !pattern.MatchString(strings.TrimSpace(lines[0])); lines = lines[1:] {
		}
		if len(lines) == 0 {
			return want
		}
		lines = lines[1:]
	}
	return ""
}

// TestAbsent: a test that reads a page must be able to fail.
func TestAbsent(t *testing.T) {
	for _, test := range []struct{ said, page, want string }{
		{"a  1\nb\nc", "a …\nc\n", ""},
		{"b\na", "a\nb\n", "b\n"},
		{"took 3 s", "took 4 s\n", "took 4 s\n"},
	} {
		if got := absent(test.said, test.page); got != test.want {
			t.Errorf("absent(%q, %q): got %q, want %q", test.said, test.page, got, test.want)
		}
	}
}
