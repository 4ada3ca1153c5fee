package guard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// magicClose written to a watchdog stops it.
const magicClose = "V"

var errSeconds = errors.New("it counts in whole seconds, at least one")

// device is a watchdog as Linux shows it: docs.kernel.org, "The Linux Watchdog driver API".
type device struct {
	file      *os.File
	stoppable bool
}

// OpenDevice opens a watchdog, which thereby begins to count. It has one opener at a time: systemd's RuntimeWatchdogSec must
// be off.
func OpenDevice(path string) (Device, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("%s is not a watchdog, but a file", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w; is its driver loaded, and RuntimeWatchdogSec= of systemd off?", err)
	}
	d := &device{file: f, stoppable: stoppable(path)}
	// What is no watchdog would be petted in vain.
	if _, err := unix.IoctlGetUint32(int(f.Fd()), unix.WDIOC_GETTIMEOUT); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not tell a watchdog's timeout: %w", path, err), d.Stop())
	}
	return d, nil
}

// stoppable asks the kernel whether a watchdog may be stopped; by its documentation most may.
func stoppable(path string) bool {
	name := filepath.Base(path)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		name = filepath.Base(target)
	}
	if name == "watchdog" { // the old name of the first one
		name = "watchdog0"
	}
	b, err := os.ReadFile(filepath.Join("/sys/class/watchdog", name, "nowayout"))
	return err != nil || strings.TrimSpace(string(b)) == "0"
}

// SetTimeout sets whole seconds, and reads back what the device made of them.
func (d *device) SetTimeout(timeout time.Duration) (time.Duration, error) {
	fd := int(d.file.Fd())
	seconds := int(timeout / time.Second)
	if seconds < 1 {
		return 0, errSeconds
	}
	refused := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, seconds)
	took, err := unix.IoctlGetUint32(fd, unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return 0, err
	}
	actual := time.Duration(took) * time.Second
	if refused != nil && actual > timeout {
		return actual, refused
	}
	return actual, nil
}

func (d *device) Pet() error {
	_, err := d.file.Write([]byte{0})
	return err
}

func (d *device) Stoppable() bool { return d.stoppable }

func (d *device) Stop() error {
	if _, err := d.file.WriteString(magicClose); err != nil {
		return err
	}
	return d.file.Close()
}

func (d *device) Leave() error { return d.file.Close() }
