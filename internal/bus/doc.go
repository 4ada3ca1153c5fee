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
// With TLS a Server lets in an agent that shows a certificate and an nkey which Admit says belong to its host, for the subjects of
// that host only, and this process itself, for those of Holter. Nobody else gets in, and each refusal is in the log with who and
// from where. ACL prints the same permissions for a NATS of somebody's own, and Probe checks them by trying.
//
// Concurrency: all methods may be called from any goroutine. A handler is called by a goroutine of its subscription, one
// message at a time; it decodes and hands over, and never waits for anything.
package bus
