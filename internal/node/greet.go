package node

import (
	"context"
	"time"

	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/raftstore"
	"github.com/holter-ha/holter/wire"
)

const (
	helloEvery = 200 * time.Millisecond // until there is a cluster, then helloLater
	helloLater = 2 * time.Second
)

// Greet says hello to the other monitors and hears theirs, so that fresh ones form a cluster, until ctx ends. An error says
// why this monitor must not go on.
func Greet(ctx context.Context, name string, store *raftstore.Store, conn *bus.Conn) error {
	refused := make(chan error, 1)
	stop, err := conn.Subscribe(wire.AllHellos(), func(_ string, data []byte) {
		hello, err := wire.Unmarshal[wire.Hello](data)
		if err != nil || hello.Monitor == name {
			return
		}
		if err := store.ObserveHello(hello); err != nil {
			select {
			case refused <- err:
			default:
			}
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	every := time.NewTicker(helloEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-refused:
			return err
		case <-every.C:
		}
		hello := store.Hello()
		if hello.Cluster != "" {
			every.Reset(helloLater)
		}
		data, err := wire.Marshal(hello)
		if err != nil {
			return err
		}
		_ = conn.Publish(wire.HelloSubject(name), data) // said again soon
	}
}
