package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

// MaxMessage is the most bytes that a message may have. It is also NATS's own default limit.
const MaxMessage = 1 << 20

// Why a JSON message was refused by Marshal or Unmarshal, for those who choose by it.
var (
	// ErrVersion means that sender and receiver are of different versions of Holter.
	ErrVersion = errors.New("unknown version of message")
	// ErrTooBig means that a message is longer than MaxMessage.
	ErrTooBig = errors.New("message too big")
)

// Message is any of the JSON messages.
type Message interface {
	Join | Offer | Assignment | Status | Clock | Command | Result | View | Level | Hello | Renew | Ack | Report | ReadIndex | Fenced
}

// Fields is what Marshal and Unmarshal need of a message.
type Fields[M Message] interface {
	*M
	version() *int
	check() error
}

// Marshal makes the bytes of a message. It sets V.
func Marshal[M Message, P Fields[M]](m M) ([]byte, error) {
	*P(&m).version() = Version
	if err := P(&m).check(); err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("encode %T: %w: %d bytes, at most %d", m, ErrTooBig, len(b), MaxMessage)
	}
	return b, nil
}

// Unmarshal reads the bytes of a message: wire.Unmarshal[wire.Join](b). Fields that it does not know it ignores: the sender
// may be newer. It refuses another version, a value of another type, an unknown word where a word decides (an outcome, a
// condition, a verdict), a field that is there twice and anything after the message.
func Unmarshal[M Message, P Fields[M]](b []byte) (M, error) {
	var m, none M
	if len(b) > MaxMessage {
		return none, fmt.Errorf("decode %T: %w: %d bytes, at most %d", m, ErrTooBig, len(b), MaxMessage)
	}
	// The version comes first: a message of another version may differ in everything else.
	var head struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return none, fmt.Errorf("decode %T: %w", m, err)
	}
	if head.V != Version {
		return none, fmt.Errorf("decode %T: %w: %d, this program knows %d", m, ErrVersion, head.V, Version)
	}
	if err := checkNames(b); err != nil {
		return none, fmt.Errorf("decode %T: %w", m, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return none, fmt.Errorf("decode %T: %w", m, err)
	}
	if err := P(&m).check(); err != nil {
		return none, fmt.Errorf("decode %T: %w", m, err)
	}
	return m, nil
}

func (m *Join) version() *int       { return &m.V }
func (m *Assignment) version() *int { return &m.V }
func (m *Status) version() *int     { return &m.V }
func (m *Clock) version() *int      { return &m.V }
func (m *Command) version() *int    { return &m.V }
func (m *Result) version() *int     { return &m.V }
func (m *View) version() *int       { return &m.V }
func (m *Level) version() *int      { return &m.V }
func (m *Hello) version() *int      { return &m.V }
func (m *Offer) version() *int      { return &m.V }
func (m *Renew) version() *int      { return &m.V }
func (m *Ack) version() *int        { return &m.V }
func (m *Report) version() *int     { return &m.V }
func (m *ReadIndex) version() *int  { return &m.V }
func (m *Fenced) version() *int     { return &m.V }

func (m *Join) check() error      { return nil }
func (m *Clock) check() error     { return nil }
func (m *Command) check() error   { return nil }
func (m *Hello) check() error     { return nil }
func (m *Renew) check() error     { return nil }
func (m *Ack) check() error       { return nil }
func (m *Report) check() error    { return nil }
func (m *ReadIndex) check() error { return nil }

func (m *Level) check() error {
	if m.Log < 1 {
		return fmt.Errorf("monitor %s: version %d of the log, want at least 1", m.Monitor, m.Log)
	}
	return nil
}

func (m *Offer) check() error      { return checkSelf(m.Host, m.Terms.Self) }
func (m *Assignment) check() error { return checkSelf(m.Host, m.Terms.Self) }

func checkSelf(host string, self lease.SelfFence) error {
	switch self {
	case lease.None, lease.Guard, lease.Watchdog:
		return nil
	}
	return fmt.Errorf("host %s: unknown self-fencing %q", host, self)
}

func (m *Status) check() error {
	for _, w := range m.Workloads {
		switch w.Condition {
		case actions.Running, actions.Stopped, actions.Unknown:
			continue
		}
		return fmt.Errorf("workload %s: unknown condition %q", w.Workload, w.Condition)
	}
	return nil
}

func (m *Result) check() error { return checkOutcome("command "+m.ID, m.Outcome) }
func (m *Fenced) check() error { return checkOutcome("fencing of "+m.Host, m.Outcome) }

func checkOutcome(of string, outcome Outcome) error {
	switch outcome {
	case Done, Failed, Unknown:
		return nil
	}
	return fmt.Errorf("%s: unknown outcome %q", of, outcome)
}

func (m *View) check() error {
	for _, o := range m.Opinions {
		switch o.Verdict {
		case Alive, Late, Lost:
			continue
		}
		return fmt.Errorf("host %s: unknown verdict %q", o.Host, o.Verdict)
	}
	return nil
}
