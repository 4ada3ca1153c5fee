//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/planner"
)

// fenceShop is a shop of one workload. Its leases last so long that within the limits of these tests only fencing is
// evidence.
const fenceShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: fence, lease: {length: 120s}}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, self_fence: guard, fence: [%s]}
  fra-1: {site: fra, self_fence: guard, fence: [%s]}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1]}
`

var fenceHosts = []string{"ams-1", "fra-1"}

// power is what a BMC switches: the processes of a host that runs.
type power struct {
	p    *processes
	host string

	mu        sync.Mutex // the BMC asks beside the test
	processes []*exec.Cmd
}

// On says whether the host was turned on and not off since.
func (w *power) On() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.processes != nil
}

// Set takes the power away. Nothing turns a host on but the test.
func (w *power) Set(on bool) error {
	if on {
		return fmt.Errorf("%s was to be turned on", w.host)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cmd := range w.processes {
		_ = cmd.Process.Kill() // the test waits for it
	}
	w.p.killWorkloads(w.host)
	w.processes = nil
	return nil
}

// turnedOn takes in that the host was started.
func (w *power) turnedOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes = []*exec.Cmd{w.p.running[w.host], w.p.running[guardOf(w.host)]}
}

// device is the line of an inventory for a BMC.
func (p *processes) device(name string, bmc *testbed.BMC) string {
	p.t.Helper()
	options, secret := bmc.FenceOptions(), filepath.Join(p.dir, "secret")
	p.writeFile(secret, testbed.BMCPassword)
	options["password_file"] = secret
	text, err := json.Marshal(options)
	if err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprintf("{name: %s, agent: fence_ipmilan, timeout: 6s, attempts: 1, options: %s}", name, text)
}

// hang stops everything on a host, as a kernel does that hangs.
func (p *processes) hang(host string) {
	p.t.Helper()
	for _, name := range []string{host, guardOf(host)} {
		if err := p.running[name].Process.Signal(syscall.SIGSTOP); err != nil {
			p.t.Fatal(err)
		}
	}
	p.signalWorkloads(host, syscall.SIGSTOP)
}

// movedByFencing waits until db runs on a host, and checks that the former one was fenced in far less time than its lease.
func (p *processes) movedByFencing(from, to string) {
	p.t.Helper()
	began := time.Now()
	p.until("db runs on "+to, func() bool { return p.owners()["db"] == to && p.lives("db", to) })
	p.t.Logf("%s to %s: %v", from, to, time.Since(began).Round(10*time.Millisecond))
	p.freedBy("db", planner.Fenced)
	p.until(from+" is shown as fenced", func() bool { return p.host(from).Word == console.HostFenced }) // its last beat is a moment old
}

// newFenced starts a cluster whose hosts hang on BMCs, as many as are asked for ams-1, and one for fra-1. db runs on ams-1.
func newFenced(t *testing.T, devices int, ams *power, fra *power) (p *processes, bmcs []*testbed.BMC) {
	t.Helper()
	testbed.RequireFenceAgents(t, "fence_ipmilan")
	testbed.RequireBMC(t)
	p = newProcesses(t)
	ams.p, ams.host, fra.p, fra.host = p, "ams-1", p, "fra-1"
	var lines []string
	for i := range devices {
		bmcs = append(bmcs, testbed.StartBMC(t, testbed.Power{On: ams.On, Set: ams.Set}))
		lines = append(lines, p.device(fmt.Sprintf("bmc%d", i+1), bmcs[i]))
	}
	last := testbed.StartBMC(t, testbed.Power{On: fra.On, Set: fra.Set})
	p.begin(fenceHosts, fmt.Sprintf(fenceShop, strings.Join(lines, ", "), p.device("bmc", last)))
	ams.turnedOn()
	fra.turnedOn()
	p.must(0, "start", "db")
	p.has(map[string]string{"db": "ams-1"})
	p.until("the devices were tested", func() bool {
		for _, d := range p.host("ams-1").Fence {
			if !d.OK {
				return false
			}
		}
		return true
	})
	return p, bmcs
}

// TestFencing: a host that hangs loses its power, and a host that lives too when a person wants it.
func TestFencing(t *testing.T) {
	t.Parallel()
	var ams, fra power
	p, _ := newFenced(t, 1, &ams, &fra)
	if said := p.must(0, "hosts", "ams-1"); !strings.Contains(said, "bmc1 (fence_ipmilan), answered its last test ") {
		t.Errorf("hosts does not show when the device was tested:\n%s", said)
	}
	p.hang("ams-1")
	p.movedByFencing("ams-1", "fra-1")
	p.killHost("ams-1")
	p.startHost("ams-1") // somebody turns it on
	ams.turnedOn()
	p.until("ams-1 is back", func() bool { return p.host("ams-1").Word == console.HostAlive })

	p.must(2, "fence", "fra-1", "--reason", "it smells") // no terminal: it wants --yes
	p.must(0, "fence", "fra-1", "--reason", "it smells", "--yes")
	p.movedByFencing("fra-1", "ams-1")
	p.wrote([]string{"started db ams-1", "started db fra-1", "started db ams-1"})
}

// TestSecondFenceDevice: the first device does not answer any more when it is needed, the next one does.
func TestSecondFenceDevice(t *testing.T) {
	t.Parallel()
	var ams, fra power
	p, bmcs := newFenced(t, 2, &ams, &fra)
	if err := bmcs[0].Freeze(); err != nil {
		t.Fatal(err)
	}
	p.hang("ams-1")
	p.movedByFencing("ams-1", "fra-1")
	if f := p.host("ams-1").Fencing; f == nil || f.Device != "bmc2" || f.Outcome != "done" {
		t.Errorf("fencing: %+v, want it done through bmc2", f)
	}
}

// TestLeaderHasNoWayToFence: the leading monitor has no way to the device, another one has.
func TestLeaderHasNoWayToFence(t *testing.T) {
	t.Parallel()
	var ams, fra power
	p, _ := newFenced(t, 1, &ams, &fra)
	leader := p.waitLeader()
	broken := filepath.Join(p.bin(leader), "fence_ipmilan")
	if err := os.MkdirAll(p.bin(leader), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no route to it >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.hang("ams-1")
	p.movedByFencing("ams-1", "fra-1")
	if f := p.host("ams-1").Fencing; f == nil || f.Monitor == leader {
		t.Errorf("fencing: %+v, want that another than %s did it", f, leader)
	}
}

// TestFencingOutlivesItsMonitor: the monitor that fences is killed while it does. Another one goes on.
func TestFencingOutlivesItsMonitor(t *testing.T) {
	t.Parallel()
	var ams, fra power
	p, bmcs := newFenced(t, 1, &ams, &fra)
	if err := bmcs[0].Freeze(); err != nil { // the attempt takes its time
		t.Fatal(err)
	}
	p.hang("ams-1")
	var first *console.FencingItem
	p.until("a monitor fences", func() bool {
		first = p.host("ams-1").Fencing
		return first != nil
	})
	p.kill(first.Monitor)
	if err := bmcs[0].Thaw(); err != nil {
		t.Fatal(err)
	}
	p.movedByFencing("ams-1", "fra-1")
	if f := p.host("ams-1").Fencing; f == nil || f.Monitor == first.Monitor {
		t.Errorf("fencing: %+v, want that another than %s did it", f, first.Monitor)
	}
}
