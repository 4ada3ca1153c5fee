package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holter-ha/holter/console"
)

// operatorAddress is where the operator sits: at a link of its own, which is never cut.
const operatorAddress = "127.77.0.253"

const (
	apiPort = "7470"
	// dialLimit bounds how long a monitor is dialled for this process's own clients, and askLimit what a command may take.
	dialLimit = 300 * time.Millisecond
	askLimit  = 60 * time.Second
)

// operator is the place of whoever looks at the cluster. Commands run there; to the clients in this process it lends a
// listener for each monitor.
type operator struct {
	space *namespace
	doors map[string]string // monitor → where this process reaches its API

	listeners []net.Listener
	cancel    context.CancelFunc // ends all that is carried
	carrying  sync.WaitGroup
}

func newOperator(n *network, dir string, monitors map[string]string) (*operator, error) {
	space, err := newNamespace()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &operator{space: space, doors: map[string]string{}, cancel: cancel}
	if err := o.open(ctx, n, dir, monitors); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *operator) open(ctx context.Context, n *network, dir string, monitors map[string]string) error {
	bootID := filepath.Join(dir, "operator.boot-id")
	if err := os.WriteFile(bootID, []byte("00000000-0000-4000-8000-000000000000\n"), 0o600); err != nil {
		return err
	}
	if err := n.join(o.space, operatorAddress, bootID); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(monitors)) {
		server := net.JoinHostPort(monitors[name], apiPort)
		door, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		o.doors[name] = door.Addr().String()
		o.listeners = append(o.listeners, door)
		o.carrying.Go(func() { o.admit(ctx, door, server) })
	}
	return nil
}

// admit carries each connection that comes in at a door to a server.
func (o *operator) admit(ctx context.Context, door net.Listener, server string) {
	for {
		from, err := door.Accept()
		if err != nil {
			return // closed
		}
		o.carrying.Go(func() {
			defer func() { _ = from.Close() }()
			to, err := o.dial(ctx, server)
			if err != nil {
				return // the client sees its connection end
			}
			defer func() { _ = to.Close() }()
			carry(ctx, from, to)
		})
	}
}

// dial opens a connection out of the operator's namespace. The socket is made on the thread that calls, as there is one
// address only.
func (o *operator) dial(ctx context.Context, server string) (to net.Conn, err error) {
	err = o.space.in(func() error {
		to, err = (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", server)
		return err
	}, "net")
	return to, err
}

// carry copies both ways until one side ends.
func carry(ctx context.Context, from, to net.Conn) {
	ended, end := context.WithCancel(ctx)
	defer context.AfterFunc(ended, func() { _, _ = from.Close(), to.Close() })()
	var back sync.WaitGroup
	back.Go(func() {
		defer end()
		_, _ = io.Copy(from, to) // how it ended is its own clients' matter
	})
	_, _ = io.Copy(to, from)
	end()
	back.Wait()
}

func (o *operator) close() {
	o.cancel()
	for _, l := range o.listeners {
		_ = l.Close()
	}
	o.space.kill()
	o.carrying.Wait()
}

// Client asks the API of these monitors, of all if none is named. It is the test's to close.
func (c *Cluster) Client(monitors ...string) *console.Client {
	if len(monitors) == 0 {
		monitors = c.opt.Monitors
	}
	var servers []string
	for _, name := range monitors {
		servers = append(servers, c.op.doors[c.party(name).name])
	}
	return console.NewClient(servers, console.ClientOptions{User: "test"})
}

// Servers are the API addresses of these monitors at the operator's place, all if none is named, as --server wants them.
func (c *Cluster) Servers(monitors ...string) string {
	if len(monitors) == 0 {
		monitors = c.opt.Monitors
	}
	var servers []string
	for _, name := range monitors {
		servers = append(servers, net.JoinHostPort(c.party(name).address, apiPort))
	}
	return strings.Join(servers, ",")
}

// Holter runs the command line at the operator's place and returns what it says and its exit code, -1 if it did not end.
func (c *Cluster) Holter(args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit) // it is asked for the state after a test's end, too
	defer cancel()
	cmd := exec.CommandContext(ctx, c.holter, args...)
	cmd.Env = append(os.Environ(), "HOLTER_SERVER="+c.Servers())
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := c.op.space.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		fmt.Fprintln(&talk, err)
		return out.String(), talk.String(), -1
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// Must runs the command line and demands its exit code.
func (c *Cluster) Must(code int, args ...string) string {
	c.t.Helper()
	out, talk, got := c.Holter(args...)
	if got != code {
		c.t.Fatalf("holter %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, talk)
	}
	return out + talk
}

// Apply applies files, by the text of each.
func (c *Cluster) Apply(texts ...string) {
	c.t.Helper()
	args := []string{"apply"}
	for i, text := range texts {
		path := filepath.Join(c.dir, fmt.Sprintf("applied-%d.yaml", i))
		c.write(path, text)
		args = append(args, "-f", path)
	}
	c.Must(0, args...)
}
