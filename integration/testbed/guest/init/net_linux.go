package main

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
	"github.com/holter-ha/holter/integration/testbed/guest/relay"
)

// bringUpNetwork gives the guest its addresses. It has no route: the host is a neighbour, and there is nobody else to reach.
func bringUpNetwork() error {
	if err := bringUp("lo", "127.0.0.1", "255.0.0.0"); err != nil {
		return err
	}
	return bringUp("eth0", control.Address, "255.255.255.0")
}

func bringUp(device, address, mask string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	r, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	for _, set := range []struct {
		request uint
		value   string
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, mask}} {
		if err := r.SetInet4Addr(net.ParseIP(set.value).To4()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, r); err != nil {
			return fmt.Errorf("give %s the address %s: %w", device, set.value, err)
		}
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("bring up %s: %w", device, err)
	}
	return nil
}

// forward leads an address of the guest's loopback to a port of the host's.
func forward(f control.Forward) error {
	_, err := relay.Start(f.Address, net.JoinHostPort(control.HostAddress, strconv.Itoa(f.Port)))
	if err != nil {
		return fmt.Errorf("forward %s: %w", f.Address, err)
	}
	return nil
}
