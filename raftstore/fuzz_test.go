package raftstore

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// fromBytes is a connection on which somebody has sent bytes and then no more.
type fromBytes struct {
	net.Conn
	*bytes.Reader
}

func (c fromBytes) Read(b []byte) (int, error)      { return c.Reader.Read(b) }
func (c fromBytes) SetReadDeadline(time.Time) error { return nil }

// FuzzGreeting looks for a caller that is let in although it did not greet this very monitor, that makes it read more than a
// greeting may be long, or whose words after the greeting are lost.
func FuzzGreeting(f *testing.F) {
	const id = "m1-0011223344556677"
	f.Add([]byte(greeting+id+"\n"), []byte("rest"))
	f.Add([]byte(greeting+"m2-0011223344556677\n"), []byte("rest"))
	f.Add([]byte("0"), []byte{}) // it hung up: an end, and no error to log
	f.Add([]byte("holter-raft 2 "+id+"\n"), []byte{})
	f.Add([]byte(strings.Repeat("x", 2*maxGreeting)), []byte{})
	f.Fuzz(func(t *testing.T, hello, rest []byte) {
		sent := append(bytes.Clone(hello), rest...)
		raw := fromBytes{Reader: bytes.NewReader(sent)}
		got, err := io.ReadAll(&conn{Conn: raw, stream: newStream(nil, id), expect: greeting + id + "\n"})
		want, greeted := bytes.CutPrefix(sent, []byte(greeting+id+"\n"))
		switch {
		case greeted && err != nil:
			t.Errorf("%q: it greets, and is refused: %v", sent, err)
		case greeted && !bytes.Equal(got, want):
			t.Errorf("%q: raft reads %q, want %q", sent, got, want)
		case !greeted && (len(got) > 0 || len(sent)-raw.Len() > maxGreeting):
			t.Errorf("%q: refused after %d bytes, and raft reads %q", sent, len(sent)-raw.Len(), got)
		}
	})
}
