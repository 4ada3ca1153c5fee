package testbed_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/holter-ha/holter/integration/testbed"
)

func TestSystemdHostIsAHostOfItsOwn(t *testing.T) {
	h := testbed.StartSystemdHost(t)
	h.WriteUnit(t, "hello.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'hostname >/run/hello'\n")
	if _, err := h.Exec(t.Context(), "systemctl", "start", "hello.service"); err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	hello, err := os.ReadFile(h.Path("/run/hello"))
	if err != nil || len(hello) == 0 || strings.TrimSpace(string(hello)) == name {
		t.Errorf("name of the host: got %q, %v; this machine is %q", hello, err, name)
	}
	if _, err := os.Stat("/run/hello"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the host has written to this machine's own /run: %v", err)
	}
	pid1, err := h.Exec(t.Context(), "cat", "/proc/1/comm")
	if err != nil || string(pid1) != "systemd\n" {
		t.Errorf("pid 1 of the host: got %q, %v", pid1, err)
	}
}

func TestNothingIsLeftOfAHost(t *testing.T) {
	var bus string
	t.Run("host", func(t *testing.T) {
		h := testbed.StartSystemdHost(t)
		bus = strings.TrimPrefix(h.Bus(), "unix:path=")
		if _, err := os.Stat(bus); err != nil {
			t.Errorf("the bus of a host that is up: %v", err)
		}
	})
	if bus == "" {
		t.Skip(testbed.LeftOut, "there was no host")
	}
	if _, err := os.Stat(bus); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bus of a host that is gone: got %v, want %v", err, os.ErrNotExist)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), "holter-host-") {
		t.Error("a mount is left")
	}
}
