package raftstore

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// tcp is a stream layer over plain TCP.
type tcp struct{ net.Listener }

// ListenTCP listens for peers on plain TCP. It takes loopback addresses only: whoever reaches this port is a monitor.
func ListenTCP(address string) (raft.StreamLayer, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for monitors: %w", err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listen for monitors on %s: without TLS only a loopback address is safe, as 127.0.0.1", address)
	}
	listener, err := net.ListenTCP("tcp", resolved)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for monitors: %s is in use by another program: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for monitors: %w", err)
	}
	return tcp{listener}, nil
}

// Dial implements raft.StreamLayer.
func (tcp) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(address), timeout)
}
