// Package command is the driver for workloads that are commands of a host's own file: nothing runs that is not listed there.
//
// A Command has one of three shapes. Run is a process that the driver starts and looks after. Start, Stop and Status are
// commands that look after something themselves. Exec is done once, for the verb run.
//
// What belongs to a workload is found again after a restart of the agent, and after its death at any instruction. Each
// process is started in a session of its own, with HOLTER_UNIT=HASH/NAME in its environment (HASH is of the state
// directory), which its children inherit. The record, a small file in the state directory, names the first process and is
// written after it was spawned; an orphan of an agent that died between the two is found by its environment. With
// Options.Cgroup a workload is born in a cgroup of its own instead, which nothing can leave unseen. Without it a child escapes
// that changes both its session and its environment; of a start command's children, its environment alone. Handles says
// which of the two it is.
//
// Invariants: Stopped is said only when a look at all processes has found none of the workload's; a signal goes only to a
// process that was identified by pid and start ticks; a start first kills what an earlier life has left over.
//
// Concurrency: a Driver is safe for use from several goroutines and has none of its own. Its children outlive it; those
// that end are reaped by the next look at them.
package command

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
)

// Kind is the kind of workload that this driver carries out.
const Kind = "command"

// Command is one allowed command. Exactly one of Run, Exec, and Start with Stop and Status is given. Each is a program's
// absolute path and its arguments; there is no shell.
type Command struct {
	Run []string `yaml:"run"`

	Start  []string `yaml:"start"`
	Stop   []string `yaml:"stop"`
	Status []string `yaml:"status"` // exits with 0: running, 3: stopped, anything else: unknown

	Exec []string `yaml:"exec"` // the action's Args are appended
	// Idempotent says that Exec may be repeated when nobody knows whether it happened.
	Idempotent bool `yaml:"idempotent"`

	Dir string            `yaml:"dir"` // working directory; empty: the root directory
	Env map[string]string `yaml:"env"` // added to the little that is passed on of the agent's own
}

// Options is what a Driver needs.
type Options struct {
	Commands map[string]Command
	// Dir is the state directory, made if it is not there: records and logs.
	Dir string
	// Cgroup is a writable cgroup v2 directory under which each workload gets one of its own. Empty: sessions are used.
	Cgroup string
}

// nameForm is what a command's name must look like, because files are named after it.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// check lists everything that is wrong with the commands.
func (o Options) check() error {
	var wrong []error
	if o.Dir == "" {
		wrong = append(wrong, errors.New("commands need a state directory"))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Commands)) {
		if !nameForm.MatchString(name) {
			wrong = append(wrong, fmt.Errorf("command %q: a name is letters, digits and . _ @ -, at most 64", name))
		}
		for _, err := range o.Commands[name].check() {
			wrong = append(wrong, fmt.Errorf("command %s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

func (c Command) check() []error {
	var wrong []error
	scripts := 0
	for _, p := range []struct {
		field string
		argv  []string
	}{{"start", c.Start}, {"stop", c.Stop}, {"status", c.Status}, {"run", c.Run}, {"exec", c.Exec}} {
		if len(p.argv) == 0 {
			continue
		}
		if !filepath.IsAbs(p.argv[0]) {
			wrong = append(wrong, fmt.Errorf("%s: %q is not an absolute path", p.field, p.argv[0]))
		}
		if p.field != "run" && p.field != "exec" {
			scripts++
		}
	}
	shapes := 0
	for _, has := range []bool{len(c.Run) > 0, len(c.Exec) > 0, scripts > 0} {
		if has {
			shapes++
		}
	}
	if shapes != 1 {
		wrong = append(wrong, errors.New("give one of: run; exec; start, stop and status"))
	}
	if scripts > 0 && scripts < 3 {
		wrong = append(wrong, errors.New("start, stop and status are given together or not at all"))
	}
	if c.Idempotent && len(c.Exec) == 0 {
		wrong = append(wrong, errors.New("idempotent goes with exec only"))
	}
	return wrong
}
