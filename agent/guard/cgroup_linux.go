package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// kindSystemd is the kind of the workloads that have a cgroup of a known name.
const kindSystemd = "systemd"

// errNotCgroup says that a path is at no cgroup v2, so that it tells nothing, whether it is there or not.
var errNotCgroup = errors.New("not a cgroup v2 below the root")

// checkCgroup refuses what is not, or was not, a directory in a cgroup v2 file system below its root.
func checkCgroup(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir {
		return fmt.Errorf("%q: %w", dir, errNotCgroup)
	}
	for at := dir; ; at = filepath.Dir(at) {
		var st unix.Statfs_t
		err := unix.Statfs(at, &st)
		switch {
		case errors.Is(err, unix.ENOENT) && at != "/":
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", at, err)
		case st.Type != unix.CGROUP2_SUPER_MAGIC:
			return fmt.Errorf("%s: %w", dir, errNotCgroup)
		case at != dir: // it is gone
			return nil
		case !exists(filepath.Join(dir, "cgroup.events")) && exists(dir): // only the root has no such file
			return fmt.Errorf("%s: %w", dir, errNotCgroup)
		}
		return nil
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// killCgroup kills all that is in a cgroup and below. One that is not there holds nothing.
func killCgroup(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "cgroup.kill"), os.O_WRONLY, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is gone, or Linux is older than 5.14
		err = killEach(dir)
	case err == nil:
		_, err = f.WriteString("1")
		err = ignoreEmptied(errors.Join(err, f.Close()))
	}
	if err != nil {
		return fmt.Errorf("kill the cgroup %s: %w", dir, err)
	}
	return nil
}

// killEach kills the processes of a cgroup and of those below one by one; what they fork meanwhile is killed by the next round.
func killEach(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return ignoreEmptied(err)
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return ignoreEmptied(err)
		}
		for f := range strings.FieldsSeq(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return fmt.Errorf("read the processes of %s: %w", path, err)
			}
			p, err := look(pid)
			if err == nil {
				err = p.kill()
			}
			if err != nil && !errors.Is(err, errGone) {
				return err
			}
		}
		return nil
	})
}

// ignoreEmptied takes a cgroup that was removed for an empty one.
func ignoreEmptied(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// populated reports whether a process lives in a cgroup or below it.
func populated(dir string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return false, ignoreEmptied(err)
	}
	return bytes.Contains(b, []byte("populated 1")), nil
}

// unitCgroups finds the cgroups of a systemd unit without asking systemd. The units of a machine are in slices, and slices in
// slices; those of its containers, and of its users, may have the same names and are elsewhere.
func unitCgroups(t actions.Target) ([]string, error) {
	if t.Kind != kindSystemd || t.Unit == "" || strings.Contains(t.Unit, "/") {
		return nil, nil
	}
	roots, err := managerRoots()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || !e.IsDir():
				return ignoreEmptied(err)
			case path == root || strings.HasSuffix(e.Name(), ".slice") && e.Name() != t.Unit:
				return nil
			case e.Name() == t.Unit || e.Name() == "_"+t.Unit: // escaped where the kernel could take it for a file of its own
				found = append(found, path)
			}
			return filepath.SkipDir
		})
		if err != nil {
			return nil, fmt.Errorf("look for the cgroup of %s: %w", t.Unit, err)
		}
	}
	return found, nil
}

// managerRoots are the directories below which the machine's systemd keeps its units: where cgroups v2 are mounted, and
// below that where pid 1 is, if that is seen from outside of its namespace.
func managerRoots() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	first, err := os.ReadFile("/proc/1/cgroup")
	if err != nil {
		return nil, err
	}
	below := ""
	for line := range strings.Lines(string(first)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			below = strings.TrimSuffix(path, "/init.scope")
		}
	}
	var roots []string
	for line := range strings.Lines(string(mounts)) {
		// 36 35 98:0 /root /mount/point options … - type source options
		f := strings.Fields(line)
		before, after, ok := strings.Cut(line, " - ")
		if !ok || len(f) < 5 || !strings.HasPrefix(after, "cgroup2 ") || strings.Contains(before, "\\") {
			continue
		}
		roots = append(roots, f[4])
		if dir := filepath.Join(f[4], below); dir != f[4] && exists(dir) {
			roots = append(roots, dir)
		}
	}
	return roots, nil
}
