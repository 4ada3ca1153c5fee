package metrics

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holter-ha/holter/console"
)

const (
	freshFor      = time.Second     // how long one look at the monitor serves
	scrapesAtOnce = 4               // more are told to come again
	scrapeLimit   = 8 * time.Second // below Prometheus's own default of 10 s
)

// Monitor is what an exporter looks at.
type Monitor interface{ Look() console.Look }

// Sources are where the numbers come from. Monitor is required; the metrics of a source that is nil are left out.
type Sources struct {
	Monitor Monitor
	// Alive returns when the monitor's loop has answered, or with an error when ctx ends before.
	Alive func(ctx context.Context) error
	Raft  func() Raft
	Bus   func() Bus
	// Dropped counts the messages that the monitor's loop did not take in time, or could not read.
	Dropped      func() uint64
	Certificates func() []Certificate
	Channels     func() []Channel
	// Published is the index of the newest event that this monitor published on NATS; 0: none yet.
	Published func() uint64
	// Since is when this process began. Steps that ended before it are not counted again when the log is read anew; zero
	// counts all that the state still holds.
	Since time.Time
}

// Raft is how the replicated log stands on this monitor.
type Raft struct {
	Last      uint64 // index of the newest entry on disk
	Committed uint64
	Applied   uint64
	Snapshot  time.Time // of the newest one; zero: there is none, or it is not known
}

// Bus is how a monitor's connection to NATS stands.
type Bus struct {
	Connected bool
	Dropped   uint64 // messages that came and that no handler took in time
}

// Certificate is one that this monitor uses.
type Certificate struct {
	Holder  string // what it is: monitor, issuer, root
	Expires time.Time
}

// Channel is how a channel of notifications stands on this monitor.
type Channel struct {
	Name    string
	Waiting int
	Sent    uint64
	Failed  uint64 // tries that did not succeed
	Dropped uint64 // events that were given up
}

// Exporter makes the metrics of one monitor.
type Exporter struct {
	sources  Sources
	registry *prometheus.Registry

	mu    sync.Mutex // held while looking, so that those who come meanwhile share the look
	look  console.Look
	at    time.Time // of look; zero: none yet
	steps steps
}

// New makes an exporter.
func New(s Sources) *Exporter {
	e := &Exporter{sources: s, registry: prometheus.NewRegistry(), steps: newSteps(s.Since)}
	e.registry.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

// Handler answers /metrics.
func (e *Exporter) Handler() http.Handler {
	return promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeLimit})
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(out chan<- *prometheus.Desc) {
	for _, m := range all {
		out <- m.desc
	}
	e.steps.Describe(out)
}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(out chan<- prometheus.Metric) {
	look := e.fresh()
	c := collection{look: look, out: out}
	c.one(buildInfo, 1, look.Version, runtime.Version())
	c.cluster()
	c.hosts()
	c.workloads()
	c.runs()
	c.process(e.sources)
	e.mu.Lock()
	e.steps.observe(look.State)
	e.mu.Unlock()
	e.steps.Collect(out)
}

// fresh is a look that is not older than freshFor.
func (e *Exporter) fresh() console.Look {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at.IsZero() || time.Since(e.at) >= freshFor {
		e.look, e.at = e.sources.Monitor.Look(), time.Now()
	}
	return e.look
}

// collection is one scrape.
type collection struct {
	look console.Look
	out  chan<- prometheus.Metric
}

// one puts out a value.
func (c collection) one(m metric, value float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func (c collection) flag(m metric, yes bool, labels ...string) {
	value := 0.0
	if yes {
		value = 1
	}
	c.one(m, value, labels...)
}
