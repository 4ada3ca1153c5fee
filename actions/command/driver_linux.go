package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holter-ha/holter/actions"
)

var _ actions.Driver = (*Driver)(nil)

// Why something is not for this driver.
var (
	errUnknownUnit = errors.New("this host's file allows no such command")
	errUnknownVerb = errors.New("no such verb")
	errNotWorkload = errors.New("the command is for the verb run only")
	errNotExec     = errors.New("the command is a workload, it cannot be run")
)

// workload is what looks after one command that runs.
type workload interface {
	start(ctx context.Context, env map[string]string) error
	stop(ctx context.Context, force bool) error
	status(ctx context.Context) (actions.Status, error)
	handles(ctx context.Context) ([]actions.Handle, error)
}

// Driver carries out the actions on the commands of one host.
type Driver struct {
	commands  map[string]Command
	workloads map[string]workload
}

// New checks the commands, all mistakes at once, and prepares the state directory. It starts and stops nothing.
func New(o Options) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory of commands: %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory of commands: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the boot id: %w", err)
	}
	hash := sha256.Sum256([]byte(dir))
	d := &Driver{commands: o.Commands, workloads: map[string]workload{}}
	for name, c := range o.Commands {
		g := group{command: c, marker: marker + hex.EncodeToString(hash[:8]) + "/" + name, log: filepath.Join(dir, name+".log")}
		if o.Cgroup != "" {
			g.cgroup = filepath.Join(o.Cgroup, name)
		}
		switch {
		case len(c.Run) > 0:
			d.workloads[name] = &supervised{group: g, record: filepath.Join(dir, name+".json"), boot: string(boot)}
		case len(c.Start) > 0:
			d.workloads[name] = &scripted{group: g}
		}
	}
	return d, nil
}

// Idempotent reports whether the file says of a command that it may be repeated.
func (d *Driver) Idempotent(unit string) bool { return d.commands[unit].Idempotent }

// Do starts or stops a workload, or runs a command to its end. When ctx ends, a command that is under way is killed; a
// process that was started, or told to stop, goes on.
func (d *Driver) Do(ctx context.Context, a actions.Action) error {
	err := ctx.Err()
	if err == nil {
		err = d.do(ctx, a)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", a.Verb, a.Target.Unit, err)
	}
	return nil
}

func (d *Driver) do(ctx context.Context, a actions.Action) error {
	switch a.Verb {
	case actions.Start, actions.Stop:
		w, err := d.workload(a.Target.Unit)
		if err != nil {
			return err
		}
		if a.Verb == actions.Start {
			return w.start(ctx, a.Env)
		}
		return w.stop(ctx, a.Force)
	case actions.Run:
		c, ok := d.commands[a.Target.Unit]
		switch {
		case !ok:
			return errUnknownUnit
		case len(c.Exec) == 0:
			return errNotExec
		}
		argv := append(append([]string{}, c.Exec...), a.Args...)
		_, err := runCommand(ctx, argv, c.Dir, environment(c.Env, a.Env))
		return err
	}
	return errUnknownVerb
}

// Done reports whether the workload is as the action would make it.
func (d *Driver) Done(ctx context.Context, a actions.Action) (bool, error) {
	return actions.Reached(ctx, d, a)
}

// Status tells what the workload is doing.
func (d *Driver) Status(ctx context.Context, t actions.Target) (actions.Status, error) {
	w, err := d.workload(t.Unit)
	if err == nil {
		var st actions.Status
		if st, err = w.status(ctx); err == nil {
			return st, nil
		}
	}
	return actions.Status{Condition: actions.Unknown}, fmt.Errorf("status of %s: %w", t.Unit, err)
}

// Handles lists what to kill: the workload's cgroup, or its session and whatever of it has left the session's group.
func (d *Driver) Handles(ctx context.Context, t actions.Target) ([]actions.Handle, error) {
	w, err := d.workload(t.Unit)
	if err == nil {
		var h []actions.Handle
		if h, err = w.handles(ctx); err == nil {
			return h, nil
		}
	}
	return nil, fmt.Errorf("handles of %s: %w", t.Unit, err)
}

func (d *Driver) workload(unit string) (workload, error) {
	if _, ok := d.commands[unit]; !ok {
		return nil, errUnknownUnit
	}
	w, ok := d.workloads[unit]
	if !ok {
		return nil, errNotWorkload
	}
	return w, nil
}
