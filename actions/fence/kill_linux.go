package fence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

const (
	// killLimit bounds how long what was killed may take to be gone, killPoll is the time between two looks.
	killLimit = 2 * time.Second
	killPoll  = 2 * time.Millisecond
)

// separate gives a process a session of its own, hence a process group, and no terminal to ask anything on.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// killGroup ends a process group whose first process was not waited for yet.
func killGroup(group int) error {
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", group, err)
	}
	return nil
}

// killMarked ends every process that has the mark in its environment, wherever it has gone: agents start ssh and telnet in
// sessions of their own.
func killMarked(mark string) error {
	for end := time.Now().Add(killLimit); ; time.Sleep(killPoll) {
		found, err := killOnce([]byte(mark))
		if err != nil || len(found) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v were killed but are not gone after %v", found, killLimit)
		}
	}
}

// killOnce kills each process that has the mark and returns which there were.
func killOnce(mark []byte) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		// Held before it is looked at, so that another process cannot get its pid in between.
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		// What has ended has no environment any more, and what is another user's is not the agent's.
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && hasEntry(env, mark) {
			found = append(found, pid)
			err = p.Signal(syscall.SIGKILL)
		} else {
			err = nil
		}
		if err := errors.Join(err, p.Release()); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return found, fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return found, nil
}

func hasEntry(env, entry []byte) bool {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, entry) {
			return true
		}
	}
	return false
}
