package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
)

// processes is a cluster of real processes of the real program on loopback addresses, steered by its own command line.
type processes struct {
	t       *testing.T
	dir     string
	block   string // the first two bytes of its addresses: "127.99"
	nats    string // URL of a NATS to dial; empty: embedded
	running map[string]*exec.Cmd
}

// program builds the program once for all tests of this package.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "holter-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "holter")
	out, err := exec.Command("go", "build", fmt.Sprintf("-race=%t", raceDetector), "-o", path, "github.com/holter-ha/holter/cmd/holter").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		if path, err := program(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// built says that some test asked for the program.
var built bool

// newProcesses makes a cluster that startAll starts.
func newProcesses(t *testing.T) *processes {
	t.Helper()
	built = true
	if _, err := program(); err != nil {
		t.Fatal(err)
	}
	p := &processes{t: t, dir: t.TempDir(), block: freeBlock(t), running: map[string]*exec.Cmd{}}
	t.Cleanup(p.killAll)
	return p
}

// startAll starts three monitors and an agent for each host.
func (p *processes) startAll(hosts []string) {
	p.t.Helper()
	for _, name := range monitorNames {
		p.writeFile(p.path(name), fmt.Sprintf("name: %s\ndata_dir: %s\ndisk: {min_free: off}\nnats: {url: %q}\nmonitors:\n", name, filepath.Join(p.dir, name), p.nats)+
			fmt.Sprintf("  m1: {address: %[1]s.0.1}\n  m2: {address: %[1]s.0.2}\n  m3: {address: %[1]s.0.3}\n", p.block))
		p.start(name)
	}
	for _, host := range hosts {
		p.writeFile(p.path(host), p.agentConfig(host))
		p.start(host)
	}
}

// freeBlock finds 127.x with nobody on its monitors' ports.
func freeBlock(t testing.TB) string {
	t.Helper()
	for i := range 100 {
		block := fmt.Sprintf("127.%d", 64+(os.Getpid()+i)%128)
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

// workload is what every workload of these tests is: a shell that writes down itself when it began and ended.
const workload = `echo "started $HOLTER_TOKEN $HOLTER_HOST" >> LOG; trap 'echo "stopped $HOLTER_TOKEN $HOLTER_HOST" >> LOG; exit 0' TERM; while :; do sleep 3600 & wait $!; done`

// agentConfig allows db, api and web on a host. Each appends to one log for all, as it is itself started and stopped.
func (p *processes) agentConfig(host string) string {
	urls := p.nats
	if urls == "" {
		urls = fmt.Sprintf("nats://%[1]s.0.1:7472,nats://%[1]s.0.2:7472,nats://%[1]s.0.3:7472", p.block)
	}
	text := fmt.Sprintf("name: %s\ndata_dir: %s\nnats: {url: %q}\ncommands:\n", host, filepath.Join(p.dir, host), urls)
	for _, unit := range []string{"db", "api", "web"} {
		script := strings.ReplaceAll(workload, "LOG", filepath.Join(p.dir, "workloads.log"))
		script = strings.ReplaceAll(script, "started ", "started "+unit+" ")
		script = strings.ReplaceAll(script, "stopped ", "stopped "+unit+" ")
		quoted, _ := json.Marshal(script)
		text += fmt.Sprintf("  %s: {run: [/bin/sh, -c, %s], env: {HOLTER_TEST: %q}}\n", unit, quoted, p.dir+" "+host)
	}
	return text
}

func (p *processes) path(name string) string { return filepath.Join(p.dir, name+".yaml") }

// start starts the monitor or agent of a name, in a process group of its own; its log goes on where it was.
func (p *processes) start(name string) {
	p.t.Helper()
	verb := "agent"
	if strings.HasPrefix(name, "m") {
		verb = "monitor"
	}
	path, _ := program()
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(path, verb, "--config", p.path(name))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.running[name] = cmd
}

// kill takes a process away at once and waits until it is gone.
func (p *processes) kill(name string) {
	cmd := p.running[name]
	delete(p.running, name)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// killHost takes an agent away together with everything that it has started.
func (p *processes) killHost(host string) {
	p.kill(host)
	p.killWorkloads(host)
}

// killWorkloads kills every process that an agent of this test has started on a host, and their children.
func (p *processes) killWorkloads(host string) {
	mark := []byte("HOLTER_TEST=" + p.dir + " " + host + "\x00")
	for killed := true; killed; {
		killed = false
		procs, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range procs {
			environ, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(environ, mark) {
				continue
			}
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed = true
			}
		}
	}
}

func (p *processes) killAll() {
	for name := range p.running {
		p.kill(name)
	}
	for _, host := range shopHosts {
		p.killWorkloads(host)
	}
	for _, name := range slices.Concat(monitorNames, shopHosts) {
		log, _ := os.ReadFile(filepath.Join(p.dir, name+".log"))
		if i := bytes.Index(log, []byte("WARNING: DATA RACE")); i >= 0 {
			p.t.Errorf("%s:\n%s", name, log[i:min(len(log), i+6000)])
		}
		if p.t.Failed() {
			p.t.Logf("--- %s\n%s", name, log[max(0, len(log)-6000):])
		}
	}
}

// holter runs the command line and returns what it says and its exit code.
func (p *processes) holter(args ...string) (stdout, stderr string, code int) {
	path, _ := program()
	cmd := exec.CommandContext(p.t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HOLTER_SERVER="+strings.Join(p.servers(), ","))
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	_ = cmd.Run()
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// must runs the command line and demands its exit code.
func (p *processes) must(code int, args ...string) string {
	p.t.Helper()
	out, talk, got := p.holter(args...)
	if got != code {
		p.t.Fatalf("holter %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, talk)
	}
	return out + talk
}

// servers are the addresses of the monitors' API.
func (p *processes) servers() []string {
	return []string{p.block + ".0.1:7470", p.block + ".0.2:7470", p.block + ".0.3:7470"}
}

// client asks as the command line does.
func (p *processes) client() *console.Client {
	return console.NewClient(p.servers(), console.ClientOptions{User: "test"})
}

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

// until asks again and again until a condition holds. Asking takes its time: nothing else paces it.
func (p *processes) until(what string, holds func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			status, talk, _ := p.holter("status")
			events, _, _ := p.holter("events")
			p.t.Fatalf("not within a minute: %s\n%s%s%s", what, status, talk, events)
		}
	}
}

// log is what the workloads wrote themselves: lines of "started|stopped NAME TOKEN HOST".
func (p *processes) log() []string {
	text, err := os.ReadFile(filepath.Join(p.dir, "workloads.log"))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
