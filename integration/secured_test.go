package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/planner"
)

const securedShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: secured, lease: {profile: fast}}
sites: {ams: {}, fra: {}}
hosts: {ams-1: {site: ams, self_fence: guard}, fra-1: {site: fra, self_fence: guard}}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1]}
`

// edit replaces what a file holds here and there, and leaves the result in another one.
func (p *processes) edit(from, to string, replacements ...string) {
	p.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(string(text), replacements[i]) {
			p.t.Fatalf("%s does not hold %q", from, replacements[i])
		}
	}
	p.writeFile(to, strings.NewReplacer(replacements...).Replace(string(text)))
}

// secure makes a cluster with holter init and starts its monitors from the files that it wrote. From here on the command line
// is the first admin.
func (p *processes) secure() {
	p.t.Helper()
	p.found()
	for _, name := range monitorNames {
		p.start(name)
	}
}

// found makes a cluster with holter init, and edits the monitors' files: the pairs are what is replaced by what.
func (p *processes) found(edits ...string) {
	p.t.Helper()
	prod := filepath.Join(p.dir, "prod")
	args := []string{"init", prod, "--cluster", "secured"}
	for i, name := range monitorNames {
		args = append(args, "--monitor", name+"="+p.block+".0."+string(rune('1'+i)))
	}
	p.must(0, args...)
	for _, name := range monitorNames {
		dir := filepath.Join(prod, name)
		p.edit(filepath.Join(dir, "monitor.yaml"), p.path(name), append(edits, "/var/lib/holter/monitor", filepath.Join(p.dir, name),
			"dir: tls", "dir: "+filepath.Join(dir, "tls"), "min_free: 512MiB", "min_free: off", "ballast: 64MiB", `ballast: "off"`)...)
	}
	p.become(filepath.Join(prod, "admin"))
}

// become makes a user of the command line, and of the client.
func (p *processes) become(dir string) {
	p.t.Helper()
	party, err := identity.Load(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	p.identity = dir
	p.api = console.NewClient(p.servers(), console.ClientOptions{TLS: party.Client()})
	p.t.Cleanup(p.api.Close)
}

// enrol invites a host, has it join, and starts its guard and agent from the files that this wrote.
func (p *processes) enrol(host string) (token string) {
	p.t.Helper()
	token = p.secret("agent", "invite", host)
	dir := filepath.Join(p.dir, host+".etc")
	p.must(0, "join", token, "--dir", dir)
	own := p.agentConfig(host)
	commands := own[strings.Index(own, "commands:"):]
	p.edit(filepath.Join(dir, "agent.yaml"), p.path(host), "/var/lib/holter/agent", filepath.Join(p.dir, host),
		"# run_dir: /run/holter/"+host, "run_dir: "+p.runDir(host), "dir: tls", "dir: "+filepath.Join(dir, "tls"), "\nlog:\n", "\n"+commands+"\nlog:\n")
	p.startHost(host)
	return token
}

// secret asks for something secret, which stands alone on the first line.
func (p *processes) secret(args ...string) string {
	p.t.Helper()
	first, _, _ := strings.Cut(p.must(0, args...), "\n")
	return first
}

// TestSecured is the way of a newcomer, all over mutual TLS: init, three monitors, two hosts that join, a failover; and what
// must not be possible on the way.
func TestSecured(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.units = []string{"db"}
	p.secure()
	p.waitLeader()
	token := p.enrol("ams-1")
	p.enrol("fra-1")
	inventory, plan := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")
	p.writeFile(inventory, securedShop)
	p.writeFile(plan, restartElsewhere)
	p.must(0, "apply", "-f", inventory, "-f", plan, "--reason", "first")
	p.must(0, "plan", "arm", "restart-elsewhere")
	p.until("both hosts hold a lease", func() bool {
		return p.host("ams-1").Lease.Held && p.host("fra-1").Lease.Held
	})
	p.must(0, "start", "db", "--reason", "CHG-1")
	p.has(map[string]string{"db": "ams-1"})

	p.refused(token)

	p.must(0, "agent", "revoke", "ams-1", "--reason", "stolen") // it is cut off, and fences itself
	p.until("db runs on fra-1", func() bool { return p.owners()["db"] == "fra-1" && p.lives("db", "fra-1") })
	p.freedBy("db", planner.LeaseExpired)
	p.wrote([]string{"started db ams-1", "stopped db ams-1", "started db fra-1"})
	if said := p.must(0, "audit", "-o", "jsonl"); !strings.Contains(said, `"user:admin"`) || !strings.Contains(said, "stolen") {
		t.Errorf("the audit does not say who revoked ams-1, and why:\n%s", said)
	}
	p.enrolAnew("ams-1")
}

// refused tries what must not be possible. Nothing of it may enter the log.
func (p *processes) refused(token string) {
	p.t.Helper()
	admin := p.identity
	p.must(0, "user", "set", "ann", "--role", "viewer")
	ann := filepath.Join(p.dir, "ann")
	p.must(0, "user", "cert", "ann", "--dir", ann)
	secret := p.secret("token", "make", "ann")
	p.must(0, "token", "revoke", "ann", strings.Split(secret, "_")[1])
	status, err := p.api.Status(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	forbidden := int(console.ExitForbidden)
	p.must(forbidden, "join", token, "--dir", filepath.Join(p.dir, "again")) // the invitation is used up
	p.become(ann)
	p.must(0, "workloads")
	for _, args := range [][]string{
		{"stop", "db"},
		{"fence", "fra-1", "--reason", "x", "--yes"},
		{"user", "set", "ann", "--role", "admin"},
		{"agent", "invite", "x"},
		{"plan", "disarm", "restart-elsewhere", "--reason", "x"},
		{"agent", "revoke", "ams-1"},
		{"monitor", "remove", "m1", "--reason", "x"},
	} {
		p.must(forbidden, args...)
	}
	p.become(admin)
	p.token = secret // revoked; beside a token the certificate is not shown
	p.must(forbidden, "workloads")
	p.token = ""
	events, err := p.api.Events(p.t.Context(), &status.Index, 100)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range events.Items {
		p.t.Errorf("something refused entered the log: #%d %s %s", e.Index, e.Name, e.Subject)
	}
}

// enrolAnew lets a host that was cut off come back, with new keys.
func (p *processes) enrolAnew(host string) {
	p.t.Helper()
	p.killHost(host)
	dir := filepath.Join(p.dir, host+".etc")
	p.must(0, "join", "--replace", p.secret("agent", "invite", host), "--dir", dir)
	p.startHost(host)
	p.until(host+" is back", func() bool { return p.host(host).Word == console.HostAlive })
}
