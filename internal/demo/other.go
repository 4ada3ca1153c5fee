//go:build !linux

package demo

import (
	"context"
	"errors"
	"runtime"

	"github.com/holter-ha/holter/console"
)

var errNotLinux = errors.New("the demo needs Linux, for process groups, pidfds and 127.0.0.0/8; this is " + runtime.GOOS)

// Run says that there is no demo here.
func Run(context.Context, Options) (console.Exit, error) { return console.ExitFailed, errNotLinux }

// Servers says that there is no demo here.
func Servers() (string, error) { return "", errNotLinux }
