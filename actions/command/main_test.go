//go:build linux

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// In the environment, agentDir makes the test binary an agent that starts the workload app of the state directory and exits,
// and serve a workload that takes a moment to stop.
const (
	agentDir = "HOLTER_TEST_AGENT_DIR"
	serve    = "HOLTER_TEST_SERVE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentDir); dir != "" {
		os.Exit(agentMain(dir))
	}
	if os.Getenv(serve) != "" {
		told := make(chan os.Signal, 1)
		signal.Notify(told, unix.SIGTERM)
		<-told
		<-time.After(50 * time.Millisecond)
		os.Exit(0)
	}
	code := m.Run()
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		fmt.Fprintln(os.Stderr, "the tests left child processes behind")
		code = max(code, 1)
	}
	os.Exit(code)
}

func agentMain(dir string) int {
	d, err := New(Options{Dir: dir, Commands: map[string]Command{"app": {Run: os.Args[1:]}}})
	if err == nil {
		err = d.Do(context.Background(), actions.Action{Verb: actions.Start, Target: app})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
