// Package systemd is the driver for workloads that are systemd units, over D-Bus.
//
// Units get what the agent knows of their start (HOLTER_TOKEN and the like) through a file, if Options.EnvDir is set: systemd
// has no way to add to the environment of a unit that somebody else wrote. A unit that wants it says
// EnvironmentFile=-/run/holter/%n.env, for an EnvDir of /run/holter.
//
// Invariants: Stopped is said only of a unit that is inactive or failed and whose cgroup holds no process; a job counts as
// done only by its result and by what the unit is afterwards; a unit that systemd does not know is an error.
//
// Concurrency: a Driver is safe for use from several goroutines, which share one connection to the bus. It is made when it
// is first needed and again after it broke; Close ends it.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/holter-ha/holter/actions"
)

// Kind is the kind of workload that this driver carries out.
const Kind = "systemd"

const (
	// sigkill by number, so that this package builds wherever the bus can be reached from.
	sigkill = 9
	// killEvery is the interval at which a unit is killed that is being stopped by force: its stop may start new processes.
	killEvery = 100 * time.Millisecond
	// looksAgain is how often a unit that is active without a process is looked at again before that is believed.
	looksAgain = 5
	// cgroupRoot is where this host's cgroups are.
	cgroupRoot = "/sys/fs/cgroup"
)

var _ actions.Driver = (*Driver)(nil)

// Why something is not for this driver, or cannot be done.
var (
	errUnknownUnit = errors.New("systemd knows no such unit")
	errUnknownVerb = errors.New("no such verb")
	errNotRun      = errors.New("a unit is started and stopped, it cannot be run")
	errNoHandles   = errors.New("it is active without a cgroup, so there is nothing to kill")
)

// Options is what a Driver needs; its zero value is right on a host that systemd runs.
type Options struct {
	// Address of the bus; empty: the system bus.
	Address string
	// CgroupRoot is where the cgroups of the bus's systemd are seen from here; empty: /sys/fs/cgroup.
	CgroupRoot string
	// EnvDir is where UNIT.env is written before a unit is started and removed after it was stopped; empty: nowhere.
	EnvDir string
}

// Driver carries out the actions on the units of one systemd.
type Driver struct {
	options Options
	bus     bus
}

// New returns a driver. It does not connect yet.
func New(o Options) *Driver {
	if o.CgroupRoot == "" {
		o.CgroupRoot = cgroupRoot
	}
	return &Driver{options: o, bus: bus{address: o.Address}}
}

// Close ends the connection to the bus. Whoever waits there gets an error; the driver may be used again.
func (d *Driver) Close() { d.bus.close() }

// Do starts or stops a unit and waits for systemd's job. When ctx ends, the job goes on.
func (d *Driver) Do(ctx context.Context, a actions.Action) error {
	var err error
	switch a.Verb {
	case actions.Start:
		err = d.start(ctx, a.Target.Unit, a.Env)
	case actions.Stop:
		err = d.stop(ctx, a.Target.Unit, a.Force)
	case actions.Run:
		err = errNotRun
	default:
		err = errUnknownVerb
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", a.Verb, a.Target.Unit, err)
	}
	return nil
}

// Done reports whether the unit is as the action would make it.
func (d *Driver) Done(ctx context.Context, a actions.Action) (bool, error) {
	return actions.Reached(ctx, d, a)
}

// Status tells what the unit is doing; what is on its way up or down is Unknown.
func (d *Driver) Status(ctx context.Context, t actions.Target) (actions.Status, error) {
	u, err := d.look(ctx, t.Unit)
	if err != nil {
		return actions.Status{Condition: actions.Unknown}, fmt.Errorf("status of %s: %w", t.Unit, err)
	}
	return u.status(), nil
}

// Handles names the unit's cgroup if there are processes in it.
func (d *Driver) Handles(ctx context.Context, t actions.Target) ([]actions.Handle, error) {
	u, err := d.look(ctx, t.Unit)
	// A unit may have stopped between systemd's answer and the look at its cgroup: active without a process is believed
	// only when it stays so.
	for again := 0; again < looksAgain && err == nil && !u.populated && u.status().Condition == actions.Running; again++ {
		u, err = d.look(ctx, t.Unit)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("handles of %s: %w", t.Unit, err)
	case u.populated:
		return []actions.Handle{{Kind: actions.HandleCgroup, Path: u.cgroup}}, nil
	case u.status().Condition == actions.Running:
		return nil, fmt.Errorf("handles of %s: %w", t.Unit, errNoHandles)
	}
	return nil, nil
}

func (d *Driver) start(ctx context.Context, name string, env map[string]string) error {
	u, err := d.look(ctx, name)
	if err != nil || u.status().Condition == actions.Running {
		return err
	}
	if err := d.writeEnv(name, env); err != nil {
		return err
	}
	c, err := d.bus.get(ctx)
	if err != nil {
		return err
	}
	result := make(chan string, 1)
	if _, err := c.StartUnitContext(ctx, name, "replace", result); err != nil {
		return err
	}
	if err := c.await(ctx, result, nil); err != nil {
		return d.explain(ctx, name, err)
	}
	// A unit whose conditions were not met, or that has run to its end, is done and does not run.
	if u, err = d.look(ctx, name); err == nil && u.status().Condition != actions.Running {
		err = fmt.Errorf("its job is done, but it is %s", u.words())
	}
	return err
}

func (d *Driver) stop(ctx context.Context, name string, force bool) error {
	u, err := d.look(ctx, name)
	if err != nil || u.status().Condition == actions.Stopped {
		return err
	}
	c, err := d.bus.get(ctx)
	if err != nil {
		return err
	}
	result := make(chan string, 1)
	if _, err := c.StopUnitContext(ctx, name, "replace", result); err != nil {
		return err
	}
	var kill func()
	if force {
		// Killed after the stop was asked for, it is not restarted. There may be nothing left to kill: the job tells.
		kill = func() { _ = c.KillUnitWithTarget(ctx, name, dbus.All, sigkill) }
	}
	if err := c.await(ctx, result, kill); err != nil {
		return d.explain(ctx, name, err)
	}
	if err := d.proveStopped(ctx, name, kill); err != nil {
		return err
	}
	return d.removeEnv(name)
}

// proveStopped looks whether a unit whose stop job is done left nothing over. With a kill it goes on until nothing is left:
// a job may be done before what was killed is gone.
func (d *Driver) proveStopped(ctx context.Context, name string, kill func()) error {
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	for {
		u, err := d.look(ctx, name)
		switch {
		case err != nil:
			return err
		case u.status().Condition == actions.Stopped:
			return nil
		case kill == nil:
			return fmt.Errorf("its job is done, but it is %s", u.words())
		}
		kill()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: it is %s", ctx.Err(), u.words())
		}
	}
}

// explain adds to an error what the unit is now, if that can be found out.
func (d *Driver) explain(ctx context.Context, name string, err error) error {
	u, lookErr := d.look(ctx, name)
	if lookErr != nil {
		return err
	}
	return fmt.Errorf("%w: it is %s", err, u.words())
}
