package guest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/holter-ha/holter/integration/testbed/guest/control"
)

// port is the test's end of the serial port on which the guest's init listens.
type port struct {
	conn    net.Conn
	reading sync.WaitGroup
	lastID  atomic.Uint64
	boots   atomic.Int64
	boot    atomic.Pointer[string] // the present boot
	begun   *board[string]
	replies *board[control.Reply]
}

func newPort(conn net.Conn) *port {
	p := &port{conn: conn, begun: newBoard[string](), replies: newBoard[control.Reply]()}
	p.reading.Go(p.read)
	return p
}

func (p *port) read() {
	defer p.begun.finish(errEnded)
	defer p.replies.finish(errEnded)
	for r := bufio.NewReader(p.conn); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var reply control.Reply
		if json.Unmarshal(line, &reply) != nil {
			continue // a reset cut it off
		}
		if reply.ID != 0 {
			p.replies.post(reply)
			continue
		}
		p.boot.Store(&reply.Boot)
		p.boots.Add(1)
		p.begun.post(reply.Boot)
	}
}

func (p *port) waitBoot(ctx context.Context) error {
	if _, err := p.begun.take(ctx, func(string) bool { return true }); err != nil {
		return fmt.Errorf("wait for the guest to boot: %w", err)
	}
	return nil
}

func (p *port) execute(ctx context.Context, line string) (string, error) {
	request := control.Request{ID: p.lastID.Add(1), Boot: *p.boot.Load(), Line: line}
	b, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	if _, err := p.conn.Write(append(b, '\n')); err != nil {
		return "", err
	}
	reply, err := p.replies.take(ctx, func(r control.Reply) bool { return r.ID == request.ID })
	if err != nil {
		return "", fmt.Errorf("wait for the guest's answer: %w", err)
	}
	if reply.Err != "" {
		return reply.Out, errors.New(reply.Err)
	}
	return reply.Out, nil
}

func (p *port) close() {
	_ = p.conn.Close()
	p.reading.Wait()
}
