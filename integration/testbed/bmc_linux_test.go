package testbed_test

import (
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holter-ha/holter/integration/testbed"
)

func TestBMCSwitchesPower(t *testing.T) {
	var on, stuck atomic.Bool
	on.Store(true)
	bmc := testbed.StartBMC(t, testbed.Power{
		On: on.Load,
		Set: func(want bool) error {
			if stuck.Load() {
				return errors.New("stuck")
			}
			on.Store(want)
			return nil
		},
	})
	o := bmc.FenceOptions()
	power := func(password, verb string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "ipmitool", "-I", "lanplus", "-H", o["ip"], "-p", o["ipport"], "-C", o["cipher"],
			"-U", o["username"], "-P", password, "-N", "1", "-R", "1", "chassis", "power", verb).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, c := range []struct{ verb, said string }{
		{"status", "Chassis Power is on"},
		{"off", "Chassis Power Control: Down/Off"},
		{"status", "Chassis Power is off"},
		{"on", "Chassis Power Control: Up/On"},
		{"reset", "Chassis Power Control: Reset"},
		{"status", "Chassis Power is on"},
	} {
		if got, err := power(testbed.BMCPassword, c.verb); err != nil || got != c.said {
			t.Errorf("%s: got %q, %v, want %q", c.verb, got, err, c.said)
		}
	}
	if got, err := power("wrong", "off"); err == nil || !on.Load() {
		t.Errorf("off with a wrong password: got %q; the power is on: %t", got, on.Load())
	}
	stuck.Store(true)
	if got, err := power(testbed.BMCPassword, "off"); err == nil || !on.Load() {
		t.Errorf("off when it cannot: got %q; the power is on: %t", got, on.Load())
	}
	bmc.Crash()
	if got, err := power(testbed.BMCPassword, "status"); err == nil {
		t.Errorf("a BMC that is gone: got %q", got)
	}
}
