package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSamplesAreValid(t *testing.T) {
	m, err := ReadMonitorConfig("../../docs/samples/monitor.yaml")
	if err != nil {
		t.Error(err)
	}
	if got := m.Monitors["m2"]; got.API != portAPI || got.Routes != portRoutes {
		t.Errorf("m2's ports: got %+v, want the defaults", got)
	}
	a, err := ReadAgentConfig("../../docs/samples/agent.yaml")
	if err != nil {
		t.Error(err)
	}
	if len(a.NATS.URL.List()) != 3 || len(a.Commands) != 3 {
		t.Errorf("agent: got %+v", a)
	}
}

func TestMonitorConfigMistakes(t *testing.T) {
	const good = "name: m1\ndata_dir: /d\nmonitors: {m1: {address: 127.0.0.1}}\n"
	for name, c := range map[string]struct{ text, says string }{
		"empty":             {"", "is empty"},
		"unknown field":     {good + "frob: 1\n", "line 4: unknown field frob"},
		"second document":   {good + "---\nname: m2\n", "second document"},
		"wrong type":        {"name: [a]\n", "does not fit here"},
		"no name":           {"data_dir: /d\n", `name "": use lower-case letters`},
		"itself missing":    {"name: m1\ndata_dir: /d\nmonitors: {m2: {address: 127.0.0.1}}\n", `does not list "m1" itself`},
		"not an address":    {"name: m1\ndata_dir: /d\nmonitors: {m1: {address: here}}\n", "is not an IP address"},
		"not loopback":      {"name: m1\ndata_dir: /d\nmonitors: {m1: {address: 10.0.0.1}}\n", "is not a loopback address"},
		"even number":       {"name: m1\ndata_dir: /d\nmonitors: {m1: {address: 127.0.0.1}, m2: {address: 127.0.0.2}}\n", "use 1, 3 or 5"},
		"port out of range": {"name: m1\ndata_dir: /d\nmonitors: {m1: {address: 127.0.0.1, api: 99999}}\n", "port 99999"},
		"size":              {good + "disk: {ballast: 64}\n", `"64" is not a size`},
		"log level":         {good + "log: {level: loud}\n", `log.level "loud"`},
		"NATS without TLS":  {good + "nats: {url: \"nats://10.0.0.1:4222\"}\n", "without TLS"},
		"NATS not a URL":    {good + "nats: {url: \"10.0.0.1\"}\n", "is not a URL"},
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMonitorConfig(path)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want a config error that says %q", name, err, c.says)
		}
	}
}

// TestAllMistakesAtOnce: whoever mends a file sees everything that is wrong with it.
func TestAllMistakesAtOnce(t *testing.T) {
	c := MonitorConfig{Name: "M1", Log: LogConfig{Format: "xml"}, Disk: DiskConfig{MinFree: "little"}}
	err := c.complete()
	for _, says := range []string{`name "M1"`, "data_dir is missing", "does not list", "disk.min_free", "log.format"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want also %q", err, says)
		}
	}
}
