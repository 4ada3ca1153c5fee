// Package bus carries Holter's messages over NATS: core NATS only, embedded or dialled.
//
// Server is a nats-server inside a monitor, clustered with those of the other monitors by routes. Conn is one client
// connection, as a monitor uses it. Pair is two connections that seek different servers, as an agent uses it: the hang of
// one server then costs no beat.
//
// Invariants: nothing is stored and nothing is queued for later: what cannot be sent now is refused (ErrDisconnected), and
// whoever needs it sent says it again. Delivery is at most once on a Conn; over a Pair a message may arrive twice. Messages
// of one connection keep their order.
//
// Concurrency: all methods may be called from any goroutine. A handler is called by a goroutine of its subscription, one
// message at a time; it decodes and hands over, and never waits for anything.
package bus
