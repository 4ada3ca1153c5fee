package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errEnded is why nothing more comes from a guest whose QEMU has gone.
var errEnded = errors.New("the guest has ended")

// Event is something that QEMU tells of a guest.
type Event struct {
	Name string
	At   time.Time // by this machine's clock
	Data string    // JSON
}

// qmp speaks QEMU's control protocol.
type qmp struct {
	conn    net.Conn
	reading sync.WaitGroup
	lastID  atomic.Uint64
	events  *board[Event]
	replies *board[qmpMessage]
}

// qmpMessage is a greeting, a reply or an event, whichever of its fields are set.
type qmpMessage struct {
	ID     uint64          `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Timestamp struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

type qmpRequest struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

func newQMP(conn net.Conn) *qmp {
	q := &qmp{conn: conn, events: newBoard[Event](), replies: newBoard[qmpMessage]()}
	q.reading.Go(q.read)
	return q
}

func (q *qmp) read() {
	for d := json.NewDecoder(q.conn); ; {
		var m qmpMessage
		if err := d.Decode(&m); err != nil {
			q.events.finish(errEnded)
			q.replies.finish(errEnded)
			return
		}
		switch {
		case m.Event != "":
			at := time.Unix(m.Timestamp.Seconds, m.Timestamp.Microseconds*int64(time.Microsecond))
			q.events.post(Event{Name: m.Event, At: at, Data: string(m.Data)})
		case m.ID != 0:
			q.replies.post(m)
		}
	}
}

// negotiate ends the greeting; before that QEMU takes no command and tells no event.
func (q *qmp) negotiate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return q.execute(ctx, "qmp_capabilities", nil)
}

func (q *qmp) execute(ctx context.Context, command string, arguments any) error {
	id := q.lastID.Add(1)
	b, err := json.Marshal(qmpRequest{Execute: command, Arguments: arguments, ID: id})
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if _, err := q.conn.Write(b); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	reply, err := q.replies.take(ctx, func(m qmpMessage) bool { return m.ID == id })
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: %s", command, reply.Error.Desc)
	}
	return nil
}

func (q *qmp) wait(ctx context.Context, name string) (Event, error) {
	e, err := q.events.take(ctx, func(e Event) bool { return e.Name == name })
	if err != nil {
		return e, fmt.Errorf("wait for the event %s: %w", name, err)
	}
	return e, nil
}

func (q *qmp) close() {
	_ = q.conn.Close()
	q.reading.Wait()
}
