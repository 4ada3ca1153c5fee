package bus

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holter-ha/holter/wire"
)

func TestDialRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no server": {Name: "east-1"},
		"bad URL":   {Name: "east-1", URLs: []string{"nats://[::1"}},
	} {
		c, err := Dial(o)
		if want := "connect east-1 to the bus: "; c != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s…", name, err, want)
		}
		p, err := DialPair(o)
		if want := "connect east-1/1 to the bus: "; p != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v for the pair, want %s…", name, err, want)
		}
	}
}

func TestTooBigIsRefused(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", DontListen: true})
	c := dial(t, Options{Name: "m1", InProcess: s})
	if err := c.Publish("x", make([]byte, wire.MaxMessage)); err != nil {
		t.Errorf("the biggest message: %v", err)
	}
	if err := c.Publish("x", make([]byte, wire.MaxMessage+1)); err == nil || errors.Is(err, ErrDisconnected) {
		t.Errorf("a bigger message: got %v, want a refusal for its size", err)
	}
}

// TestStopIsFinal counts the calls of a handler: none may follow the return of stop, or of Close.
func TestStopIsFinal(t *testing.T) {
	s := startServer(t, ServerOptions{Name: "m1", DontListen: true})
	sender := dial(t, Options{Name: "m1", InProcess: s})
	receiver, err := Dial(Options{Name: "m2", InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	var over [2]atomic.Bool
	var heard [2]chan struct{}
	var stops [2]func()
	for i := range over {
		heard[i] = make(chan struct{}, 1)
		stops[i], err = receiver.Subscribe("x", func(string, []byte) {
			if over[i].Load() {
				t.Errorf("handler %d was called after its end", i)
			}
			select {
			case heard[i] <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	flush(t, receiver)
	flood := func() {
		for range 1000 {
			if err := sender.Publish("x", []byte("1")); err != nil {
				t.Error(err)
			}
		}
		flush(t, sender)
	}
	flood()
	<-heard[0]
	<-heard[1]
	stops[0]()
	over[0].Store(true)
	flood()
	receiver.Close()
	over[1].Store(true)
	flood()
}
