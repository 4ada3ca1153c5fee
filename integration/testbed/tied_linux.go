package testbed

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a process that dies with this one, however this one dies. The channel is closed when it has ended and was
// waited for.
func startTied(cmd *exec.Cmd) (<-chan struct{}, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	died := make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(died)
		// Pdeathsig is sent when the thread ends that started the child, so this one stays with it.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed; how it ended says nothing
		}
	}()
	return died, <-started
}
