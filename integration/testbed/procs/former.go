package procs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// errNoHistory means that a commit cannot be had here.
var errNoHistory = errors.New("the history of this repository is needed, with git: git fetch --unshallow")

// Former builds the program of a former commit, once.
type Former struct {
	Commit string

	once sync.Once
	dir  string
	err  error
}

// Holter is the path of the program. Without git, or in a clone without the commit, the second value says what is missing.
func (f *Former) Holter(t testing.TB) (program, missing string) {
	t.Helper()
	f.once.Do(func() { f.err = f.build() })
	if errors.Is(f.err, errNoHistory) {
		return "", f.err.Error()
	}
	if f.err != nil {
		t.Fatal(f.err)
	}
	return filepath.Join(f.dir, "holter"), ""
}

func (f *Former) build() (err error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return errNoHistory
	}
	git := func(args ...string) *exec.Cmd {
		cmd := exec.Command("git", args...)
		cmd.Dir = string(root[:len(root)-1])
		return cmd
	}
	if git("cat-file", "-e", f.Commit+"^{commit}").Run() != nil {
		return errNoHistory
	}
	if f.dir, err = os.MkdirTemp("", "holter-former-"); err != nil {
		return err
	}
	source, tar := filepath.Join(f.dir, "source"), filepath.Join(f.dir, "source.tar")
	build := exec.Command("go", "build", fmt.Sprintf("-race=%t", raceDetector), "-o", f.dir, "./cmd/holter")
	build.Dir = source
	for _, cmd := range []*exec.Cmd{
		git("archive", "-o", tar, f.Commit), exec.Command("mkdir", source), exec.Command("tar", "-xf", tar, "-C", source), build,
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the program of commit %s: %v: %w\n%s", f.Commit, cmd.Args, err, out)
		}
	}
	return os.RemoveAll(source)
}

// Remove removes what was built, after all tests.
func (f *Former) Remove() {
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}
