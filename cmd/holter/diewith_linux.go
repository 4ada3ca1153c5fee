package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// dieWithEnv names a process that this one must not outlive. The demo sets it for its children, so that nothing is left
// behind however the demo ends.
const dieWithEnv = "HOLTER_DIE_WITH"

// dieWith ends this process at once when the process named in the environment ends, or has ended already.
func dieWith() {
	text := os.Getenv(dieWithEnv)
	if text == "" {
		return
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "holter: %s is %q, not a process\n", dieWithEnv, text)
		os.Exit(1)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		os.Exit(1) // it is gone
	}
	go func() {
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) //nolint:gosec // a file descriptor is an int32
			if err != unix.EINTR {
				os.Exit(1)
			}
		}
	}()
}
