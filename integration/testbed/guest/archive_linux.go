package guest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// archive writes the format from which the kernel fills its first root: cpio, "newc". An error stays until the end.
type archive struct {
	w    *bufio.Writer
	dirs map[string]bool
	n    int // entries
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriter(w), dirs: map[string]bool{"/": true}}
}

// dir adds a directory and those above it, unless they are there.
func (a *archive) dir(name string) {
	if a.dirs[name] {
		return
	}
	a.dirs[name] = true
	a.entry(entry{name: name, mode: unix.S_IFDIR | 0o755})
}

func (a *archive) file(name string, perm os.FileMode, content []byte) {
	a.entry(entry{name: name, mode: unix.S_IFREG | uint32(perm), content: content})
}

func (a *archive) device(name string, major, minor uint32) {
	a.entry(entry{name: name, mode: unix.S_IFCHR | 0o600, major: major, minor: minor})
}

func (a *archive) end() error {
	a.put(entry{name: "TRAILER!!!"})
	return a.w.Flush()
}

type entry struct {
	name         string
	mode         uint32
	major, minor uint32
	content      []byte
}

func (a *archive) entry(e entry) {
	a.dir(path.Dir(e.name))
	e.name = strings.TrimPrefix(e.name, "/")
	a.put(e)
}

func (a *archive) put(e entry) {
	a.n++
	// Inode, mode, uid, gid, links, mtime, size, device, device of the node, length of the name, checksum.
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.n, e.mode, 0, 0, 1, 0, len(e.content), 0, 0, e.major, e.minor, len(e.name)+1, 0)
	a.padded([]byte(header+e.name+"\x00"), 4)
	a.padded(e.content, 4)
}

// padded writes bytes and zeros up to a multiple of to.
func (a *archive) padded(b []byte, to int) {
	_, _ = a.w.Write(b) // the writer keeps its error for Flush
	_, _ = a.w.Write(make([]byte, (to-len(b)%to)%to))
}
