package integration

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

// processShop has a host that waits for a person, and leases that outlast a restart of everything, but for the host that is
// to be taken over.
const processShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop, heartbeat: {interval: 150ms, lost_after: 1s}, lease: {length: 30s}}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, self_fence: guard, lease: {profile: fast}}
  ams-2: {site: ams, self_fence: guard}
  fra-1: {site: fra}
  fra-2: {site: fra, self_fence: guard}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1], ready: {when: active, settle: 1s, timeout: 20s}}
  api: {kind: command, unit: api, hosts: [ams-2, fra-2], after: {db: {on_loss: restart}}}
  web: {kind: command, unit: web, hosts: [ams-2, fra-2], after: {api: {on_loss: restart}}}
`

// TestProcesses is the main job on real processes: a host is killed, then the leading monitor while the run is under way,
// then everything, which starts again from disk, then a host that only a person can speak for. The state is there, nothing
// ran twice, and the order held, as the workloads themselves wrote it down.
func TestProcesses(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.startAll(shopHosts)
	p.waitLeader()
	inventory, plan := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")
	p.writeFile(inventory, processShop)
	p.writeFile(plan, restartElsewhere)
	said := p.must(0, "apply", "-f", inventory, "-f", plan)
	if !strings.Contains(said, "disarmed") || !strings.Contains(said, "Nothing was started or stopped") {
		t.Errorf("apply does not say that it starts nothing and that the plan is disarmed:\n%s", said)
	}
	p.must(0, "plan", "arm", "restart-elsewhere")
	p.until("all hosts have joined", func() bool { return p.alive() == len(shopHosts) })
	p.must(0, "start", "--all")
	p.has(map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"})

	p.killHost("ams-1")
	p.until("db is being started", func() bool { return p.step("R-0002", "start/db") == string(planner.StateStarted) })
	p.kill(p.waitLeader())
	p.succeeds("R-0002")
	p.freedBy("db", planner.LeaseExpired)
	moved := map[string]string{"db": "fra-1", "api": "ams-2", "web": "ams-2"}
	p.has(moved)
	p.wrote(afterFailover)

	for _, name := range slices.Collect(maps.Keys(p.running)) {
		p.kill(name)
	}
	for _, name := range monitorNames {
		p.start(name)
	}
	for _, host := range shopHosts {
		p.startHost(host)
	}
	p.until("everything is back", func() bool { return p.alive() == len(shopHosts) && p.leader() != "" })
	p.has(moved)
	if run := p.run("R-0002"); run == nil || run.State != string(planner.RunSucceeded) {
		t.Errorf("the run is not in the log any more: %+v", run)
	}

	p.killHost("fra-1")
	p.until("the run waits for evidence", func() bool {
		run := p.run("R-0003")
		return run != nil && run.State == string(planner.RunWaiting)
	})
	p.must(2, "fence", "confirm", "fra-1", "--reason", "the test killed it") // no terminal: it wants --yes
	p.must(0, "fence", "confirm", "fra-1", "--reason", "the test killed it", "--yes")
	p.succeeds("R-0003")
	p.freedBy("db", planner.Confirmed)
	p.must(0, "stop", "--all")
	p.wrote(slices.Concat(afterFailover, []string{
		"stopped web ams-2", "stopped api ams-2", "started db ams-1", "started api ams-2", "started web ams-2",
		"stopped web ams-2", "stopped api ams-2", "stopped db ams-1",
	}))
}

var afterFailover = []string{
	"started db ams-1", "started api ams-2", "started web ams-2", // db is killed without a word
	"stopped web ams-2", "stopped api ams-2",
	"started db fra-1", "started api ams-2", "started web ams-2",
}

// waitLeader is the monitor that leads, as soon as there is one.
func (p *processes) waitLeader() (leader string) {
	p.t.Helper()
	p.until("a monitor leads", func() bool { leader = p.leader(); return leader != "" })
	return leader
}

// succeeds waits for the end of a run, which must be a good one.
func (p *processes) succeeds(id string) {
	p.t.Helper()
	p.until(id+" has ended", func() bool { run := p.run(id); return run != nil && !run.Open() })
	if run := p.run(id); run.State != string(planner.RunSucceeded) {
		p.t.Fatalf("%s: got %s, want succeeded: %+v", id, run.State, run)
	}
}

// freedBy checks by which evidence a workload was taken from the host that had it before.
func (p *processes) freedBy(workload string, want planner.EvidenceKind) {
	p.t.Helper()
	w, err := p.client().Workload(p.t.Context(), workload)
	if err != nil || w.Item.Freed == nil || w.Item.Freed.Kind != string(want) {
		p.t.Errorf("%s was freed by %+v, %v, want %s", workload, w.Item.Freed, err, want)
	}
}

// alive counts the hosts that are heard and joined.
func (p *processes) alive() int {
	list, err := p.client().Hosts(p.t.Context())
	if err != nil {
		return 0
	}
	n := 0
	for _, host := range list.Items {
		if host.Word == console.HostAlive {
			n++
		}
	}
	return n
}

// step is the state of a step of a run.
func (p *processes) step(run, id string) string {
	r := p.run(run)
	if r == nil {
		return ""
	}
	i := slices.IndexFunc(r.Steps, func(s console.StepItem) bool { return s.ID == id })
	if i < 0 {
		return ""
	}
	return r.Steps[i].State
}

// has checks who owns what, as the log says it.
func (p *processes) has(want map[string]string) {
	p.t.Helper()
	if got := p.owners(); !maps.Equal(got, want) {
		p.t.Errorf("owners: got %v, want %v", got, want)
	}
}

// wrote checks what the workloads wrote themselves, without the tokens.
func (p *processes) wrote(want []string) {
	p.t.Helper()
	var got []string
	for _, line := range p.lines() {
		got = append(got, line.What+" "+line.ID.Workload+" "+line.ID.Host)
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("the workloads wrote\n%q\nwant\n%q", got, want)
	}
}
