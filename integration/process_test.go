package integration

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/procs"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

// processes is a cluster of real processes of the real program on loopback addresses, steered by its own command line.
type processes struct {
	t       *testing.T
	program string
	dir     string
	block   string   // the first two bytes of its addresses: "127.99"
	nats    string   // URL of a NATS to dial; empty: embedded
	units   []string // the commands of every host
	plan    string   // of begin
	// identity is the directory of the user that the command line is, token an API token in place of its certificate; empty: the
	// cluster has no TLS.
	identity, token string
	flags           map[string][]string // of a process, beside its config
	api             *console.Client
	running         map[string]*exec.Cmd // monitors and agents by the names of theirs, guards by guardOf of the host
}

// guardOf is what the guard of a host is called.
func guardOf(host string) string { return host + guardSuffix }

const guardSuffix = "/guard"

// programs is shared by all tests of this package.
var programs procs.Programs

func TestMain(m *testing.M) {
	code := m.Run()
	programs.Remove()
	former.Remove()
	os.Exit(code)
}

// newProcesses makes a cluster that startAll starts.
func newProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{
		t: t, program: programs.Holter(t), dir: t.TempDir(), block: freeBlock(t), running: map[string]*exec.Cmd{},
		units: []string{"db", "api", "web"}, plan: restartElsewhere, flags: map[string][]string{},
	}
	p.api = console.NewClient(p.servers(), console.ClientOptions{User: "test"})
	t.Cleanup(p.api.Close)
	t.Cleanup(p.killAll)
	return p
}

// startAll starts three monitors and all hosts.
func (p *processes) startAll(hosts []string) {
	p.t.Helper()
	addresses := map[string]string{"m1": p.block + ".0.1", "m2": p.block + ".0.2", "m3": p.block + ".0.3"}
	for _, name := range monitorNames {
		p.writeFile(p.path(name), procs.Monitor{Name: name, DataDir: filepath.Join(p.dir, name), Addresses: addresses, NATS: p.nats}.Config())
		p.start(name)
	}
	for _, host := range hosts {
		p.writeFile(p.path(host), p.agentConfig(host))
		p.startHost(host)
	}
}

// startHost starts a host's guard and its agent.
func (p *processes) startHost(host string) {
	p.t.Helper()
	p.start(guardOf(host))
	p.start(host)
}

// blocks counts the blocks that were tried: two tests at once must not find the same one.
var blocks atomic.Int32

// freeBlock finds 127.x with nobody on its monitors' ports.
func freeBlock(t testing.TB) string {
	t.Helper()
	for range 100 {
		block := fmt.Sprintf("127.%d", 64+(os.Getpid()+int(blocks.Add(1)))%128)
		free := true
		for _, port := range []string{"7470", "7471", "7472", "7473"} {
			l, err := net.Listen("tcp", block+".0.1:"+port)
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return block
		}
	}
	t.Fatal("no free block of loopback addresses")
	return ""
}

// agentConfig allows all units on a host. Each records its own life.
func (p *processes) agentConfig(host string) string {
	urls := []string{p.nats}
	if p.nats == "" {
		urls = []string{"nats://" + p.block + ".0.1:7472", "nats://" + p.block + ".0.2:7472", "nats://" + p.block + ".0.3:7472"}
	}
	commands := map[string][]string{}
	for _, unit := range p.units {
		commands[unit] = []string{programs.Workload(p.t), p.record(), unit}
	}
	return procs.Agent{
		Name: host, DataDir: filepath.Join(p.dir, host), RunDir: p.runDir(host), NATS: urls,
		Commands: commands, Env: map[string]string{"HOLTER_TEST": p.dir + " " + host},
	}.Config()
}

// runDir is where a host's agent and guard meet.
func (p *processes) runDir(host string) string { return filepath.Join(p.dir, host+".run") }

// record is where the workloads record their lives.
func (p *processes) record() string { return filepath.Join(p.dir, "record") }

func (p *processes) path(name string) string { return filepath.Join(p.dir, name+".yaml") }

// logOf is where a process logs to.
func (p *processes) logOf(name string) string {
	return filepath.Join(p.dir, strings.ReplaceAll(name, "/", ".")+".log")
}

// start starts the monitor, agent or guard of a name, in a process group of its own; its log goes on where it was.
func (p *processes) start(name string) {
	p.t.Helper()
	verb, config := "agent", p.path(name)
	if strings.HasPrefix(name, "m") {
		verb = "monitor"
	}
	if host, isGuard := strings.CutSuffix(name, guardSuffix); isGuard {
		verb, config = "guard", p.path(host)
	}
	log, err := os.OpenFile(p.logOf(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.program, append([]string{verb, "--config", config}, p.flags[name]...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "PATH="+p.bin(name)+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.running[name] = cmd
}

// bin is where a process looks for programs first.
func (p *processes) bin(name string) string { return filepath.Join(p.dir, name+".bin") }

// kill takes a process away at once and waits until it is gone.
func (p *processes) kill(name string) {
	p.end(name, syscall.SIGKILL)
}

// end sends a signal that ends a process and waits until it is gone.
func (p *processes) end(name string, sig syscall.Signal) {
	cmd := p.running[name]
	delete(p.running, name)
	_ = cmd.Process.Signal(sig) // fails only if it has ended already
	_ = cmd.Wait()
}

// killHost takes a host away with everything that runs on it.
func (p *processes) killHost(host string) {
	for _, name := range []string{host, guardOf(host)} {
		if p.running[name] != nil {
			p.kill(name)
		}
	}
	p.killWorkloads(host)
}

// killWorkloads kills every process that an agent of this test has started on a host, on any if none is named, and their
// children.
func (p *processes) killWorkloads(host string) {
	for p.signalWorkloads(host, syscall.SIGKILL) > 0 {
	}
}

// signalWorkloads sends a signal to these processes and returns how many there were.
func (p *processes) signalWorkloads(host string, sig syscall.Signal) int {
	mark, sent := []byte("HOLTER_TEST="+p.dir+" "), 0
	if host != "" {
		mark = append(mark, host+"\x00"...)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range procs {
		environ, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(environ, mark) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil && syscall.Kill(pid, sig) == nil {
			sent++
		}
	}
	return sent
}

func (p *processes) killAll() {
	for name := range p.running {
		p.kill(name)
	}
	p.killWorkloads("")
	logs, _ := filepath.Glob(filepath.Join(p.dir, "*.log"))
	for _, path := range logs {
		log, _ := os.ReadFile(path)
		name := filepath.Base(path)
		procs.CheckRaces(p.t, name, log)
		procs.ShowLog(p.t, name, log)
	}
	if said := record.Report(record.Judge(p.lines())); said != "" {
		p.t.Errorf("by the workloads' own record:\n%s", said)
	}
}

// holter runs the command line and returns what it says and its exit code.
func (p *processes) holter(args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), untilLimit) // it is asked for the state after a test's end, too
	defer cancel()
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env = append(os.Environ(), "HOLTER_SERVER="+strings.Join(p.servers(), ","), "HOLTER_IDENTITY="+p.identity, "HOLTER_TOKEN="+p.token)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	_ = cmd.Run()
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// must runs the command line and demands its exit code. A busy machine may be without a leader for a moment: while the
// answer is that there is no quorum, and nothing was changed, it is asked again.
func (p *processes) must(code int, args ...string) string {
	p.t.Helper()
	var out, talk string
	var got int
	p.until("a leader answers", func() bool {
		out, talk, got = p.holter(args...)
		return got == code || got != int(console.ExitNoQuorum)
	})
	if got != code {
		p.t.Fatalf("holter %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, talk)
	}
	return out + talk
}

// servers are the addresses of the monitors' API.
func (p *processes) servers() []string {
	scheme := "http://"
	if p.identity != "" {
		scheme = "https://"
	}
	return []string{scheme + p.block + ".0.1:7470", scheme + p.block + ".0.2:7470", scheme + p.block + ".0.3:7470"}
}

// client asks as the command line does.
func (p *processes) client() *console.Client { return p.api }

// leader is the monitor that leads now, "" if nobody can say.
func (p *processes) leader() string {
	status, err := p.client().Status(p.t.Context())
	if err != nil {
		return ""
	}
	return status.Item.Leader
}

// run is the run of an id, nil if there is none or nobody can say.
func (p *processes) run(id string) *console.RunItem {
	run, err := p.client().Run(p.t.Context(), id)
	if err != nil {
		return nil
	}
	return &run.Item
}

// owners is who owns which workload.
func (p *processes) owners() map[string]string {
	list, err := p.client().Workloads(p.t.Context())
	if err != nil {
		return nil
	}
	owners := map[string]string{}
	for _, w := range list.Items {
		owners[w.Name] = w.Owner
	}
	return owners
}

// until asks again and again until a condition holds.
func (p *processes) until(what string, holds func() bool) {
	p.t.Helper()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(untilLimit); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			status, talk, _ := p.holter("status", "--stale")
			events, _, _ := p.holter("events", "--stale")
			p.t.Fatalf("not within %v: %s\n%s%s%s", untilLimit, what, status, talk, events)
		}
	}
}

const (
	askEvery   = 50 * time.Millisecond
	untilLimit = 2 * time.Minute
)

// lines is what the workloads wrote themselves.
func (p *processes) lines() []record.Line {
	lines, err := record.Read(p.record())
	if err != nil {
		p.t.Error(err)
	}
	return lines
}
