package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/integration/testbed/guest/control"
)

// fetchLimit bounds the download of the kernel (70 MB) and its unpacking.
const fetchLimit = 5 * time.Minute

const initPackage = "github.com/holter-ha/holter/integration/testbed/guest/init"

// Image is what a guest boots: a kernel, and the files of its root, which are in memory and begin anew at each boot.
type Image struct {
	kernel kernel
	files  map[string]string // path in the guest → path on this machine
}

// Require skips the test unless this machine can run a guest, or fetch what it needs for that.
func Require(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(qemu); err != nil {
		t.Skip(testbed.LeftOut, "a guest needs", qemu, "(package qemu-system-x86)")
	}
	if _, err := exec.LookPath(mkfs); err != nil {
		t.Skip(testbed.LeftOut, "a guest needs", mkfs, "(package e2fsprogs)")
	}
	k, err := findKernel()
	if err != nil {
		t.Skip(testbed.LeftOut, "a guest needs a cache folder for its kernel:", err)
	}
	if k.exists() {
		return
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb", "xz"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(testbed.LeftOut, "a guest needs", program, "to get its kernel from Debian (packages apt, dpkg, xz-utils)")
		}
	}
	if _, err := newestKernel(t.Context()); err != nil {
		t.Skip(testbed.LeftOut, "a guest needs a kernel:", err)
	}
}

// Build makes an image with some files of this machine's, given as path in the guest → path here. It calls Require first.
func Build(t testing.TB, files map[string]string) Image {
	t.Helper()
	Require(t)
	k, err := findKernel()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), fetchLimit)
	defer cancel()
	if err := k.fetch(ctx); err != nil {
		t.Fatalf("fetch the kernel of guests: %v", err)
	}
	all := map[string]string{"/init": Program(t, initPackage)}
	loaded, err := os.ReadDir(k.moduleDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range loaded {
		all[path.Join(control.ModuleDir, m.Name())] = filepath.Join(k.moduleDir(), m.Name())
	}
	maps.Copy(all, files)
	return Image{kernel: k, files: all}
}

// Program builds a program of this module's so that it runs in a guest, and says where it is.
func Program(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), path.Base(pkg))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", pkg, err, b)
	}
	return out
}

// write writes the image with its configuration as an initrd.
func (i Image) write(to string, c control.Config) error {
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	a := newArchive(f)
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", control.Data} {
		a.dir(dir)
	}
	a.device("/dev/console", 5, 1) // the kernel opens it for the init
	a.file(control.ConfigFile, 0o644, config)
	for _, name := range slices.Sorted(maps.Keys(i.files)) {
		b, mode, err := read(i.files[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.file(name, mode, b)
	}
	return a.end()
}

func read(file string) ([]byte, os.FileMode, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, 0, err
	}
	b, err := os.ReadFile(file)
	return b, info.Mode().Perm(), err
}
