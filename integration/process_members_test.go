package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/procs"
)

// openShop starts everything and the shop in it.
func (p *processes) openShop() {
	p.t.Helper()
	p.startAll(shopHosts)
	p.waitLeader()
	inventory, plan := filepath.Join(p.dir, "inventory.yaml"), filepath.Join(p.dir, "plan.yaml")
	p.writeFile(inventory, processShop)
	p.writeFile(plan, restartElsewhere)
	p.must(0, "apply", "-f", inventory, "-f", plan)
	p.must(0, "plan", "arm", "restart-elsewhere")
	p.until("all hosts have joined", func() bool { return p.alive() == len(shopHosts) })
	p.must(0, "start", "--all")
}

// follower is a monitor that does not lead.
func (p *processes) follower() string {
	leader := p.waitLeader()
	return monitorNames[(slices.Index(monitorNames, leader)+1)%len(monitorNames)]
}

// wipe takes a monitor's data directory away and starts it with --join.
func (p *processes) wipe(name string) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
	p.flags[name] = []string{"--join"}
	p.start(name)
}

// accepted asks again until the command line is not refused any more: a monitor that was killed counts as answering for a moment.
func (p *processes) accepted(args ...string) string {
	p.t.Helper()
	said := ""
	p.until("holter "+strings.Join(args, " ")+" is accepted", func() bool {
		out, talk, code := p.holter(args...)
		said = out + talk
		if code != 0 && code != int(console.ExitRefused) && code != int(console.ExitNoQuorum) {
			p.t.Fatalf("exit code %d: %s", code, said)
		}
		return code == 0
	})
	return said
}

func (p *processes) members() []console.MemberItem {
	answer, err := p.client().Members(p.t.Context())
	if err != nil {
		return nil
	}
	return answer.Item.Items
}

// votes says that so many monitors vote, on the log and on leases, and answer.
func (p *processes) votes(want int) bool {
	n := 0
	for _, m := range p.members() {
		if (m.Role == console.RoleVoter || m.Role == console.RoleLeader) && m.Leases && m.Answers {
			n++
		}
	}
	return n == want
}

// TestMonitorIsReplaced: the disk of a monitor is gone, another one takes its place, and the two that knew it may lose one more.
func TestMonitorIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.openShop()
	ready := map[string]string{"db": "ams-1", "api": "ams-2", "web": "ams-2"}
	p.has(ready)
	victim := p.follower()
	p.must(int(console.ExitRefused), "monitor", "replace", victim, "--reason", "it is alive")
	p.kill(victim)
	p.wipe(victim)
	said := p.accepted("monitor", "replace", victim, "--reason", "its disk is gone")
	for _, line := range []string{"takes " + victim, "removes " + victim, "gives " + victim} {
		if !strings.Contains(said, line) {
			t.Errorf("replace does not say %q:\n%s", line, said)
		}
	}
	p.until("three vote", func() bool { return p.votes(3) })
	p.until("all leases stand on the new voters", func() bool {
		events, _, _ := p.holter("events")
		return strings.Count(events, "lease.confirmed") == len(shopHosts)
	})
	to := p.follower()
	p.must(0, "monitor", "transfer", to)
	p.until(to+" leads", func() bool { return p.leader() == to })
	p.kill(to)
	p.until("another one leads with the successor's vote", func() bool { return p.leader() != "" && p.leader() != to })
	p.killHost("ams-1")
	p.until("db runs elsewhere", func() bool { return p.owners()["db"] == "fra-1" })
	p.freedBy("db", "lease-expired") // by the majority of which the successor is one
}

// TestQuorumIsLostForGood: two of three disks are gone, and the third one has not heard that a host was lost and its workload
// moved. It is recovered; that host is back by then.
func TestQuorumIsLostForGood(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.openShop()
	survivor := p.follower()
	saved := filepath.Join(p.dir, "saved")
	p.must(0, "snapshot", "save", saved)
	if said := p.must(0, "snapshot", "inspect", saved); !strings.Contains(said, "4 hosts") || !strings.Contains(said, "whole") {
		t.Errorf("inspect of a snapshot:\n%s", said)
	}
	p.must(int(console.ExitRefused), "snapshot", "save", saved)
	p.kill(survivor)
	p.killHost("ams-1")
	p.until("db runs elsewhere", func() bool { return p.owners()["db"] == "fra-1" })
	p.must(int(console.ExitRefused), "monitor", "recover", "--config", p.path(survivor), "--reason", "too soon", "--yes")
	for _, name := range monitorNames {
		if name != survivor {
			p.kill(name)
		}
	}
	p.startHost("ams-1")
	if said := p.must(0, "monitor", "inspect", "--config", p.path(survivor)); !strings.Contains(said, "monitor "+survivor+"-") {
		t.Errorf("inspect:\n%s", said)
	}
	p.must(0, "monitor", "recover", "--config", p.path(survivor), "--reason", "two disks are gone", "--yes")
	p.must(int(console.ExitRefused), "snapshot", "restore", saved, "--config", p.path(survivor), "--reason", "not empty", "--yes")
	p.start(survivor)
	p.until("the recovered monitor leads", func() bool { return p.leader() == survivor })
	if said := p.must(0, "status"); !strings.Contains(said, "apply your newest files") {
		t.Errorf("status of a recovered cluster does not ask for the files:\n%s", said)
	}
	p.must(int(console.ExitRefused), "start", "db")
	p.must(0, "apply", "-f", filepath.Join(p.dir, "inventory.yaml"), "-f", filepath.Join(p.dir, "plan.yaml"))
	p.until("all hosts are proven and everything runs once", func() bool {
		said, _, _ := p.holter("status")
		return !strings.Contains(said, "is proven") && p.ready() == 3 // one of three monitors judges no heart
	})
	for _, name := range monitorNames {
		if name != survivor {
			p.wipe(name)
			p.accepted("monitor", "add", name, "--reason", "the cluster was recovered")
		}
	}
	p.until("three vote", func() bool { return p.votes(3) })
	p.kill(survivor)
	p.until("others lead", func() bool { return p.leader() != "" && p.leader() != survivor })
	p.must(0, "stop", "--all")
}

// ready counts the workloads that are ready.
func (p *processes) ready() int {
	list, err := p.client().Workloads(p.t.Context())
	if err != nil {
		return 0
	}
	n := 0
	for _, w := range list.Items {
		if w.Word == console.WorkloadReady {
			n++
		}
	}
	return n
}

// TestLeaderOnAReadOnlyDisk lets the file system of the leading monitor turn read-only, as ext4 does on an error: others lead, and
// what was acknowledged is there.
func TestLeaderOnAReadOnlyDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	p := newProcesses(t)
	disk, image := filepath.Join(p.dir, "m1"), filepath.Join(p.dir, "image")
	if err := errors.Join(os.Mkdir(disk, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, disk}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("this machine cannot mount an image: %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() {
		p.killAll()
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	addresses := map[string]string{"m1": p.block + ".0.1", "m2": p.block + ".0.2", "m3": p.block + ".0.3"}
	for _, name := range monitorNames {
		p.writeFile(p.path(name), procs.Monitor{
			Name: name, DataDir: filepath.Join(p.dir, name), Addresses: addresses,
		}.Config())
		p.start(name)
	}
	p.until("m1 leads", func() bool {
		if leader := p.leader(); leader != "m1" && leader != "" {
			p.holter("monitor", "transfer", "m1")
			return false
		}
		return p.leader() == "m1"
	})
	inventory := filepath.Join(p.dir, "inventory.yaml")
	p.writeFile(inventory, processShop)
	p.must(0, "apply", "-f", inventory)
	if out, err := exec.Command("mount", "-o", "remount,abort", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.until("another one leads", func() bool { leader := p.leader(); return leader != "m1" && leader != "" })
	if said := p.must(0, "events"); !strings.Contains(said, "files.applied") {
		t.Errorf("what was acknowledged is gone:\n%s", said)
	}
	p.must(0, "silence", "ams-1", "--for", "1m", "--reason", "entries are taken")
}
