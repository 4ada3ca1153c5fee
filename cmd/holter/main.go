// Command holter is all of Holter in one binary: the monitor, the agent, the demo, and the verbs of operators.
//
// Invariants: stdout is data and stderr is talk; an error says what happened, what was not changed and what to do; the exit
// code is one of console.Exits, whatever the verb.
//
// Concurrency: one verb runs at a time; a verb waits for the goroutines that it starts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(realMain()) }

// realMain is main with its deferred calls done before the exit.
func realMain() int {
	dieWith()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return int(newApp().execute(ctx, os.Args[1:]))
}
