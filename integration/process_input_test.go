package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/internal/bus"
)

// TestDialledNATS is the start of the shop over a NATS that the user runs already, instead of the embedded one.
func TestDialledNATS(t *testing.T) {
	t.Parallel()
	server, err := bus.StartServer(bus.ServerOptions{Name: "mine", Host: "127.0.0.1", Port: bus.AnyPort, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	p := newProcesses(t)
	p.nats = server.ClientURL()
	p.startAll(shopHosts)
	p.until("a monitor leads", func() bool { return p.leader() != "" })
	if l, err := net.Listen("tcp", p.block+".0.1:7472"); err != nil {
		t.Errorf("a NATS was embedded beside the dialled one: %v", err)
	} else {
		_ = l.Close()
	}
	inventory := filepath.Join(p.dir, "inventory.yaml")
	p.writeFile(inventory, processShop)
	p.must(0, "apply", "-f", inventory)
	p.until("all hosts have joined", func() bool { return p.alive() == len(shopHosts) })
	p.must(0, "start", "--all")
	p.has(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})
	p.must(0, "stop", "--all")
}

// TestWrongInput checks what the program says and exits with when it is given something wrong, and that nothing changes.
func TestWrongInput(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.startAll([]string{"ams-1"})
	p.until("a monitor leads", func() bool { return p.leader() != "" })
	inventory, wrong := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "wrong.yaml")
	p.writeFile(inventory, processShop)
	p.writeFile(wrong, strings.Replace(processShop, "settle: 1s", "settel: 1", 1))
	p.must(0, "apply", "-f", inventory)

	for _, c := range []struct {
		name string
		code int
		says string
		args []string
	}{
		{"unknown flag", 2, "--frob", []string{"status", "--frob"}},
		{"typo in a verb", 2, "did you mean", []string{"statsu"}},
		{"wrong file, offline", 3, "did you mean \"settle\"", []string{"plan", "lint", wrong}},
		{"wrong file, applied", 3, "did you mean \"settle\"", []string{"apply", "-f", wrong}},
		{"stale", 5, "nothing was changed", []string{"apply", "-f", inventory, "--if-match", "1"}},
		{"no such workload", 14, "nosuch", []string{"start", "nosuch"}},
		{"order", 13, "--with-providers", []string{"start", "web"}},
		{"config without data_dir", 3, "data_dir is missing", []string{"monitor", "--config", p.config("bad1", "name: m1\nmonitors: {m1: {address: 127.0.0.1}}\n")}},
		{"config with an unknown field", 3, "line 2: unknown field datadir", []string{"monitor", "--config", p.config("bad2", "name: m1\ndatadir: x\n")}},
		{"config that binds the world", 3, "not a loopback address", []string{"monitor", "--config", p.config("bad3", "name: m1\ndata_dir: x\nmonitors: {m1: {address: 0.0.0.0}}\n")}},
		{"agent over a NATS for all to hear", 3, "without TLS", []string{"agent", "--config", p.config("bad4", "name: a\ndata_dir: x\nnats: {url: \"nats://192.0.2.1:4222\"}\n")}},
		{"no such config", 3, "no such file", []string{"agent", "--config", filepath.Join(p.dir, "none.yaml")}},
		{"port in use", 1, "in use", []string{"monitor", "--config", p.path("m1")}},
		{"data directory in use", 1, "in use", []string{"monitor", "--config", p.config("twin", p.twin())}},
		{"data directory that is a file", 1, "", []string{"monitor", "--config", p.config("file", p.onFile())}},
		{"agent's data directory in use", 1, "another agent is using it", []string{"agent", "--config", p.path("ams-1")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, talk, code := p.holter(c.args...)
			if code != c.code || !strings.Contains(out+talk, c.says) {
				t.Errorf("holter %s: exit code %d, want %d, and %q, got:\n%s%s", strings.Join(c.args, " "), code, c.code, c.says, out, talk)
			}
		})
	}
	if status, err := p.client().Status(t.Context()); err != nil || len(status.Item.Runs) != 0 || status.Item.Cluster != "shop" {
		t.Errorf("something was changed: %+v %v", status.Item, err)
	}

	p.kill("m1")
	p.kill("m2")
	said := p.must(7, "status")
	if !strings.Contains(said, "NO QUORUM: 1 of 3 monitors answers") {
		t.Errorf("status without quorum says\n%s", said)
	}
	p.must(7, "start", "db")
	p.must(0, "status", "--stale")
}

// config writes a config file and returns its path.
func (p *processes) config(name, text string) string {
	p.writeFile(p.path(name), text)
	return p.path(name)
}

// twin is m1's config on another address: its data directory is taken.
func (p *processes) twin() string {
	return fmt.Sprintf("name: m1\ndata_dir: %s\nmonitors: {m1: {address: %s.1.1}}\n", filepath.Join(p.dir, "m1"), p.block)
}

// onFile is the config of a monitor whose data directory is a file.
func (p *processes) onFile() string {
	p.writeFile(filepath.Join(p.dir, "flat"), "")
	return fmt.Sprintf("name: m1\ndata_dir: %s\nmonitors: {m1: {address: %s.1.1}}\n", filepath.Join(p.dir, "flat"), p.block)
}

func (p *processes) writeFile(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
