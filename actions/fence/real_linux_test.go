package fence_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/fence"
	"github.com/holter-ha/holter/integration/testbed"
)

// host is a process group that has power: it lives until the last of its supplies is off.
type host struct {
	mu       sync.Mutex
	supplies []bool
	cmd      *exec.Cmd
	stuck    bool // its supplies cannot be switched
}

func startHost(t *testing.T, supplies int) *host {
	h := &host{cmd: exec.Command("sh", "-c", "sleep 1000 & wait")}
	for range supplies {
		h.supplies = append(h.supplies, true)
	}
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL) // it may be dead already
		_ = h.cmd.Wait()
	})
	return h
}

// supply is the power that a BMC switches.
func (h *host) supply(i int) testbed.Power {
	return testbed.Power{
		On: func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.supplies[i]
		},
		Set: func(on bool) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.stuck {
				return errors.New("the relay is stuck")
			}
			h.supplies[i] = on
			for _, on := range h.supplies {
				if on {
					return nil
				}
			}
			return syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
		},
	}
}

func (h *host) runs(t *testing.T) bool { return alive(t, h.cmd.Process.Pid) }

// bmcDevice is fence_ipmilan for a BMC, with its password in a file.
func bmcDevice(t *testing.T, name string, bmc *testbed.BMC, password string) fence.Device {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := bmc.FenceOptions()
	options["password_file"] = path
	return fence.Device{Name: name, Agent: "fence_ipmilan", Options: options, Timeout: timeout, Attempts: 2}
}

func TestDummy(t *testing.T) {
	testbed.RequireFenceAgents(t, "fence_dummy")
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := fence.Device{Name: "dummy", Agent: "fence_dummy", Options: map[string]string{"status_file": state}, Timeout: timeout, Attempts: 1}
	r := fence.New(fence.Options{})
	if err := r.Test(t.Context(), d); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(state); err != nil || string(b) != "on" {
		t.Errorf("state after a test: %q, %v", b, err)
	}
	rep, err := r.Off(t.Context(), "db-1", []fence.Level{level(d)}, allowed)
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 dummy 1 off")
	if b, err := os.ReadFile(state); err != nil || string(b) != "off" {
		t.Errorf("state: %q, %v", b, err)
	}
}

func TestIPMI(t *testing.T) {
	testbed.RequireFenceAgents(t, "fence_ipmilan")
	h := startHost(t, 1)
	bmc := testbed.StartBMC(t, h.supply(0))
	r := fence.New(fence.Options{})
	d := bmcDevice(t, "bmc", bmc, testbed.BMCPassword)

	denied := bmcDevice(t, "denied", bmc, "wrong-staple")
	denied.Attempts = 1
	err := r.Test(t.Context(), denied)
	if err == nil || !strings.Contains(err.Error(), "test denied: fence_ipmilan: ") || strings.Contains(err.Error(), "wrong-staple") {
		t.Errorf("test with a wrong password: %v", err)
	}
	if err := r.Test(t.Context(), d); err != nil || !h.runs(t) {
		t.Errorf("test: %v; the host runs: %t", err, h.runs(t))
	}
	rep, err := r.Off(t.Context(), "db-1", []fence.Level{level(denied), level(d)}, allowed)
	if err != nil || rep.Level != 2 {
		t.Errorf("got %+v, %v", rep, err)
	}
	wantOutcomes(t, rep, "1 denied 1 unknown", "2 bmc 1 off")
	if h.runs(t) {
		t.Error("the host runs after it was fenced")
	}
	t.Logf("a refused login and the BMC took %v", rep.Took)
}

func TestIPMITwoSupplies(t *testing.T) {
	testbed.RequireFenceAgents(t, "fence_ipmilan")
	h := startHost(t, 2)
	a := bmcDevice(t, "psu-a", testbed.StartBMC(t, h.supply(0)), testbed.BMCPassword)
	z := bmcDevice(t, "psu-b", testbed.StartBMC(t, h.supply(1)), testbed.BMCPassword)
	r := fence.New(fence.Options{})
	if _, err := r.Off(t.Context(), "db-1", []fence.Level{level(a)}, allowed); err != nil || !h.runs(t) {
		t.Errorf("one supply: %v; the host runs: %t", err, h.runs(t))
	}
	rep, err := r.Off(t.Context(), "db-1", []fence.Level{level(a, z)}, allowed)
	if err != nil || h.runs(t) {
		t.Errorf("both supplies: %v; the host runs: %t", err, h.runs(t))
	}
	wantOutcomes(t, rep, "1 psu-a 1 off", "1 psu-b 1 off")
	t.Logf("both took %v", rep.Took)
}

func TestIPMIThatCannot(t *testing.T) {
	t.Parallel()
	testbed.RequireFenceAgents(t, "fence_ipmilan")
	h := startHost(t, 1)
	h.stuck = true
	bmc := testbed.StartBMC(t, h.supply(0))
	r := fence.New(fence.Options{Settle: time.Millisecond})
	d := bmcDevice(t, "bmc", bmc, testbed.BMCPassword)
	d.Attempts, d.Options["power_timeout"] = 1, "1"
	rep, err := r.Off(t.Context(), "db-1", []fence.Level{level(d)}, allowed)
	if err == nil || !strings.Contains(err.Error(), "Failed: Timed out waiting to power OFF") || !h.runs(t) {
		t.Errorf("a BMC that cannot switch: got %v; the host runs: %t", err, h.runs(t))
	}
	wantOutcomes(t, rep, "1 bmc 1 on")

	if err := bmc.Freeze(); err != nil {
		t.Fatal(err)
	}
	delete(d.Options, "power_timeout")
	d.Timeout = 3 * time.Second
	rep, err = r.Off(t.Context(), "db-1", []fence.Level{level(d)}, allowed)
	if err == nil || !strings.Contains(err.Error(), "did not end in time and was killed") {
		t.Errorf("a BMC that hangs: got %v", err)
	}
	wantOutcomes(t, rep, "1 bmc 1 unknown")
	if err := bmc.Thaw(); err != nil {
		t.Fatal(err)
	}
	d.Timeout = timeout
	if err := r.Test(t.Context(), d); err != nil {
		t.Errorf("a BMC that answers again: %v", err)
	}
}
