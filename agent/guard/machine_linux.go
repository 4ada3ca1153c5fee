package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/actions"
)

// The environment variables by which a workload's processes are found.
const (
	tokenVar = "HOLTER_TOKEN=" // the token of the start, for all kinds
	unitVar  = "HOLTER_UNIT="  // for kind command: which agent's, and which of its commands
)

// lookLimit bounds a look at the environments of all processes. The kernel lets nobody look into a process that hangs in the
// midst of changing its memory.
const lookLimit = 300 * time.Millisecond

// Why nobody knows whether something is gone.
var (
	errBlind  = fmt.Errorf("a process of this machine cannot be looked into within %s, it may be one of the workload's", lookLimit)
	errHandle = errors.New("nothing can be killed by it")
)

var _ Killer = (*Machine)(nil)

// Machine kills what runs on this machine: by the handles of a charge; by its token, which is in the environment of all that
// was started under it, because an agent may have died before it knew a handle; and by the cgroup of its systemd unit.
type Machine struct {
	owner string // what the value of unitVar begins with in the commands that this host's own agent has started

	// All charges of a round are killed at once, and share a look at the machine; hence the mutex.
	mu      sync.Mutex
	known   map[string]kin // by workload
	last    census
	looking <-chan []mark // of a look at the environments that has not ended in time
}

// NewMachine returns the killer for the charges of one agent: the one whose driver for kind command keeps its state in the
// directory commands. Tokens are unique in a cluster only, and agents of several may share a machine.
func NewMachine(commands string) (*Machine, error) {
	if err := os.MkdirAll(commands, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory of commands: %w", err)
	}
	dir, err := filepath.Abs(commands)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory of commands: %w", err)
	}
	hash := sha256.Sum256([]byte(dir))
	return &Machine{owner: hex.EncodeToString(hash[:8]) + "/", known: map[string]kin{}}, nil
}

// Kill kills what is known of the charge. It does not wait for the end of what it killed.
func (m *Machine) Kill(c Charge) error {
	var failures []error
	for _, h := range c.Handles {
		if err := kill(h); err != nil {
			failures = append(failures, fmt.Errorf("kill by the %s %s%d: %w", h.Kind, h.Path, h.PID, err))
		}
	}
	units, err := unitCgroups(c.Target)
	failures = append(failures, err)
	for _, dir := range units {
		failures = append(failures, killCgroup(dir))
	}
	members, err := m.members(c)
	failures = append(failures, err)
	for _, p := range members {
		failures = append(failures, p.kill())
	}
	return errors.Join(failures...)
}

// Gone says whether neither a handle points at something that lives, nor anything carries the token, nor the unit has a
// process.
func (m *Machine) Gone(c Charge) (bool, error) {
	units, err := unitCgroups(c.Target)
	if err != nil {
		return false, err
	}
	for _, h := range c.Handles {
		if err := checkHandle(h); err != nil {
			return false, fmt.Errorf("look for the %s %s%d: %w", h.Kind, h.Path, h.PID, err)
		}
		if h.Kind == actions.HandleCgroup {
			units = append(units, h.Path)
		}
	}
	for _, dir := range units {
		if lives, err := populated(dir); lives || err != nil {
			return false, err
		}
	}
	members, err := m.members(c)
	return err == nil && len(members) == 0, err
}

// kill kills what a handle points at, and nothing else: not what got its pid later.
func kill(h actions.Handle) error {
	if err := checkHandle(h); err != nil {
		return err
	}
	if h.Kind == actions.HandleCgroup {
		return killCgroup(h.Path)
	}
	p, err := look(h.PID)
	switch {
	case err != nil && !errors.Is(err, errGone):
		return err
	case err == nil && p.ticks != h.StartTicks:
		return nil
	case h.Kind == actions.HandleProcess && err == nil:
		return p.kill()
	case h.Kind == actions.HandleSession:
		// At once, so that none can escape by forking. The group's number is nobody else's as long as one of it lives.
		return ignoreGone(unix.Kill(-h.PID, unix.SIGKILL))
	}
	return nil
}

// checkHandle refuses handles that could hit anything but their workload.
func checkHandle(h actions.Handle) error {
	switch h.Kind {
	case actions.HandleCgroup:
		return checkCgroup(h.Path)
	case actions.HandleSession, actions.HandleProcess:
		if h.PID <= 1 || h.StartTicks == 0 {
			return fmt.Errorf("pid %d, started at tick %d: %w", h.PID, h.StartTicks, errHandle)
		}
		return nil
	}
	return fmt.Errorf("kind %q: %w", h.Kind, errHandle)
}

// members are the processes of a charge that have not ended: those that handles name or that are in their sessions, those
// that carry the token, and the sessions that such a one leads. With an error there may be more.
//
// What was a member once is one until it has ended: a process that is ending has no environment any more, and may hang there;
// nor has what is left of a session whose leader has ended.
func (m *Machine) members(c Charge) ([]process, error) {
	all, err := m.look()
	if all == nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known[c.Workload]
	if k.token != c.Token || k.single == nil {
		k = kin{token: c.Token, single: map[int]uint64{}, session: map[int]uint64{}}
	}
	for _, h := range c.Handles {
		switch {
		case checkHandle(h) != nil:
		case h.Kind == actions.HandleSession:
			k.session[h.PID] = h.StartTicks
		case h.Kind == actions.HandleProcess:
			k.single[h.PID] = h.StartTicks
		}
	}
	for _, s := range all {
		if m.carries(s.mark, c) {
			k.single[s.pid] = s.ticks
			if s.pid == s.session {
				k.session[s.pid] = s.ticks
			}
		}
		if t, ok := k.session[s.pid]; ok && t != s.ticks { // given away: nothing of the session is left
			delete(k.session, s.pid)
		}
	}
	members, left := k.among(all)
	m.known[c.Workload] = left
	return members, err
}

// kin is what is known to belong to a charge, by pid: when it was started.
type kin struct {
	token   uint64
	single  map[int]uint64
	session map[int]uint64 // by its leader, who may have ended
}

// among picks those that have not ended, and what is to be remembered of them.
func (k kin) among(all []seen) (members []process, left kin) {
	left = kin{token: k.token, single: map[int]uint64{}, session: map[int]uint64{}}
	for _, s := range all {
		if s.zombie || s.pid == os.Getpid() {
			continue
		}
		t, mine := k.single[s.pid]
		mine = mine && t == s.ticks
		for _, id := range []int{s.session, s.group} {
			if t, ok := k.session[id]; ok {
				left.session[id], mine = t, true
			}
		}
		if mine {
			left.single[s.pid] = s.ticks
			members = append(members, s.process)
		}
	}
	return members, left
}

// carries says whether a process was started under the charge's token, and not by another agent. An adopted workload may have
// been started under none.
func (m *Machine) carries(k mark, c Charge) bool {
	if c.Token == 0 || k.token != strconv.FormatUint(c.Token, 10) {
		return false
	}
	return k.unit == "" || k.unit == m.owner+c.Target.Unit
}

// mark is what an environment says of the start of a process; empty for what it does not say.
type mark struct{ token, unit string }

// seen is a process and its mark.
type seen struct {
	process
	mark mark
}

// census is a look at all processes.
type census struct {
	began time.Time
	all   []seen
	err   error
}

// look looks at all processes, or takes the result of a look that was begun since it was asked. When the environments cannot
// be read, it returns the processes without, and an error.
func (m *Machine) look() ([]seen, error) {
	asked := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.began.After(asked) {
		return m.last.all, m.last.err
	}
	m.last = census{began: time.Now()}
	processes, err := allProcesses()
	if err != nil {
		m.last.err = fmt.Errorf("look at all processes: %w", err)
		return nil, m.last.err
	}
	marks, err := m.marks(processes)
	m.last.err = err
	m.last.all = make([]seen, len(processes))
	for i, p := range processes {
		m.last.all[i].process = p
		if err == nil {
			m.last.all[i].mark = marks[i]
		}
	}
	return m.last.all, m.last.err
}

// marks reads the marks of processes, in a goroutine that ends when the kernel lets it.
func (m *Machine) marks(processes []process) ([]mark, error) {
	if m.looking != nil {
		select {
		case <-m.looking:
			m.looking = nil
		default:
			return nil, errBlind
		}
	}
	looking := make(chan []mark, 1)
	go func() {
		marks := make([]mark, len(processes))
		for i, p := range processes {
			marks[i] = p.mark()
		}
		looking <- marks
	}()
	limit := time.NewTimer(lookLimit)
	defer limit.Stop()
	select {
	case marks := <-looking:
		return marks, nil
	case <-limit.C:
		m.looking = looking
		return nil, errBlind
	}
}

// mark reads the mark of a process. An environment that this user may not read is of nothing that its agent has started.
func (p process) mark() mark {
	var k mark
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
	if err != nil || !bytes.Contains(environ, []byte(tokenVar)) {
		return k
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if v, ok := bytes.CutPrefix(entry, []byte(tokenVar)); ok {
			k.token = string(v)
		}
		if v, ok := bytes.CutPrefix(entry, []byte(unitVar)); ok {
			k.unit = string(v)
		}
	}
	return k
}
