//go:build !linux

package bus

import "syscall"

// limitUnacked does nothing: this system has no TCP_USER_TIMEOUT, and pings notice a host that vanishes a little later.
func limitUnacked(_, _ string, _ syscall.RawConn) error { return nil }
