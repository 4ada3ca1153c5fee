package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
)

// upgradeShop has a lease that no upgrade and no busy machine makes end.
const upgradeShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: upgrade, lease: {length: 30s}}
sites: {ams: {}, fra: {}}
hosts: {ams-1: {site: ams, self_fence: guard}, fra-1: {site: fra, self_fence: guard}}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1]}
  api: {kind: command, unit: api, hosts: [ams-1]} # it waits until ams-1 can take it
`

// TestUpgradeIsNoOutage: the agent ends and is started again from another file, asked to and not, and so does the guard. By
// its own record the workload did not notice.
func TestUpgradeIsNoOutage(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.begin([]string{"ams-1", "fra-1"}, upgradeShop)
	p.must(0, "start", "db")
	p.wrote([]string{"started db ams-1"})

	program, err := os.ReadFile(p.program)
	if err != nil {
		t.Fatal(err)
	}
	p.program = filepath.Join(p.dir, "holter-next")
	if err := os.WriteFile(p.program, program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		epoch := p.host("ams-1").Epoch
		p.end("ams-1", sig)
		p.start("ams-1")
		p.until("the next agent has joined", func() bool {
			host := p.host("ams-1")
			return host.Epoch > epoch && host.Word == console.HostAlive && host.Lease.Held
		})
		p.has(map[string]string{"db": "ams-1", "api": ""})
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		p.end(guardOf("ams-1"), sig)
		p.start(guardOf("ams-1"))
		p.must(0, "start", "api") // nothing exclusive starts without a guard that has read how to kill it
		p.must(0, "stop", "api")
	}
	p.wrote([]string{"started db ams-1", "started api ams-1", "stopped api ams-1", "started api ams-1", "stopped api ams-1"})
}

// guardShop has short leases.
const guardShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: guard, lease: {profile: fast}}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, self_fence: guard}
  ams-2: {site: ams, self_fence: guard}
  fra-1: {site: fra, self_fence: guard}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1]}
  api: {kind: command, unit: api, hosts: [ams-2, fra-1]}
  web: {kind: command, unit: web, hosts: [fra-1]}
`

// TestGuardKillsByTheLease: an agent that is dead, or stopped, for longer than its lease cannot stop what it started. The
// guard kills it when the lease ends, not before, and it starts elsewhere a safe time after that.
func TestGuardKillsByTheLease(t *testing.T) {
	for _, c := range []struct {
		name, host, workload string
		sig                  syscall.Signal
	}{
		{"killed", "ams-1", "db", syscall.SIGKILL},
		{"stopped", "ams-2", "api", syscall.SIGSTOP},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcesses(t)
			p.begin([]string{"ams-1", "ams-2", "fra-1"}, guardShop)
			p.must(0, "start", c.workload)
			epoch := p.host(c.host).Epoch
			if c.sig == syscall.SIGKILL {
				p.kill(c.host)
			} else if err := p.running[c.host].Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			died := p.untilDead(c.workload, c.host)
			ends := p.leaseEnd(c.host)
			if died < ends {
				t.Errorf("%s was killed %v before the lease ended", c.workload, ends-died)
			}
			p.until("it runs elsewhere", func() bool { return p.lives(c.workload, "fra-1") })
			lines := p.lines()
			if waited := lines[len(lines)-1].At - ends; waited < lease.GuardKill {
				t.Errorf("%s was started elsewhere %v after the end of the lease, want at least the time to kill, %v", c.workload, waited, lease.GuardKill)
			}
			p.wrote([]string{"started " + c.workload + " " + c.host, "started " + c.workload + " fra-1"}) // nobody asked it to stop
			p.freedBy(c.workload, planner.LeaseExpired)

			if c.sig == syscall.SIGKILL {
				p.start(c.host)
			} else if err := p.running[c.host].Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			p.until("the agent has joined anew", func() bool {
				host := p.host(c.host)
				return host.Epoch > epoch && host.Word == console.HostAlive && host.Lease.Held
			})
			if p.lives(c.workload, c.host) || !p.lives(c.workload, "fra-1") {
				t.Errorf("%s runs on %s, or not on fra-1", c.workload, c.host)
			}
		})
	}
}

// TestWithoutGuard: a host whose guard is gone says so, starts nothing, and stops what is exclusive when its lease ends.
// When the guard is back, so is the rest.
func TestWithoutGuard(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.begin([]string{"ams-1", "ams-2", "fra-1"}, guardShop)
	p.must(0, "start", "web")
	p.kill(guardOf("fra-1"))
	killed := time.Now()
	p.until("status says that the guard is gone", func() bool {
		return strings.Contains(p.host("fra-1").Lease.Why, "is holter guard running on this host?")
	})
	t.Logf("status says so after %v", time.Since(killed).Round(time.Millisecond))
	p.until("status shows it", func() bool { // a busy machine may stall all monitors for a moment: then they say that
		said, _, _ := p.holter("status")
		return strings.Contains(said, "is holter guard running on this host?")
	})
	p.until("web was stopped", func() bool { return !p.lives("web", "fra-1") })
	p.wrote([]string{"started web fra-1", "stopped web fra-1"})
	p.must(0, "start", "web", "--no-wait")
	p.until("the run waits", func() bool { run := p.run("R-0002"); return run != nil && len(run.Waits) > 0 })
	t.Logf("the run waits: %q", p.run("R-0002").Waits)
	p.wrote([]string{"started web fra-1", "stopped web fra-1"})

	p.start(guardOf("fra-1"))
	p.succeeds("R-0002")
	p.wrote([]string{"started web fra-1", "stopped web fra-1", "started web fra-1"})
}

// begin starts a cluster, applies an inventory and a plan, arms it, and waits until all hosts have joined and hold a lease.
func (p *processes) begin(hosts []string, inventory string) {
	p.t.Helper()
	p.startAll(hosts)
	p.until("a monitor leads", func() bool { return p.leader() != "" })
	files := []string{filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")}
	p.writeFile(files[0], inventory)
	p.writeFile(files[1], p.plan)
	p.must(0, "apply", "-f", files[0], "-f", files[1])
	if p.plan == restartElsewhere {
		p.must(0, "plan", "arm", "restart-elsewhere")
	}
	p.until("all hosts have joined and hold a lease", func() bool {
		for _, host := range hosts {
			if item := p.host(host); item.Word != console.HostAlive || !item.Lease.Held {
				return false
			}
		}
		return true
	})
}

// host is a host as the API shows it, empty if nobody can say.
func (p *processes) host(name string) console.HostItem {
	host, err := p.client().Host(p.t.Context(), name)
	if err != nil {
		return console.HostItem{}
	}
	return host.Item
}

// lives says whether a process of a workload exists on a host, by the lock that it holds.
func (p *processes) lives(workload, host string) bool {
	p.t.Helper()
	lives, err := record.Lives(p.record())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, id := range lives {
		if id.Workload == workload && id.Host == host {
			return true
		}
	}
	return false
}

// untilDead waits until no process of a workload exists on a host and returns a time no earlier than its death.
func (p *processes) untilDead(workload, host string) time.Duration {
	p.t.Helper()
	p.until(workload+" is dead", func() bool { return !p.lives(workload, host) })
	return record.Now()
}

// leaseEnd is the end of a host's lease by the orders that its agent has left to the guard.
func (p *processes) leaseEnd(host string) time.Duration {
	p.t.Helper()
	var orders struct {
		Until time.Duration `json:"until_ns"`
	}
	text, err := os.ReadFile(filepath.Join(p.runDir(host), "orders.json"))
	if err == nil {
		err = json.Unmarshal(text, &orders)
	}
	if err != nil || orders.Until == 0 {
		p.t.Fatalf("no orders of %s: %v", host, err)
	}
	return orders.Until
}
