//go:build !linux

package command

import (
	"context"
	"errors"

	"github.com/holter-ha/holter/actions"
)

var _ actions.Driver = (*Driver)(nil)

// errNeedsLinux is all that this driver says elsewhere: it needs /proc and pidfds.
var errNeedsLinux = errors.New("the kind command needs Linux")

// Driver carries out the actions on the commands of one host.
type Driver struct{ commands map[string]Command }

// New checks the commands, all mistakes at once; then it refuses, because this system is not Linux.
func New(o Options) (*Driver, error) { return nil, errors.Join(o.check(), errNeedsLinux) }

// Idempotent reports whether the file says of a command that it may be repeated.
func (d *Driver) Idempotent(unit string) bool { return d.commands[unit].Idempotent }

// Do refuses.
func (d *Driver) Do(context.Context, actions.Action) error { return errNeedsLinux }

// Done refuses.
func (d *Driver) Done(context.Context, actions.Action) (bool, error) { return false, errNeedsLinux }

// Status refuses.
func (d *Driver) Status(context.Context, actions.Target) (actions.Status, error) {
	return actions.Status{Condition: actions.Unknown}, errNeedsLinux
}

// Handles refuses.
func (d *Driver) Handles(context.Context, actions.Target) ([]actions.Handle, error) {
	return nil, errNeedsLinux
}
