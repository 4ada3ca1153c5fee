package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/holter-ha/holter/"

// table lists, for each package, the packages of Holter's own that it may import directly. What a listed package may import
// is allowed too. It is the table of docs/architecture.md; a new arrow is a changed test, hence a decision.
//
// A pattern that ends in /... stands for the packages below it. "all" is everything but cmd.
var table = map[string][]string{
	"actions":     {},
	"actions/...": {"actions"},

	"lease":     {},
	"lease/sim": {"lease", "planner", "wire"},

	"wire":  {"actions", "lease"},
	"plans": {"actions", "lease"},

	"planner":        {"lease", "plans", "wire"},
	"planner/detect": {"planner"},
	"raftstore":      {"internal/quiet", "planner"},
	"monitor":        {"internal/quiet", "lease", "planner"},
	"agent":          {"actions", "actions/probe", "agent/guard", "lease", "wire"},
	"agent/guard":    {"actions", "lease"},

	"agent/guard/guardtest": {"actions/memory", "agent/guard"},
	"console":               {"lease", "planner", "internal/identity"},
	"cmd/holter":            {"internal/audit", "internal/node", "internal/demo", "internal/setup", "internal/identity", "plans", "console"},

	"internal/identity":     {},
	"internal/setup":        {"internal/identity", "console"},
	"internal/audit":        {"planner"},
	"internal/metrics":      {"console"},
	"internal/notify":       {"console", "wire"},
	"internal/quiet":        {},
	"internal/sdnotify":     {},
	"internal/bus":          {"internal/identity", "internal/quiet", "wire"},
	"internal/bus/faultnet": {},
	"internal/node":         {"all"},
	"internal/demo":         {"internal/node", "console"},
	"internal/arch":         {},

	"console/consoletest":               {"console"},
	"raftstore/rafttest":                {},
	"integration":                       {"all"},
	"integration/testbed":               {},
	"integration/testbed/netns":         {"integration/testbed", "integration/testbed/procs", "integration/testbed/procs/record", "console"},
	"integration/testbed/procs":         {},
	"integration/testbed/procs/record":  {},
	"integration/testbed/procs/...":     {"integration/testbed/procs/record"},
	"integration/testbed/guest":         {"integration/testbed", "integration/testbed/guest/control", "integration/testbed/guest/relay"},
	"integration/testbed/guest/init":    {"integration/testbed/guest/control", "integration/testbed/guest/relay"},
	"integration/testbed/guest/control": {},
	"integration/testbed/guest/relay":   {},
	"actions/conformance":               {"actions"},
}

// pure packages read no clock, draw no random numbers and touch nothing outside.
var pure = []string{"lease", "plans", "planner", "wire", "actions"}

// impure is what pure packages must not import.
var impure = []string{"os", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "github.com/rs/zerolog"}

// only says which packages may import what belongs into one room.
var only = map[string][]string{
	"gopkg.in/yaml.v3":                         {"plans", "internal/node"},
	"github.com/hashicorp/raft":                {"raftstore", "raftstore/rafttest", "internal/node"},
	"github.com/nats-io/nats.go":               {"internal/bus", "internal/bus/faultnet"},
	"github.com/nats-io/nats-server/v2/server": {"internal/bus"},
	"github.com/coreos/go-systemd/v22/dbus":    {"actions/systemd"},
	"github.com/coreos/go-systemd/v22/daemon":  {"internal/sdnotify"},
	"github.com/spf13/cobra":                   {"cmd/holter"},

	"github.com/prometheus/client_golang/prometheus":            {"internal/metrics"},
	"github.com/prometheus/client_golang/prometheus/collectors": {"internal/metrics"},
	"github.com/prometheus/client_golang/prometheus/promhttp":   {"internal/metrics"},
}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

// packages lists all packages of the module with the imports of their non-test files.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read the output of go list: %v", err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

// row finds a package's row of the table.
func row(name string) ([]string, bool) {
	if allowed, ok := table[name]; ok {
		return allowed, true
	}
	for pattern, allowed := range table {
		if below, ok := strings.CutSuffix(pattern, "/..."); ok && strings.HasPrefix(name, below+"/") {
			return allowed, true
		}
	}
	return nil, false
}

// reach is everything that a package may import: what its row lists, and what that may import.
func reach(name string, seen map[string]bool) map[string]bool {
	allowed, _ := row(name)
	for _, next := range allowed {
		if !seen[next] {
			seen[next] = true
			reach(next, seen)
		}
	}
	return seen
}

func TestImportTable(t *testing.T) {
	for name, p := range packages(t) {
		if _, ok := row(name); !ok {
			t.Errorf("package %s has no row in the import table: find its room, or change docs/architecture.md and this test", name)
			continue
		}
		allowed := reach(name, map[string]bool{})
		for _, imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, module)
			if !isOwn || allowed[own] || allowed["all"] && !strings.HasPrefix(own, "cmd/") {
				continue
			}
			t.Errorf("%s imports %s, which the import table does not allow", name, own)
		}
	}
}

func TestPurePackages(t *testing.T) {
	all := packages(t)
	for _, name := range pure {
		for _, imported := range all[name].Imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s: it is pure, time and chance come in as arguments", name, imported)
			}
		}
	}
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for name, p := range packages(t) {
		for _, imported := range p.Imports {
			if rooms, guarded := only[imported]; guarded && !slices.Contains(rooms, name) {
				t.Errorf("%s imports %s, which belongs into %v", name, imported, rooms)
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for name, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 40 {
			t.Errorf("package %s has no package comment that says what it is for", name)
		}
	}
}
