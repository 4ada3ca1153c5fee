package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelPackage depends on Debian's present generic kernel. The smaller one for clouds has no driver for the i6300esb.
const kernelPackage = "linux-image-amd64"

// modules are what a guest needs of the kernel, beside what they need themselves.
var modules = []string{"virtio_pci", "virtio_net", "virtio_blk", "crc32c_generic", "ext4", "i6300esb"}

// kernel is a folder of the user's cache with a kernel in it. It has a name of its own for each list of modules and is
// there whole or not at all.
type kernel struct{ dir string }

// findKernel says where the kernel is, or is to be.
func findKernel() (kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return kernel{}, err
	}
	sum := sha256.Sum256([]byte(strings.Join(modules, " ")))
	return kernel{filepath.Join(cache, "holter-testbed", fmt.Sprintf("kernel-%x", sum[:4]))}, nil
}

// path is an ELF file, not the compressed image: to unpack that would take the guest seconds.
func (k kernel) path() string { return filepath.Join(k.dir, "vmlinux") }

func (k kernel) moduleDir() string { return filepath.Join(k.dir, "modules") }

func (k kernel) exists() bool {
	_, err := os.Stat(k.dir)
	return err == nil
}

// fetch downloads the kernel unless it is there. Of several processes one does it, the others wait.
func (k kernel) fetch(ctx context.Context) error {
	above := filepath.Dir(k.dir)
	if err := os.MkdirAll(above, 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(above, "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if k.exists() {
		return nil
	}
	work, err := os.MkdirTemp(above, "fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	made := kernel{filepath.Join(work, "made")}
	if err := os.MkdirAll(made.moduleDir(), 0o755); err != nil {
		return err
	}
	if err := made.unpack(ctx, work); err != nil {
		return err
	}
	return os.Rename(made.dir, k.dir)
}

// unpack downloads the package and takes out of it what a guest needs.
func (k kernel) unpack(ctx context.Context, work string) error {
	name, err := newestKernel(ctx)
	if err != nil {
		return err
	}
	// Debian's apt would rather download as a user of its own, who may not write here.
	if err := run(ctx, work, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("download %s: got the files %q, want one", name, debs)
	}
	if err := run(ctx, work, "dpkg-deb", "-x", debs[0], "deb"); err != nil {
		return err
	}
	images, err := filepath.Glob(filepath.Join(work, "deb/boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("unpack %s: got the kernels %q, want one", name, images)
	}
	if err := extract(ctx, images[0], k.path()); err != nil {
		return fmt.Errorf("extract the kernel of %s: %w", name, err)
	}
	return copyModules(filepath.Join(work, "deb/lib/modules"), k.moduleDir())
}

// newestKernel is the package of the kernel itself, whose name changes with each of Debian's updates.
func newestKernel(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", kernelPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", kernelPackage, err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", fmt.Errorf("apt knows no kernel that %s depends on; apt-get update may help", kernelPackage)
}

// extract takes the ELF file out of a compressed kernel image.
func extract(ctx context.Context, image, to string) error {
	b, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	at := bytes.Index(b, []byte("\xfd7zXZ\x00"))
	if at < 0 {
		return fmt.Errorf("%s holds no xz stream", filepath.Base(image))
	}
	cmd := exec.CommandContext(ctx, "xz", "-dc", "--single-stream")
	cmd.Stdin = bytes.NewReader(b[at:])
	vmlinux, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("xz: %w", err)
	}
	return os.WriteFile(to, vmlinux, 0o644)
}

// copyModules copies the modules and what they need, named so that a sorted listing is the order in which to load them.
func copyModules(from, to string) error {
	files := map[string]string{}
	err := filepath.WalkDir(from, func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			files[moduleName(name)] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		if slices.Contains(order, name) {
			return nil
		}
		needed, err := needs(files[name])
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		for _, n := range needed {
			if err := add(n); err != nil {
				return err
			}
		}
		b, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		order = append(order, name)
		return os.WriteFile(filepath.Join(to, fmt.Sprintf("%02d-%s.ko", len(order), name)), b, 0o644)
	}
	for _, name := range modules {
		if err := add(name); err != nil {
			return err
		}
	}
	return nil
}

// needs are the modules that a module says it depends on.
func needs(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s says nothing of itself", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(moduleName(list), ","), nil
		}
	}
	return nil, nil
}

// moduleName spells a module as the kernel does, whatever its file is called.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
