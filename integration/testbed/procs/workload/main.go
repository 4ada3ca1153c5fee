// Workload is what the workloads of tests with real processes are: a process that does nothing but to record its own life,
// until SIGTERM.
//
//	workload DIR NAME
//
// DIR is the record; the host and the token are those that Holter passes in the environment.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
}

func run() error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	if len(os.Args) != 3 {
		return fmt.Errorf("got %d arguments, want a directory and a name", len(os.Args)-1)
	}
	token, err := strconv.ParseUint(os.Getenv("HOLTER_TOKEN"), 10, 64)
	if err != nil {
		return fmt.Errorf("read HOLTER_TOKEN: %w", err)
	}
	life, err := record.Begin(os.Args[1], record.ID{Workload: os.Args[2], Token: token, Host: os.Getenv("HOLTER_HOST")})
	if err != nil {
		return err
	}
	<-asked
	if err := life.Stop(); err != nil {
		return err
	}
	return life.Close()
}
