// Package console is how people and programs talk to a monitor: the HTTP API, its typed client, the stream of events, and
// the words that every screen uses for a host, a workload, a run and an event.
//
// Invariants: a list is never null; every answer carries the index of the log that it stands on; an error says what
// happened, what was not changed and what to do, and carries the exit code of the command line; nothing that was possibly
// done is reported as not done (code outcome_unknown); a follower that is asked for the present or for a change passes the
// request on to the leader once, and never further.
//
// There are no users yet: who did something is what the client claims, marked "local:", and who can reach the listener can
// do everything. A listener must therefore be bound to loopback.
//
// Concurrency: a Server and a Client may be used from several goroutines. The server holds no state of its own: each
// request reads one immutable Look.
package console
