package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
)

const (
	runLimit = 50 * time.Second // for a program; the test waits longer
	outLimit = 1 << 20          // bytes of an answer, its newest
)

// answer says that the guest is up and executes lines as they come.
func answer(boot string, c *commands) error {
	port, err := openPort()
	if err != nil {
		return err
	}
	defer func() { _ = port.Close() }()
	a := &answers{boot: boot, port: port}
	// What a reset cut off in the middle of a line ends here.
	if _, err := port.WriteString("\n"); err != nil {
		return err
	}
	a.send(control.Reply{Boot: boot})
	fmt.Println("init: up")
	for r := bufio.NewReader(port); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("read %s: %w", control.Port, err)
		}
		var request control.Request
		if json.Unmarshal(line, &request) == nil && request.Boot == boot {
			go a.execute(request, c)
		}
	}
}

// openPort opens the serial port as a plain line of bytes.
func openPort() (*os.File, error) {
	port, err := os.OpenFile(control.Port, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	raw := &unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200}
	raw.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, raw); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", control.Port, err), port.Close())
	}
	return port, nil
}

type answers struct {
	boot string
	mu   sync.Mutex // one answer at a time
	port *os.File
}

func (a *answers) send(r control.Reply) {
	b, err := json.Marshal(r)
	if err != nil {
		b = nil // a reply of strings and a number has no such error
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.port.Write(append(b, '\n')); err != nil {
		fmt.Println("init: answer:", err)
	}
}

func (a *answers) execute(request control.Request, c *commands) {
	reply := control.Reply{ID: request.ID, Boot: a.boot}
	out, err := do(strings.Fields(request.Line), c)
	if err != nil {
		reply.Err = err.Error()
	}
	reply.Out = out[max(0, len(out)-outLimit):]
	a.send(reply)
}

func do(words []string, c *commands) (string, error) {
	switch {
	case len(words) == 2 && words[0] == "cat":
		b, err := os.ReadFile(words[1])
		return string(b), err
	case len(words) == 1 && words[0] == "ps":
		return processes()
	case len(words) == 3 && words[0] == "signal":
		return "", c.signal(words[1], words[2])
	case len(words) > 1 && words[0] == "run":
		ctx, cancel := context.WithTimeout(context.Background(), runLimit)
		defer cancel()
		b, err := exec.CommandContext(ctx, words[1], words[2:]...).CombinedOutput()
		return string(b), err
	}
	return "", errors.New("the guest's init knows: cat PATH, ps, signal NAME COMMAND, run ARGV")
}

// processes lists those that have an argument vector, which those of the kernel have not.
func processes() (string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return "", err
	}
	var list strings.Builder
	for _, file := range files {
		argv, err := os.ReadFile(file)
		stat, err2 := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if err != nil || err2 != nil || len(argv) == 0 {
			continue // it has ended meanwhile
		}
		// PID (NAME) STATE …, where a name may hold anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		state, _, _ := strings.Cut(rest, " ")
		words := strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")
		fmt.Fprintf(&list, "%s %s %s\n", filepath.Base(filepath.Dir(file)), state, strings.Join(words, " "))
	}
	return list.String(), nil
}
