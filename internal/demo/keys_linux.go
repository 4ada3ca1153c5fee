package demo

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// keyboard reads single keys of a terminal, without echo. Ctrl-C stays a signal and lines still end as they did: only what
// makes a terminal wait for Enter is turned off.
type keyboard struct {
	tty    *os.File
	before unix.Termios
	keys   chan byte     // closed when the terminal is gone
	done   chan struct{} // closed to end the reading
	stop   *os.File      // closing it wakes the reader, which waits for it and the terminal
	wake   *os.File
	reader sync.WaitGroup
}

func openKeyboard(tty *os.File) (*keyboard, error) {
	now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("look at the terminal: %w", err)
	}
	wake, stop, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	single := *now
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &single); err != nil {
		return nil, errors.Join(fmt.Errorf("read single keys: %w", err), wake.Close(), stop.Close())
	}
	k := &keyboard{tty: tty, before: *now, keys: make(chan byte), done: make(chan struct{}), stop: stop, wake: wake}
	k.reader.Go(k.read)
	return k, nil
}

// read hands keys over until the keyboard is closed.
func (k *keyboard) read() {
	defer close(k.keys)
	key := make([]byte, 1)
	for {
		//nolint:gosec // a file descriptor is an int32
		ready := []unix.PollFd{{Fd: int32(k.tty.Fd()), Events: unix.POLLIN}, {Fd: int32(k.wake.Fd()), Events: unix.POLLIN}}
		switch _, err := unix.Poll(ready, -1); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || ready[1].Revents != 0:
			return
		}
		if n, err := unix.Read(int(k.tty.Fd()), key); n != 1 || err != nil {
			return
		}
		select {
		case k.keys <- key[0]:
		case <-k.done:
			return
		}
	}
}

// close gives the terminal back as it was.
func (k *keyboard) close() {
	_ = unix.IoctlSetTermios(int(k.tty.Fd()), unix.TCSETS, &k.before) // the terminal may be gone
	close(k.done)
	_ = k.stop.Close()
	k.reader.Wait()
	_ = k.wake.Close()
}
