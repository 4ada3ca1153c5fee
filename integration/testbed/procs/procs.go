// Package procs holds what tests with real processes of the real program need, wherever those processes run: it builds the
// programs, writes their config files, and looks for data races in what they logged.
//
// Invariants: a test binary builds each program once, with the race detector if it has it itself.
//
// Concurrency: Programs may be used by several tests at once.
package procs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Programs are the programs that tests start. The zero value builds them when they are first asked for.
type Programs struct {
	once sync.Once
	dir  string
	err  error
}

// BuiltIn is the programs that another process of this test has built in a directory.
func BuiltIn(dir string) *Programs {
	p := &Programs{dir: dir}
	p.once.Do(func() {})
	return p
}

// Holter is the path of the program.
func (p *Programs) Holter(t testing.TB) string { return p.path(t, "holter") }

// Workload is the path of a workload that records its life; see package record.
func (p *Programs) Workload(t testing.TB) string { return p.path(t, "workload") }

func (p *Programs) path(t testing.TB, name string) string {
	t.Helper()
	p.once.Do(func() { p.err = p.build() })
	if p.err != nil {
		t.Fatal(p.err)
	}
	return filepath.Join(p.dir, name)
}

func (p *Programs) build() error {
	var err error
	if p.dir, err = os.MkdirTemp("", "holter-test-"); err != nil {
		return err
	}
	const module = "github.com/holter-ha/holter/"
	cmd := exec.Command("go", "build", fmt.Sprintf("-race=%t", raceDetector), "-o", p.dir, module+"cmd/holter", module+"integration/testbed/procs/workload")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs of the tests: %w\n%s", err, out)
	}
	return nil
}

// Remove removes what was built, after all tests.
func (p *Programs) Remove() { _ = os.RemoveAll(p.dir) }

// Monitor is the config of a monitor.
type Monitor struct {
	Name      string
	DataDir   string
	Addresses map[string]string // of all monitors
	NATS      string            // URL of a NATS to dial; empty: embedded
	More      string            // lines of YAML
}

// Config is the text of the file.
func (m Monitor) Config() string {
	addresses := map[string]any{}
	for name, address := range m.Addresses {
		addresses[name] = map[string]string{"address": address}
	}
	return config(m.More, "name", m.Name, "data_dir", m.DataDir, "monitors", addresses,
		"nats", map[string]string{"url": m.NATS}, "disk", map[string]string{"min_free": "off"})
}

// Agent is the config of an agent.
type Agent struct {
	Name     string
	DataDir  string
	RunDir   string              // where it meets its guard; empty: the default
	NATS     []string            // URLs
	Commands map[string][]string // what each workload runs
	Env      map[string]string   // of all workloads
	More     string              // lines of YAML
}

// Config is the text of the file.
func (a Agent) Config() string {
	commands := map[string]any{}
	for name, argv := range a.Commands {
		commands[name] = map[string]any{"run": argv, "env": a.Env}
	}
	return config(a.More, "name", a.Name, "data_dir", a.DataDir, "run_dir", a.RunDir, "nats", map[string]string{"url": strings.Join(a.NATS, ",")}, "commands", commands)
}

// config writes YAML: pairs of a field and its value, which is written as JSON, and then more.
func config(more string, pairs ...any) string {
	var text strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		value, err := json.Marshal(pair[1])
		if err != nil {
			panic(err) // strings and maps of them
		}
		fmt.Fprintf(&text, "%s: %s\n", pair[0], value)
	}
	return text.String() + more
}

// CheckRaces fails the test if a process has logged a data race.
func CheckRaces(t testing.TB, name string, log []byte) {
	t.Helper()
	if i := bytes.Index(log, []byte("WARNING: DATA RACE")); i >= 0 {
		t.Errorf("%s:\n%s", name, log[i:min(len(log), i+maxShown)])
	}
}

// ShowLog shows the end of a process's log if the test has failed.
func ShowLog(t testing.TB, name string, log []byte) {
	t.Helper()
	if t.Failed() {
		t.Logf("--- %s\n%s", name, log[max(0, len(log)-maxShown):])
	}
}

// maxShown is how much of a log is shown, in bytes.
const maxShown = 6000
