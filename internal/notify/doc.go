// Package notify tells others what has entered the log: a Stream publishes every event on NATS, and a Notifier calls the
// channels that the operators have configured, webhooks and commands.
//
// Invariants: only the leading monitor tells, and events in the order of the log. While it leads it tells each event once, but
// for tries that failed. A monitor that begins to lead begins overlap back, because nobody knows what the former leader still
// told: receivers drop what they had before by cluster and index. Nothing here keeps the monitor from its work: queues are
// bounded, the oldest event goes out first and is counted, and every try has a limit. Neither secrets nor the URL of a webhook,
// which may hold one, come into a log or an error.
//
// Concurrency: Run of a Stream is one goroutine; that of a Notifier one, and one for each channel. Everything else may be
// called from any goroutine.
package notify
