package bus

import "testing"

// TestDropped: what a handler that hangs leaves behind is counted when there is no more room for it.
func TestDropped(t *testing.T) {
	const excess = 100
	s := startServer(t, ServerOptions{Name: "m1", DontListen: true})
	sender, receiver := dial(t, Options{Name: "m1", InProcess: s}), dial(t, Options{Name: "m2", InProcess: s})
	began, hang := make(chan struct{}), make(chan struct{})
	taken := 0
	if _, err := receiver.Subscribe("x", func(string, []byte) {
		if taken++; taken == 1 {
			close(began)
			<-hang
		}
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, receiver)
	publish := func(n int) {
		for range n {
			if err := sender.Publish("x", []byte("1")); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, sender)
		flush(t, receiver)
	}
	publish(1)
	<-began
	if got := receiver.Dropped(); got != 0 {
		t.Errorf("%d were dropped before there were any", got)
	}
	publish(pendingMessages + excess)
	// NATS may count the message that the handler has as one that waits.
	if got := receiver.Dropped(); got < excess || got > excess+1 {
		t.Errorf("%d were dropped, want %d", got, excess)
	}
	close(hang)
}
