package netns_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed/netns"
	"github.com/holter-ha/holter/integration/testbed/procs"
)

// victimEnv has TestVictim make a cluster, to be killed in the middle of it. Its value is where the programs are.
const victimEnv = "HOLTER_TEST_VICTIM"

// TestVictim is the process that TestNothingIsLeft kills.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		t.Skip("it is run by TestNothingIsLeft")
	}
	c := netns.Start(t, netns.Options{Programs: procs.BuiltIn(dir), Monitors: []string{"m1"}, Hosts: []string{"h1"}, Workloads: []string{"db"}})
	c.Until("its processes run", upLimit, func() bool { return len(c.Processes("m1")) > 0 && len(c.Processes("h1")) > 0 })
	fmt.Println("its processes run")
	<-t.Context().Done()
}

// TestNothingIsLeft kills a test in the middle of its cluster: all processes of it and all its namespaces are gone.
func TestNothingIsLeft(t *testing.T) {
	netns.Require(t)
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), victimEnv+"="+filepath.Dir(programs.Holter(t)), "TMPDIR="+t.TempDir())
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	spaces := namespacesOf(t, victim.Process.Pid)
	if killed := victim.Process.Kill(); err != nil || killed != nil {
		t.Fatalf("the victim said %q, %v, %v", said, err, killed)
	}
	_ = victim.Wait()
	if len(spaces) < 8 { // pid and network of the router, the operator, the monitor and the host
		t.Fatalf("the victim has %d namespaces of its own: %v", len(spaces), spaces)
	}
	// Namespaces go with their last process, whose end the kernel has begun but not waited for.
	deadline := time.Now().Add(upLimit)
	for left := inside(spaces); len(left) > 0; left = inside(spaces) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", left)
		}
	}
}

// namespacesOf are the pid and network namespaces of a process's children that are not its own.
func namespacesOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	spaces := map[string]bool{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		stat, _ := os.ReadFile(path) // it may be gone
		_, after, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); len(fields) < 2 || fields[1] != fmt.Sprint(pid) {
			continue
		}
		for _, kind := range []string{"pid", "net"} {
			theirs, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns", kind))
			if own, _ := os.Readlink("/proc/self/ns/" + kind); theirs != "" && theirs != own {
				spaces[theirs] = true
			}
		}
	}
	return spaces
}

// inside lists the processes that are in one of some namespaces.
func inside(spaces map[string]bool) []string {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	var found []string
	for _, link := range links {
		if to, _ := os.Readlink(link); spaces[to] {
			found = append(found, link)
		}
	}
	return found
}
