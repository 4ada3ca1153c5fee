package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/guest"
)

const watchdogShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop, lease: {profile: fast}}
sites: {ams: {}}
hosts:
  box: {site: ams, self_fence: watchdog, watchdog: {timeout: 5s}}
  home: {site: ams, self_fence: guard}
workloads:
  db: {kind: command, unit: db, hosts: [box, home]}
`

// boxConfig is the agent's file in the guest; %s is the monitors' NATS.
const boxConfig = `name: box
data_dir: /data/holter
run_dir: /run/holter/box
nats: {url: "%s"}
commands:
  db: {run: [/bin/workload, /data/record, db]}
log: {level: info, format: text}
`

// TestWatchdogResetsAHostWhoseAgentStands runs a real agent and guard in a guest with a hardware watchdog, and stops the agent:
// its lease ends, the guard kills the workload and pets the watchdog no more, the watchdog resets the guest, and only then
// the workload starts elsewhere. Turned on again, the guest joins anew and runs nothing.
func TestWatchdogResetsAHostWhoseAgentStands(t *testing.T) {
	guest.Require(t)
	p := newProcesses(t)
	p.startAll([]string{"home"})
	g := p.box()
	p.until("a monitor leads", func() bool { return p.leader() != "" })
	inventory, plan := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")
	p.writeFile(inventory, watchdogShop)
	p.writeFile(plan, restartElsewhere)
	p.must(0, "apply", "-f", inventory, "-f", plan)
	p.must(0, "plan", "arm", "restart-elsewhere")
	p.until("both hosts hold their leases", func() bool {
		list, err := p.client().Hosts(t.Context())
		return err == nil && !slices.ContainsFunc(list.Items, func(h console.HostItem) bool { return !h.Lease.Held })
	})
	p.must(0, "start", "--all")
	p.has(map[string]string{"db": "box"})
	if state := inGuest(t, g, "cat /sys/class/watchdog/watchdog0/state"); !strings.Contains(state, "active") {
		t.Fatalf("the watchdog is %q while db runs, want active", state)
	}

	inGuest(t, g, "signal STOP agent")
	stopped := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reset, err := g.WaitEvent(ctx, "WATCHDOG")
	if err != nil {
		t.Fatalf("the watchdog did not fire: %v\n%s", err, g.Console())
	}
	t.Logf("the watchdog fired %s after the agent stood", reset.At.Sub(stopped).Round(time.Millisecond))
	p.until("db runs at home", func() bool { return p.owners()["db"] == "home" })
	item, err := p.client().Workload(t.Context(), "db")
	if err != nil || item.Item.Freed == nil {
		t.Fatalf("nothing is known of how box was left: %+v, %v", item, err)
	}
	freed := item.Item.Freed
	t.Logf("db was free of box %s after the agent stood", freed.At.Sub(stopped).Round(time.Millisecond))
	if freed.Kind != "lease-expired" || !freed.At.After(reset.At) {
		t.Errorf("box was left by %s at %s, want lease-expired after the reset at %s", freed.Kind, freed.At, reset.At)
	}

	if err := g.WaitBoot(ctx); err != nil || g.Boots() != 2 {
		t.Fatalf("the guest booted %d times, %v", g.Boots(), err)
	}
	p.until("box has joined anew", func() bool { return p.alive() == 2 })
	p.has(map[string]string{"db": "home"})
	if running := inGuest(t, g, "ps"); strings.Contains(running, "/bin/workload") {
		t.Errorf("db runs in the guest again:\n%s", running)
	}
}

// box boots the guest with the agent and the guard of the host box.
func (p *processes) box() *guest.Guest {
	p.t.Helper()
	var nats, urls []string
	for i := range monitorNames {
		nats = append(nats, fmt.Sprintf("%s.0.%d:7472", p.block, i+1))
		urls = append(urls, "nats://"+nats[i])
	}
	config := filepath.Join(p.dir, "box.yaml")
	p.writeFile(config, fmt.Sprintf(boxConfig, strings.Join(urls, ",")))
	const module = "github.com/holter-ha/holter/"
	image := guest.Build(p.t, map[string]string{
		"/etc/agent.yaml": config,
		"/bin/holter":     guest.Program(p.t, module+"cmd/holter"),
		"/bin/workload":   guest.Program(p.t, module+"integration/testbed/procs/workload"),
	})
	return guest.Start(p.t, image, guest.Options{
		Watchdog: "i6300esb", Forward: nats, Disk: filepath.Join(p.t.TempDir(), "disk"),
		Commands: []guest.Command{
			{Name: "guard", Argv: []string{"/bin/holter", "guard", "--config", "/etc/agent.yaml"}, Restart: true},
			{Name: "agent", Argv: []string{"/bin/holter", "agent", "--config", "/etc/agent.yaml"}, Restart: true},
		},
	})
}

// inGuest lets the guest do something and returns what it says.
func inGuest(t *testing.T, g *guest.Guest, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said, err := g.Exec(ctx, line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, g.Console())
	}
	return said
}
