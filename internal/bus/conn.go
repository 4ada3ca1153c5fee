package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// What a client tolerates before it gives a server up and seeks the next one.
const (
	clientPing      = 500 * time.Millisecond
	clientPingsOut  = 2
	clientFlush     = time.Second
	dialLimit       = time.Second             // for each server
	unackedLimit    = 1500 * time.Millisecond // TCP_USER_TIMEOUT
	redialWait      = 100 * time.Millisecond  // after every server was tried once
	redialJitter    = 200 * time.Millisecond
	redialJitterTLS = 400 * time.Millisecond
)

// What a subscription holds that its handler has not taken yet. What comes on top is dropped, and the log says so.
const (
	pendingMessages = 16 << 10
	pendingBytes    = 16 << 20
)

// ErrDisconnected means that a message was not sent, because no server is reached at the moment.
var ErrDisconnected = errors.New("no bus server is reached")

// Options says how a client reaches the bus.
type Options struct {
	Name string   // of the client, shown by the servers; for a Pair also what its order of the servers derives from
	URLs []string // of the servers, in the order in which they are tried
	// InProcess is a server in this process that is used instead of URLs. A Server with TLS lets it in by a key of its own.
	InProcess nats.InProcessConnProvider
	// TLS, if set, is demanded of every server. It is asked for the client's certificate at each connection, so that a renewed
	// one is taken into use without a new Dial.
	TLS    *tls.Config
	NKey   nkeys.KeyPair // by which the client is known; nil for none
	Logger zerolog.Logger
}

// Conn is one connection to the bus. It seeks a server for as long as it is open.
type Conn struct {
	nats   *nats.Conn
	log    zerolog.Logger
	link   atomic.Pointer[link]
	closed chan struct{} // closed when no callback follows

	mu   sync.Mutex // guards subs, which any caller may change
	subs map[*subscription]struct{}
}

// link is whether a server is reached, and since when it is or is not.
type link struct {
	up    bool
	since time.Time
}

// Dial opens a connection. It tries every server once, for at most a second each, and leaves the rest to the background:
// an error means that the options are wrong, not that no server is there.
func Dial(o Options) (*Conn, error) {
	if len(o.URLs) == 0 && o.InProcess == nil {
		return nil, fmt.Errorf("connect %s to the bus: no server given", o.Name)
	}
	c := &Conn{
		log:    o.Logger.With().Str("component", "bus").Str("client", o.Name).Logger(),
		closed: make(chan struct{}),
		subs:   map[*subscription]struct{}{},
	}
	opening := &link{since: time.Now()}
	c.link.Store(opening)
	opts := nats.GetDefaultOptions()
	opts.Servers = o.URLs
	settings := c.settings(o)
	identify, err := o.identify()
	if err != nil {
		return nil, fmt.Errorf("connect %s to the bus: %w", o.Name, err)
	}
	for _, set := range append(settings, identify...) {
		if err := set(&opts); err != nil {
			return nil, fmt.Errorf("connect %s to the bus: %w", o.Name, err)
		}
	}
	nc, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect %s to the bus: %w", o.Name, err)
	}
	c.nats = nc
	if nc.IsConnected() {
		// The callback says the same a moment later, or has already said something newer.
		c.link.CompareAndSwap(opening, &link{up: true, since: time.Now()})
	}
	return c, nil
}

// identify is how a client says who it is.
func (o Options) identify() ([]nats.Option, error) {
	var settings []nats.Option
	key := o.NKey
	if own, ok := o.InProcess.(*Server); ok && own.gate != nil {
		key = own.gate.own
	} else if o.TLS != nil {
		settings = append(settings, nats.Secure(o.TLS))
	}
	if key != nil {
		name, err := key.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("read the nkey: %w", err)
		}
		settings = append(settings, nats.Nkey(name, key.Sign))
	}
	return settings, nil
}

func (c *Conn) settings(o Options) []nats.Option {
	return []nats.Option{
		nats.Name(o.Name),
		nats.DontRandomize(),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(clientPing),
		nats.MaxPingsOutstanding(clientPingsOut),
		nats.Timeout(dialLimit),
		nats.ReconnectWait(redialWait),
		nats.ReconnectJitter(redialJitter, redialJitterTLS),
		nats.ReconnectBufSize(-1), // refuse, do not queue: an old beat is worse than none
		nats.FlusherTimeout(clientFlush),
		nats.SetCustomDialer(&net.Dialer{Timeout: dialLimit, Control: limitUnacked}),
		nats.InProcessServer(o.InProcess),
		nats.ConnectHandler(c.onUp),
		nats.ReconnectHandler(c.onUp),
		nats.DisconnectErrHandler(c.onDown),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
		nats.ErrorHandler(c.onError),
	}
}

func (c *Conn) onUp(nc *nats.Conn) {
	c.link.Store(&link{up: true, since: time.Now()})
	c.log.Info().Str("server", nc.ConnectedServerName()).Msg("bus connected")
}

func (c *Conn) onDown(_ *nats.Conn, err error) {
	c.link.Store(&link{since: time.Now()})
	if err != nil { // nil when Close was called
		c.log.Warn().Err(err).Msg("bus disconnected")
	}
}

func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	event := c.log.Warn().Err(err)
	if sub != nil {
		event = event.Str("subject", sub.Subject)
	}
	event.Msg("bus reported an error")
}

// Connected says whether a server is reached, as far as is known: a server that hangs is noticed after 1.5 s at the latest.
func (c *Conn) Connected() bool { return c.link.Load().up }

// Since is when Connected last changed, or when the connection was opened.
func (c *Conn) Since() time.Time { return c.link.Load().since }

// Publish sends a message now or refuses it, with ErrDisconnected if no server is reached. That it was sent does not mean
// that anybody received it. The caller may reuse data at once.
func (c *Conn) Publish(subject string, data []byte) error {
	// Asked first because the client holds its lock while it dials, for as long as a second.
	if !c.Connected() {
		return fmt.Errorf("publish on %s: %w", subject, ErrDisconnected)
	}
	err := c.nats.Publish(subject, data)
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		err = ErrDisconnected
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	return nil
}

// Subscribe calls handle for each message on a subject, one at a time, until stop is called or the connection closes. The
// subscription outlives the loss of a server. The data belongs to the handler. The handler decodes and hands over; it
// neither waits nor calls stop. When stop returns, no call is under way and none follows.
func (c *Conn) Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error) {
	s := &subscription{handle: handle}
	s.nats, err = c.nats.Subscribe(subject, s.receive)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if err := s.nats.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs[s] = struct{}{}
	return func() { c.unsubscribe(s) }, nil
}

func (c *Conn) unsubscribe(s *subscription) {
	c.mu.Lock()
	delete(c.subs, s)
	c.mu.Unlock()
	// It fails only if the connection is closed, which ends the subscription as well.
	_ = s.nats.Unsubscribe()
	s.end()
}

// Close sends what was published and closes the connection. When it returns, no handler is running and none will be called.
// It may be called once.
func (c *Conn) Close() {
	c.nats.Close()
	<-c.closed
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.subs {
		s.end()
	}
	clear(c.subs)
}

// subscription is one handler.
type subscription struct {
	nats   *nats.Subscription
	handle func(subject string, data []byte)

	mu    sync.Mutex // held during a call of handle, so that end can wait for it
	ended bool
}

func (s *subscription) receive(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.handle(m.Subject, m.Data)
	}
}

func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
