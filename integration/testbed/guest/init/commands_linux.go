package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
)

// restartAfter is how long a command that is to run stays away after it ended.
const restartAfter = time.Second

// commands are the programs that run from boot on.
type commands struct {
	mu      sync.Mutex
	running map[string]*os.Process
}

func startCommands(list []control.Command) *commands {
	c := &commands{running: map[string]*os.Process{}}
	for _, command := range list {
		go c.supervise(command)
	}
	return c
}

// supervise runs a command, again and again if it is to be restarted, and tells the console when it starts and ends.
func (c *commands) supervise(command control.Command) {
	for {
		err := c.once(command)
		fmt.Printf("%s: ended: %v\n", command.Name, err)
		if !command.Restart {
			return
		}
		time.Sleep(restartAfter)
	}
}

func (c *commands) once(command control.Command) error {
	cmd := exec.Command(command.Argv[0], command.Argv[1:]...)
	cmd.Env = append([]string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/tmp"}, command.Env...)
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = c.start(command.Name, cmd)
	_ = in.Close()
	go speak(command.Name, out)
	if err != nil {
		return err
	}
	err = cmd.Wait()
	c.forget(command.Name)
	return err
}

func (c *commands) start(name string, cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.running[name] = cmd.Process
	return nil
}

func (c *commands) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, name)
}

// signal sends a signal, named without its SIG, to a command.
func (c *commands) signal(signal, name string) error {
	number := unix.SignalNum("SIG" + signal)
	if number == 0 {
		return fmt.Errorf("there is no signal %s", signal)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	process := c.running[name]
	if process == nil {
		return fmt.Errorf("no command %s runs", name)
	}
	return process.Signal(number)
}

// speak writes lines to the console, a name before each, until the last writer has gone.
func speak(name string, from io.ReadCloser) {
	defer func() { _ = from.Close() }()
	for r := bufio.NewReader(from); ; {
		line, err := r.ReadString('\n')
		if line != "" {
			fmt.Printf("%s: %s\n", name, strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}
