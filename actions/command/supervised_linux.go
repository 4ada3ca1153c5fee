package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// startedFor is how long a new process must live for its start to count as done.
const startedFor = 100 * time.Millisecond

// supervised is a workload that is one process, with its children, which the driver starts and stops.
type supervised struct {
	group
	record string // path
	boot   string

	// The record is read, judged and written in one go; Status may run beside Do.
	mu sync.Mutex
}

// lifeVersion is the version of a life's record. A program that does not know a field drops it when it writes the record again;
// one that must not be lost needs the next version, and an older program does not know what runs. None is written for 1.
const lifeVersion = 1

// life is what is known of a supervised process: of the one that runs, or of the last one.
type life struct {
	V     int    `json:"v,omitempty"`
	Boot  string `json:"boot"`
	PID   int    `json:"pid"`
	Ticks uint64 `json:"start_ticks"`
	Ended string `json:"ended,omitempty"` // how, if it is known
	// Gone says that the whole session was seen to have ended. From then on its number may be another's.
	Gone bool `json:"gone,omitempty"`

	leader process // the zero process if Gone
	alive  bool
}

func (s *supervised) start(ctx context.Context, env map[string]string) error {
	l, err := s.life()
	if err != nil || l.alive {
		return err
	}
	if err := s.clear(ctx, l.leader, unix.SIGKILL); err != nil {
		return fmt.Errorf("clear what an earlier life left over: %w", err)
	}
	p, err := s.spawn(env)
	if err != nil {
		return err
	}
	return s.settled(ctx, p)
}

// settled waits until the process has lived long enough.
func (s *supervised) settled(ctx context.Context, p process) error {
	enough, cancel := context.WithTimeout(ctx, startedFor)
	defer cancel()
	err := p.wait(enough)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil
	case err != nil:
		return err
	}
	l, err := s.life()
	if err != nil {
		return err
	}
	return outcome(ctx, s.command.Run[0], fmt.Errorf("ended at once: %s", l.Ended), s.lastOutput())
}

func (s *supervised) stop(ctx context.Context, force bool) error {
	l, err := s.life()
	if err != nil {
		return err
	}
	sig := unix.SIGTERM
	if force {
		sig = unix.SIGKILL
	}
	if err := s.clear(ctx, l.leader, sig); err != nil {
		return err
	}
	if _, err := s.life(); err != nil { // reaps it
		return err
	}
	return s.forget()
}

func (s *supervised) status(context.Context) (actions.Status, error) {
	l, err := s.life()
	if err != nil {
		return actions.Status{}, err
	}
	if l.alive {
		return actions.Status{Condition: actions.Running}, s.trimLog()
	}
	left, err := s.members(l.leader)
	switch {
	case err != nil:
		return actions.Status{}, err
	case len(left) == 0:
		return actions.Status{Condition: actions.Stopped, Detail: l.Ended}, s.noteGone(l)
	}
	detail := "its first process has ended"
	if l.Ended != "" {
		detail += " (" + l.Ended + ")"
	}
	detail += fmt.Sprintf(", others are left: %d", len(left))
	return actions.Status{Condition: actions.Unknown, Detail: detail}, nil
}

func (s *supervised) handles(context.Context) ([]actions.Handle, error) {
	l, err := s.life()
	if err != nil {
		return nil, err
	}
	members, err := s.members(l.leader)
	return s.handlesOf(members), err
}

// life finds the first process of the workload and whether it lives. Its end is noted in the record, because only one look
// can learn of it.
func (s *supervised) life() (life, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.read()
	if err != nil {
		return life{}, err
	}
	if l.PID == 0 {
		return s.adopt()
	}
	if l.Gone {
		return l, nil
	}
	l.leader = process{pid: l.PID, session: l.PID, group: l.PID, ticks: l.Ticks}
	now, err := look(l.PID)
	switch {
	case errors.Is(err, errGone):
		return l, nil
	case err != nil:
		return life{}, err
	case !now.is(l.leader):
		return l, nil
	case now.zombie:
		if ended := reap(l.PID); ended != "" {
			l.Ended = ended
			return l, s.write(l)
		}
		return l, nil
	}
	l.alive = true
	return l, nil
}

// noteGone notes that nothing is left of a life, unless the record is of a later one by now.
func (s *supervised) noteGone(l life) error {
	if l.PID == 0 || l.Gone {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.read()
	if err != nil || now.PID != l.PID || now.Ticks != l.Ticks {
		return err
	}
	now.Gone = true
	return s.write(now)
}

// adopt looks for a process whose agent died after it was spawned and before its record was written. It is the oldest of
// the workload's that leads a session, as every first process does.
func (s *supervised) adopt() (life, error) {
	members, err := s.members(process{})
	if err != nil {
		return life{}, err
	}
	var first process
	for _, p := range members {
		if p.pid == p.session && (first.pid == 0 || p.ticks < first.ticks) {
			first = p
		}
	}
	if first.pid == 0 {
		return life{}, nil
	}
	l := life{Boot: s.boot, PID: first.pid, Ticks: first.ticks, leader: first, alive: true}
	return l, s.write(l)
}

// spawn starts the process and writes its record. The old record goes first: with it, an orphan would not be looked for.
func (s *supervised) spawn(env map[string]string) (process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := remove(s.record); err != nil {
		return process{}, err
	}
	pid, err := s.exec(env)
	if err != nil {
		return process{}, err
	}
	p, err := look(pid)
	if err != nil {
		return process{}, err
	}
	return p, s.write(life{Boot: s.boot, PID: p.pid, Ticks: p.ticks})
}

func (s *supervised) exec(env map[string]string) (int, error) {
	cgroup, err := s.birthplace()
	if err != nil {
		return 0, err
	}
	if cgroup != nil {
		defer func() { _ = cgroup.Close() }()
	}
	log, err := s.openLog()
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	dir := s.command.Dir
	if dir == "" {
		dir = "/"
	}
	p, err := os.StartProcess(s.command.Run[0], s.command.Run, &os.ProcAttr{
		Dir:   dir,
		Env:   append(environment(s.command.Env, env), s.marker),
		Files: []*os.File{null, log, log},
		Sys:   attributes(cgroup),
	})
	if err != nil {
		return 0, err
	}
	pid := p.Pid // Release forgets it
	return pid, p.Release()
}

// read returns the record; the zero life if there is none, or none of this boot.
func (s *supervised) read() (life, error) {
	b, err := os.ReadFile(s.record)
	if errors.Is(err, os.ErrNotExist) {
		return life{}, nil
	}
	if err != nil {
		return life{}, err
	}
	var l life
	if err := json.Unmarshal(b, &l); err != nil {
		return life{}, fmt.Errorf("read %s: %w", s.record, err)
	}
	if l.Boot != s.boot {
		return life{}, nil
	}
	if l.V > lifeVersion {
		return life{}, fmt.Errorf("read %s: it is of version %d, this program knows %d: run the agent of the newer version", s.record, l.V, lifeVersion)
	}
	return l, nil
}

// write replaces the record whole.
func (s *supervised) write(l life) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := writeDurably(s.record+".new", b); err != nil {
		return err
	}
	return os.Rename(s.record+".new", s.record)
}

func (s *supervised) forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return remove(s.record)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// writeDurably writes a file that outlives a loss of power: what is renamed before it is on the disk may be found empty, and
// then nobody could tell any more whether the workload runs.
func writeDurably(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
