package raftstore

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func listen(t *testing.T) raft.StreamLayer {
	t.Helper()
	layer, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layer.Close() })
	return layer
}

func TestListenTCP(t *testing.T) {
	taken := listen(t).Addr().String()
	for address, want := range map[string]string{
		taken:         "is in use by another program",
		"0.0.0.0:0":   "without TLS only a loopback address is safe",
		"192.0.2.1:0": "without TLS only a loopback address is safe",
		":0":          "without TLS only a loopback address is safe",
		"nonsense":    "missing port in address",
	} {
		layer, err := ListenTCP(address)
		if err == nil {
			_ = layer.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ListenTCP(%q): got %v, want %q", address, err, want)
		}
	}
}

func TestStreamGreets(t *testing.T) {
	server, client := newStream(listen(t), id1), newStream(listen(t), id2)
	defer server.closeAll()
	defer client.closeAll()
	address := server.Addr().String()
	for _, test := range []struct{ to, want, err string }{
		{id1, "hello", ""},
		{"m1-9999999999999999", "", "refused a connection"},
		{strings.Repeat("x", maxGreeting), "", "no monitor of this version"},
	} {
		got, err := exchange(server, client, raft.ServerAddress(test.to+"@"+address))
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("a connection meant for %.30s: got %q, %v, want %q, %s", test.to, got, err, test.want, test.err)
		}
	}
	if _, err := client.Dial(raft.ServerAddress(address), time.Second); err == nil {
		t.Error("Dial without a server id succeeded")
	}
}

// exchange sends hello in two writes and returns what the accepting side reads.
func exchange(server, client *stream, to raft.ServerAddress) (string, error) {
	out, err := client.Dial(to, time.Second)
	if err != nil {
		return "", err
	}
	in, err := server.Accept()
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	for _, part := range []string{"hel", "lo"} {
		if n, err := out.Write([]byte(part)); err != nil || n != len(part) {
			return "", err
		}
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(in)
	return string(b), err
}

func TestStreamCloseAll(t *testing.T) {
	s := newStream(listen(t), id1)
	to := raft.ServerAddress(id1 + "@" + s.Addr().String())
	c, err := s.Dial(to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s.closeAll()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("Write after closeAll succeeded")
	}
	if _, err := s.Dial(to, time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after closeAll: got %v, want net.ErrClosed", err)
	}
}
