package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/holter-ha/holter/console"
)

// foreignNATS starts a nats-server of somebody's own from a configuration file, with the certificate of m1: it runs on the same
// machine. said is what follows in the configuration.
func (p *processes) foreignNATS(url, said string) (config string, nats *server.Server) {
	p.t.Helper()
	config = filepath.Join(p.dir, "nats.conf")
	p.configureNATS(config, url, said)
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		p.t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	if nats, err = server.NewServer(options); err != nil {
		p.t.Fatal(err)
	}
	nats.Start()
	p.t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(10 * time.Second) {
		p.t.Fatal("the nats-server is not ready")
	}
	return config, nats
}

func (p *processes) configureNATS(config, url, said string) {
	p.t.Helper()
	keys := filepath.Join(p.dir, "prod", "m1", "tls")
	p.writeFile(config, fmt.Sprintf("listen: %q\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n%s",
		strings.TrimPrefix(url, "tls://"), filepath.Join(keys, "tls.crt"), filepath.Join(keys, "tls.key"), filepath.Join(keys, "ca.crt"), said))
}

// TestForeignNATS: a cluster over a NATS of somebody's own, which knows who may do what by what holter monitor acl prints: first
// by the monitors' own files, then with the agent that has enrolled. The doctor tries it, and finds a NATS that is open.
func TestForeignNATS(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.units = []string{"db"}
	url := "tls://" + p.block + ".0.1:4222"
	p.found("# nats:\n#   url: tls://10.0.0.9:4222", "nats:\n  url: "+url)
	acl := ""
	for _, name := range monitorNames { // each prints its own key, and a gap for the others'
		printed, talk, code := p.holter("monitor", "acl", "--config", p.path(name))
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, talk)
		}
		if acl == "" {
			acl = printed
		}
		_, own, _ := strings.Cut(printed, "# monitor "+name+"\n    {\n      nkey: \"")
		own, _, _ = strings.Cut(own, `"`)
		acl = strings.ReplaceAll(acl, "NKEY_OF_MONITOR_"+name, own)
	}
	config, nats := p.foreignNATS(url, acl)
	for _, name := range monitorNames {
		p.start(name)
	}
	p.waitLeader()
	p.enrol("ams-1") // its agent is refused until NATS has been told of it
	acl, talk, code := p.holter("monitor", "acl")
	if code != 0 || strings.Contains(acl, "NKEY_OF") || !strings.Contains(acl, "# the agent of ams-1") {
		t.Fatalf("exit code %d, want 0, three keys of monitors and one of ams-1\n%s%s", code, acl, talk)
	}
	p.configureNATS(config, url, acl)
	if err := nats.Reload(); err != nil {
		t.Fatal(err)
	}
	inventory := filepath.Join(p.dir, "inventory.yaml")
	p.writeFile(inventory, strings.Replace(securedShop, ", fra-1: {site: fra, self_fence: guard}", "", 1))
	p.edit(inventory, inventory, "hosts: [ams-1, fra-1]", "hosts: [ams-1]")
	p.must(0, "apply", "-f", inventory)
	p.until("ams-1 holds a lease", func() bool { return p.host("ams-1").Lease.Held })
	permissions := func() (grades []console.Grade) {
		findings, _, _ := p.doctor("--agent", p.path("ams-1"))
		for _, f := range findings {
			if f.Check == console.CheckPermissions {
				grades = append(grades, f.Grade)
				t.Log(f.Grade, f.Text)
			}
		}
		return grades
	}
	if got := permissions(); !slices.Equal(got, []console.Grade{console.GradeOK}) {
		t.Errorf("NATS as the monitors wish it: %v, want all well", got)
	}
	p.configureNATS(config, url, strings.ReplaceAll(acl, `allow: ["holter.v1.beat.ams-1"`, `allow: ["holter.v1.>"`))
	if err := nats.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := permissions(); len(got) < 2 || !slices.Contains(got, console.GradeCritical) {
		t.Errorf("NATS that lets the agent speak for everybody: %v, want that it is found", got)
	}
}
