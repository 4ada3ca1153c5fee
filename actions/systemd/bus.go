package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// errBroken says that the bus went away while something was waited for.
var errBroken = errors.New("the connection to systemd's bus broke")

// bus makes a connection when one is needed and there is none that works.
type bus struct {
	address string

	// Any goroutine may be the one that finds the connection missing or broken.
	mu   sync.Mutex
	conn *conn
}

// conn is a connection to systemd: one for calls, one for signals, which go-systemd keeps apart.
type conn struct {
	*sd.Conn
	signals *dbus.Conn
}

// get returns a connection that works as far as is known.
func (b *bus) get(ctx context.Context) (*conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
	c, err := connect(ctx, b.address)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd's bus: %w", err)
	}
	b.conn = c
	return c, nil
}

func (b *bus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

func connect(ctx context.Context, address string) (*conn, error) {
	var c conn
	var err error
	c.Conn, err = sd.NewConnection(func() (*dbus.Conn, error) {
		one, err := dial(ctx, address)
		c.signals = one // the second one is for signals
		return one, err
	})
	if err != nil {
		return nil, err
	}
	// go-systemd asks for job signals without waiting for the answer. The bus answers in order, so with this answer there
	// the signal of the first job cannot be missed.
	if err := c.signals.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetId", 0).Err; err != nil {
		c.Close()
		return nil, err
	}
	return &c, nil
}

// dial makes one connection. It lives longer than ctx, which bounds only its making.
func dial(ctx context.Context, address string) (*dbus.Conn, error) {
	var one *dbus.Conn
	var err error
	if address == "" {
		one, err = dbus.SystemBusPrivate()
	} else {
		one, err = dbus.Dial(address)
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = one.Close() })
	// By number: a user name would have to be looked up.
	err = one.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))})
	if err == nil {
		err = one.Hello()
	}
	if !stop() {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, one.Close())
	}
	return one, nil
}

// await waits for the result of a job; meanwhile it calls again, if it is not nil, at once and every killEvery.
func (c *conn) await(ctx context.Context, result <-chan string, again func()) error {
	var due <-chan time.Time
	if again != nil {
		tick := time.NewTicker(killEvery)
		defer tick.Stop()
		due = tick.C
		again()
	}
	for {
		select {
		case r := <-result:
			if r != "done" {
				return fmt.Errorf("systemd says %s", r)
			}
			return nil
		case <-due:
			again()
		case <-c.signals.Context().Done():
			return errBroken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
