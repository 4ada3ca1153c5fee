package bus

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnackedLimitIsSet(t *testing.T) {
	l, _ := listen(t, 0)
	c, err := (&net.Dialer{Control: limitUnacked}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if controlErr := raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	if got != 1500 {
		t.Errorf("got %d ms, want 1500", got)
	}
}
