package demo

import (
	"net"
	"testing"

	"github.com/holter-ha/holter/console"
)

func TestTwoDemosDoNotMeet(t *testing.T) {
	first, err := newPlace("/nowhere", "/nothing", 1000)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", first.Front())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	second, err := newPlace("/nowhere", "/nothing", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if first.block == second.block {
		t.Errorf("both are on %s0/24, although somebody listens at %s", first.block, first.Front())
	}
}

func TestWorse(t *testing.T) {
	tests := []struct{ a, b, want console.Exit }{
		{console.ExitOK, console.ExitOK, console.ExitOK},
		{console.ExitOK, console.ExitSkipped, console.ExitSkipped},
		{console.ExitSkipped, console.ExitAborted, console.ExitAborted},
		{console.ExitAborted, console.ExitRunFailed, console.ExitRunFailed},
		{console.ExitRunFailed, console.ExitFailed, console.ExitRunFailed},
		{console.ExitOK, console.ExitFailed, console.ExitFailed},
	}
	for _, test := range tests {
		for _, got := range []console.Exit{worse(test.a, test.b), worse(test.b, test.a)} {
			if got != test.want {
				t.Errorf("worse of %d and %d is %d, want %d", test.a, test.b, got, test.want)
			}
		}
	}
}

func TestCheckAnswer(t *testing.T) {
	if err := checkAnswer("front 127.0.0.1:1\nweb 127.0.0.2:2\napi 127.0.0.3:3\ndb 127.0.0.4:4"); err != nil {
		t.Errorf("answer of all four: %v", err)
	}
	for _, answer := range []string{"", "front 127.0.0.1:1", "front a\nweb b\ndb d"} {
		if err := checkAnswer(answer); err == nil {
			t.Errorf("checkAnswer(%q) = nil, want an error", answer)
		}
	}
}
