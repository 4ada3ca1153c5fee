// Package metrics shows a monitor to the outside: /metrics for Prometheus, /healthz and /readyz for whoever restarts
// processes and balances requests.
//
// Invariants: what is counted is derived from the replicated state, so that each monitor shows the same count and no change
// of leader or restart loses one; only what this process has seen itself (durations of steps, dropped messages) begins at
// zero with it. The number of series is bounded: beyond maxNamed hosts nothing is shown host by host. The monitor's loop is
// asked at most once in freshFor, however many scrape. /healthz and /readyz name nothing and nobody. docs/observability.md
// lists every metric, and a test holds it to that.
//
// Concurrency: an Exporter may be used from several goroutines; a mutex guards what it remembers between two scrapes, and a
// scrape that comes while another one looks waits for that look.
package metrics
