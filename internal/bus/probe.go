package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/holter-ha/holter/wire"
)

// What a Probe may take, and one try of it.
const (
	probeLimit = 20 * time.Second
	probeFlush = 5 * time.Second
)

// stranger is a host that no inventory has: '_' is in no host's name. What is published in its name harms nobody.
const stranger = "_probe"

// Finding is what came of one try.
type Finding struct {
	Tried string // as "publish on holter.v1.beat.east-1"
	// Refused is whether NATS refused it, and Want whether it must. Unless the two agree, the permissions are wrong.
	Refused, Want bool
	Err           error // why it could not be tried; then the rest says nothing
}

// OK says that NATS did as it must.
func (f Finding) OK() bool { return f.Err == nil && f.Refused == f.Want }

// String is the finding in a line.
func (f Finding) String() string {
	word := map[bool]string{true: "refused", false: "allowed"}
	switch {
	case f.Err != nil:
		return fmt.Sprintf("%s: could not be tried: %v", f.Tried, f.Err)
	case f.OK():
		return fmt.Sprintf("%s: %s", f.Tried, word[f.Refused])
	default:
		return fmt.Sprintf("%s: %s, must be %s", f.Tried, word[f.Refused], word[f.Want])
	}
}

// Probe tries what an agent may do and what it must not, with the options of the agent of a host. What it publishes is empty:
// it means nothing to anybody. A live agent is not disturbed.
func Probe(ctx context.Context, o Options, host string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	nc, err := o.connect()
	if err != nil {
		return []Finding{{Tried: "connect as the agent of " + host, Err: err}}
	}
	defer nc.Close()
	var found []Finding
	for _, subject := range wire.AgentPublishes(host) {
		found = append(found, tryPublish(ctx, nc, subject, false))
	}
	for _, subject := range wire.AgentHears(host) {
		found = append(found, trySubscribe(ctx, nc, subject, false))
	}
	for _, subject := range notToPublish(host) {
		found = append(found, tryPublish(ctx, nc, subject, true))
	}
	for _, subject := range notToHear(host) {
		found = append(found, trySubscribe(ctx, nc, subject, true))
	}
	return append(found, tryStrangers(o)...)
}

// notToPublish lists what an agent must not say: what is said to agents, to itself above all, what other hosts say and what
// monitors say.
func notToPublish(host string) []string {
	subjects := append(wire.AgentHears(host), wire.AgentHears(stranger)...)
	subjects = append(subjects, wire.AgentPublishes(stranger)...)
	return append(subjects, wire.ViewSubject(stranger), wire.HelloSubject(stranger), wire.ReportSubject(stranger),
		wire.ReadIndexSubject(stranger), wire.FencedSubject(stranger), "holter.probe", "_INBOX.probe", "$SYS.REQ.USER.INFO")
}

// notToHear lists what an agent must not hear: what is for other hosts, what agents say and what monitors say.
func notToHear(host string) []string {
	subjects := append(wire.AgentHears(stranger), wire.AgentHears("*")...)
	subjects = append(subjects, wire.AgentPublishes("*")...)
	return append(subjects, wire.AllViews(), wire.AllHellos(), wire.AllReports(), wire.AllReadIndexes(), wire.AllFenced(),
		wire.CommandSubject(host)+".>", strings.Replace(wire.CommandSubject(host), "command", "*", 1),
		wire.Everything(), "holter.>", ">", "*", "$SYS.>", "_INBOX.>")
}

// connect opens a plain connection that ends with its server.
func (o Options) connect(more ...nats.Option) (*nats.Conn, error) {
	opts := nats.GetDefaultOptions()
	opts.Servers = o.URLs
	identify, err := o.identify()
	if err != nil {
		return nil, err
	}
	settings := []nats.Option{
		nats.Name(o.Name), nats.NoReconnect(), nats.Timeout(dialLimit), nats.InProcessServer(o.InProcess),
		// What is refused is asked for one by one, by LastError.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
	for _, set := range append(append(settings, identify...), more...) {
		if err := set(&opts); err != nil {
			return nil, err
		}
	}
	return opts.Connect()
}

func tryPublish(ctx context.Context, nc *nats.Conn, subject string, want bool) Finding {
	f := Finding{Tried: "publish on " + subject, Want: want}
	if f.Err = nc.Publish(subject, nil); f.Err == nil {
		f.Refused, f.Err = refused(ctx, nc, "Publish", subject)
	}
	return f
}

func trySubscribe(ctx context.Context, nc *nats.Conn, subject string, want bool) Finding {
	f := Finding{Tried: "subscribe to " + subject, Want: want}
	sub, err := nc.Subscribe(subject, func(*nats.Msg) {})
	if err != nil {
		f.Err = err
		return f
	}
	f.Refused, f.Err = refused(ctx, nc, "Subscription", subject)
	_ = sub.Unsubscribe() // fails if it was refused
	return f
}

// refused asks the server for a sign of life. It answers in order: a refusal comes before.
func refused(ctx context.Context, nc *nats.Conn, what, subject string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeFlush)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	err := nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), fmt.Sprintf("%s to %q", what, subject)), nil
}

// tryStrangers tries to come in without an nkey, and with one that nobody knows; and without what the URLs may say.
func tryStrangers(o Options) []Finding {
	o.URLs = anonymous(o.URLs)
	o.NKey = nil
	found := []Finding{tryConnect(o, "connect without an nkey")}
	const tried = "connect with an unknown nkey"
	unknown, err := nkeys.CreateUser()
	if err != nil {
		return append(found, Finding{Tried: tried, Want: true, Err: err})
	}
	o.NKey = unknown
	if f := tryConnect(o, tried); !errors.Is(f.Err, nats.ErrNkeysNotSupported) { // otherwise the server asks for something else
		found = append(found, f)
	}
	return found
}

func tryConnect(o Options, tried string) Finding {
	f := Finding{Tried: tried, Want: true}
	nc, err := o.connect()
	switch {
	case err == nil:
		nc.Close()
	case errors.Is(err, nats.ErrAuthorization):
		f.Refused = true
	default:
		f.Err = err
	}
	return f
}

// anonymous takes users and passwords out of URLs.
func anonymous(urls []string) []string {
	var bare []string
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil {
			u.User = nil
			text = u.String()
		}
		bare = append(bare, text)
	}
	return bare
}
