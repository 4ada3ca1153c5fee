package demo

import (
	"context"
	"io"
	"os"
)

// Options says how the demo runs.
type Options struct {
	Script []Step
	Exit   bool     // end with the script
	Keep   bool     // leave the folder with the logs behind
	TTY    *os.File // where keys are read; nil: nowhere
	Out    io.Writer
	Colors bool
	User   string // who asks the monitors
	// Holter is how the user can call this program from another terminal.
	Holter string
	// Status shows the state of the cluster on one screen.
	Status func(ctx context.Context, servers []string) error
}
