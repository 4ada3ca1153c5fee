package netns

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// guardSuffix is what the guard of a host is called, after its host.
const guardSuffix = "/guard"

// party is one monitor or one host, and the namespaces where its services and all that they start live.
type party struct {
	name     string
	address  string
	dir      string
	services []*service
	space    *namespace // nil: crashed, or never booted
}

// service is one process of holter.
type service struct {
	name string // the party's, with guardSuffix if it is a guard
	argv []string
	log  string
	cmd  *exec.Cmd     // nil: never started in this boot
	gone chan struct{} // closed when it has ended
}

func (p *party) config() string { return filepath.Join(p.dir, p.name+".yaml") }

// serve adds a service: a verb of holter with the party's config file.
func (p *party) serve(holter, verb string) {
	s := &service{name: p.name, argv: []string{holter, verb, "--config", p.config()}, log: filepath.Join(p.dir, p.name+".log")}
	if verb == "guard" {
		s.name, s.log = p.name+guardSuffix, filepath.Join(p.dir, p.name+".guard.log")
	}
	p.services = append(p.services, s)
}

// boot makes the namespaces of a party and starts its services.
func (p *party) boot(n *network) error {
	space, err := newNamespace()
	if err != nil {
		return err
	}
	p.space = space
	bootID := filepath.Join(p.dir, p.name+".boot-id")
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	text := fmt.Sprintf("%x-%x-%x-%x-%x\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if err := os.WriteFile(bootID, []byte(text), 0o600); err != nil {
		return err
	}
	if err := n.join(space, p.address, bootID); err != nil {
		return err
	}
	for _, s := range p.services {
		if err := s.start(space); err != nil {
			return err
		}
	}
	return nil
}

// crash ends everything of the party at once.
func (p *party) crash() {
	if p.space == nil {
		return
	}
	p.space.kill()
	for _, s := range p.services {
		if s.cmd != nil {
			<-s.gone
		}
		s.cmd = nil
	}
	p.space = nil
}

// start starts the process; its log goes on where it was.
func (s *service) start(space *namespace) error {
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd, gone := exec.Command(s.argv[0], s.argv[1:]...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := space.start(cmd); err != nil {
		return err
	}
	s.cmd, s.gone = cmd, gone
	go func() { // ends with the process, which crash waits for
		defer close(gone)
		_ = cmd.Wait() // how it ended says nothing
	}()
	return nil
}

// runs says whether the process has not ended, be it stopped.
func (s *service) runs() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.gone:
		return false
	default:
		return true
	}
}

// Boot boots a party that has crashed: new namespaces with a new boot id, its old disk, and its services. Cuts stay.
func (c *Cluster) Boot(name string) {
	c.t.Helper()
	p := c.party(name)
	if p.space != nil {
		c.t.Fatalf("%s is up", name)
	}
	if err := p.boot(c.net); err != nil {
		c.t.Fatalf("boot %s: %v", name, err)
	}
}

// Crash ends everything of a party at once, its workloads too, as a loss of power does. It waits until all of it is gone.
func (c *Cluster) Crash(name string) {
	c.t.Helper()
	c.party(name).crash()
}

// Up says whether a party has booted and not crashed since.
func (c *Cluster) Up(name string) bool {
	c.t.Helper()
	return c.party(name).space != nil
}

// Services lists the processes of holter that the cluster should have: each monitor and each host's agent under the name of
// its party, and a host's guard as HOST/guard.
func (c *Cluster) Services() []string {
	var names []string
	for _, name := range c.Parties() {
		for _, s := range c.party(name).services {
			names = append(names, s.name)
		}
	}
	return names
}

// service finds a service and its party.
func (c *Cluster) service(name string) (*service, *party) {
	c.t.Helper()
	p := c.party(strings.TrimSuffix(name, guardSuffix))
	for _, s := range p.services {
		if s.name == name {
			return s, p
		}
	}
	c.t.Fatalf("there is no service %q, but %s", name, strings.Join(c.Services(), ", "))
	return nil, nil
}

// Runs says whether the process of a service has not ended. A stopped one runs.
func (c *Cluster) Runs(service string) bool {
	c.t.Helper()
	s, _ := c.service(service)
	return s.runs()
}

// Start starts a service again after its process has ended, by a signal or by itself, as a service manager does. One that
// runs is let alone.
func (c *Cluster) Start(service string) {
	c.t.Helper()
	s, p := c.service(service)
	if p.space == nil {
		c.t.Fatalf("%s has crashed: Boot it", p.name)
	}
	if s.runs() {
		return
	}
	if err := s.start(p.space); err != nil {
		c.t.Fatalf("start %s: %v", service, err)
	}
}

// Signal sends a signal to the process of a service and says whether there was one. A killed one has ended when it returns;
// what it had started lives on.
func (c *Cluster) Signal(service string, sig syscall.Signal) bool {
	c.t.Helper()
	s, _ := c.service(service)
	if !s.runs() {
		return false
	}
	if err := s.cmd.Process.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		return false
	} else if err != nil {
		c.t.Fatalf("signal %s: %v", service, err)
	}
	if sig == syscall.SIGKILL {
		<-s.gone
	}
	return true
}

// Process is one process of a party.
type Process struct {
	PID  int // as this machine numbers it
	Args []string
}

// Processes lists what runs in a party: its services, and whatever they have started. Those that have ended but were
// not buried yet are left out.
func (c *Cluster) Processes(name string) []Process {
	c.t.Helper()
	p := c.party(name)
	if p.space == nil {
		return nil
	}
	found, err := processesIn(p.space)
	c.check(err)
	return found
}

// SignalAll sends a signal to the processes of a party that match, for example its workloads, and returns how many there were.
func (c *Cluster) SignalAll(name string, sig syscall.Signal, match func(Process) bool) int {
	c.t.Helper()
	sent := 0
	for _, process := range c.Processes(name) {
		if match(process) && syscall.Kill(process.PID, sig) == nil {
			sent++
		}
	}
	return sent
}

func processesIn(space *namespace) ([]Process, error) {
	own, err := os.Readlink(space.path("pid"))
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, dir := range names {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == space.first.Process.Pid {
			continue
		}
		// One that ends while it is looked at has neither.
		in, _ := os.Readlink(filepath.Join(dir, "ns", "pid"))
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if in == own && len(args) > 0 {
			found = append(found, Process{PID: pid, Args: strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")})
		}
	}
	return found, nil
}
