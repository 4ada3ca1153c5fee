package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

const (
	// statusLimit bounds one run of a status command.
	statusLimit = 10 * time.Second
	// exitStopped is what a status command exits with when the workload is stopped, as in the Linux Standard Base.
	exitStopped = 3
)

// errNoHandles says that a workload runs, but not as processes that were born of its start command here.
var errNoHandles = errors.New("it runs, but no process was started by this driver, so there is nothing to kill")

// scripted is a workload that three commands look after. The status command is believed when it says running; when it says
// stopped, no process of the start command may be left either.
type scripted struct{ group }

func (s *scripted) start(ctx context.Context, env map[string]string) error {
	code, word, err := s.ask(ctx)
	switch {
	case err != nil:
		return err
	case code == 0:
		return nil
	case code != exitStopped:
		return fmt.Errorf("not started, because nobody knows if it runs: %s", word)
	}
	if err := s.clear(ctx, process{}, unix.SIGKILL); err != nil {
		return fmt.Errorf("clear what an earlier start left over: %w", err)
	}
	if err := s.runStart(ctx, env); err != nil {
		return err
	}
	return s.expect(ctx, actions.Running)
}

func (s *scripted) stop(ctx context.Context, force bool) error {
	if force {
		if err := s.clear(ctx, process{}, unix.SIGKILL); err != nil {
			return err
		}
	}
	code, _, err := s.ask(ctx)
	if err != nil {
		return err
	}
	// What is no process, an address for instance, can only be stopped by its command, forced or not.
	if code != exitStopped {
		if _, err := runCommand(ctx, s.command.Stop, s.command.Dir, environment(s.command.Env)); err != nil {
			return err
		}
	}
	if err := s.clear(ctx, process{}, unix.SIGTERM); err != nil { // what is left over
		return err
	}
	return s.expect(ctx, actions.Stopped)
}

func (s *scripted) status(ctx context.Context) (actions.Status, error) {
	code, word, err := s.ask(ctx)
	switch {
	case err != nil:
		return actions.Status{}, err
	case code == 0:
		return actions.Status{Condition: actions.Running}, s.trimLog()
	case code != exitStopped:
		return actions.Status{Condition: actions.Unknown, Detail: word}, nil
	}
	left, err := s.members(process{})
	switch {
	case err != nil:
		return actions.Status{}, err
	case len(left) == 0:
		return actions.Status{Condition: actions.Stopped}, nil
	}
	detail := fmt.Sprintf("its status command says stopped, but processes are left: %d", len(left))
	return actions.Status{Condition: actions.Unknown, Detail: detail}, nil
}

func (s *scripted) handles(ctx context.Context) ([]actions.Handle, error) {
	for range 2 { // it may have been started between the look at its members and its word
		members, err := s.members(process{})
		if err != nil || len(members) > 0 {
			return s.handlesOf(members), err
		}
		st, err := s.status(ctx)
		if err != nil || st.Condition == actions.Stopped {
			return nil, err
		}
	}
	return nil, errNoHandles
}

// ask runs the status command: its exit code, and in words how it went. It is an error if it could not be run to its end.
func (s *scripted) ask(ctx context.Context) (code int, word string, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	code, err = runCommand(ctx, s.command.Status, s.command.Dir, environment(s.command.Env))
	if err != nil && code < 0 {
		return 0, "", err
	}
	if err != nil {
		word = err.Error()
	}
	return code, word, nil
}

// expect is an error unless the workload is in a condition now that its command has exited with 0.
func (s *scripted) expect(ctx context.Context, want actions.Condition) error {
	st, err := s.status(ctx)
	if err == nil && st.Condition != want {
		err = fmt.Errorf("the command exited with 0, but the workload is %s", st.Condition)
		if st.Detail != "" {
			err = fmt.Errorf("%w: %s", err, st.Detail)
		}
	}
	return err
}

// runStart runs the start command. Its output goes to the log and not through a pipe, which what it starts would lose.
func (s *scripted) runStart(ctx context.Context, env map[string]string) error {
	cgroup, err := s.birthplace()
	if err != nil {
		return err
	}
	if cgroup != nil {
		defer func() { _ = cgroup.Close() }()
	}
	var log *os.File
	if log, err = s.openLog(); err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := command(ctx, s.command.Start, s.command.Dir, append(environment(s.command.Env, env), s.marker))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes(cgroup)
	if err := cmd.Run(); err != nil {
		return outcome(ctx, s.command.Start[0], err, s.lastOutput())
	}
	return nil
}
