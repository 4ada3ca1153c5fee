package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holter-ha/holter/internal/audit"
)

// TestAuditFiles kills a monitor between acts of a person and demands that afterwards the audit files of all three hold the
// whole log, agree with each other and with the cluster, and that one changed word is found.
func TestAuditFiles(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.startAll(nil)
	p.until("a monitor leads", func() bool { return p.leader() != "" })
	inventory := filepath.Join(p.dir, "inventory.yaml")
	p.writeFile(inventory, processShop)
	p.must(0, "apply", "-f", inventory, "--reason", "first")
	victim := p.leader()
	p.kill(victim)
	p.until("another monitor leads", func() bool { leader := p.leader(); return leader != "" && leader != victim })
	p.must(0, "silence", "ams-1", "--for", "10m", "--reason", "a new kernel")
	p.start(victim)
	verify := []string{"audit", "verify"}
	for _, name := range monitorNames {
		verify = append(verify, filepath.Join(p.dir, name))
	}
	p.until("all audit files are at the cluster's end", func() bool {
		return strings.Count(p.must(0, verify...), "is confirmed") == len(monitorNames)
	})
	if out := p.must(0, verify...); strings.Contains(out, "gap") {
		t.Errorf("audit verify after a kill:\n%s\nwant no gap", out)
	}
	if out := p.must(0, "audit"); !strings.Contains(out, "a new kernel") || strings.Contains(out, "cluster.formed") {
		t.Errorf("audit:\n%s\nwant the silence, and nothing that the monitors did", out)
	}
	path := filepath.Join(p.dir, victim, audit.FileName)
	text, err := os.ReadFile(path)
	if err != nil || bytes.Count(text, []byte("a new kernel")) != 1 {
		t.Fatalf("%s: %v\n%s\nwant the reason of the silence in it once", path, err, text)
	}
	p.writeFile(path+".changed", string(bytes.Replace(text, []byte("a new kernel"), []byte("an old kernel"), 1)))
	if out := p.must(15, "audit", "verify", path+".changed"); !strings.Contains(out, "BROKEN: "+path+".changed:") {
		t.Errorf("audit verify of a changed file:\n%s\nwant the line that is broken", out)
	}
}
