package node

import (
	"context"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/metrics"
	"github.com/holter-ha/holter/internal/notify"
	"github.com/holter-ha/holter/internal/sdnotify"
)

// outside is how a monitor is seen from outside, beside the API.
type outside struct {
	stream   *notify.Stream
	notifier *notify.Notifier
}

// mount shows metrics and health at the API, and makes what tells others of events.
func (n *MonitorNode) mount(server *console.Server) (*outside, error) {
	notifier, err := notify.New(n.store, notify.Options{Self: n.config.Name, Channels: n.config.Notify, Logger: n.log})
	if err != nil {
		return nil, err
	}
	o := &outside{stream: notify.NewStream(n.config.Name, n.store, n.conn, n.log), notifier: notifier}
	exporter := metrics.New(metrics.Sources{
		Monitor: n, Alive: n.monitor.Alive, Dropped: n.monitor.Dropped, Since: time.Now(), Published: o.stream.Published,
		Raft: func() metrics.Raft {
			info := n.store.Info()
			return metrics.Raft{Last: info.Last, Committed: info.Committed, Applied: info.Applied, Snapshot: info.Snapshot}
		},
		Bus:          func() metrics.Bus { return metrics.Bus{Connected: n.conn.Connected(), Dropped: n.conn.Dropped()} },
		Certificates: n.certificates,
		Channels: func() []metrics.Channel {
			var list []metrics.Channel
			for _, s := range notifier.Stats() {
				list = append(list, metrics.Channel(s))
			}
			return list
		},
	})
	server.Mount("/healthz", exporter.Healthz())
	server.Mount("/readyz", exporter.Readyz())
	server.Mount("/metrics", exporter.Handler())
	return o, nil
}

func (n *MonitorNode) certificates() []metrics.Certificate {
	if n.secured == nil {
		return nil
	}
	return []metrics.Certificate{
		{Holder: "monitor", Expires: n.secured.party.Cert().NotAfter},
		{Holder: "issuer", Expires: n.secured.issuer.Expires()},
		{Holder: "root", Expires: n.secured.party.Root().NotAfter},
	}
}

// tellSystemd says how a process stands. That systemd cannot be told is no reason to end.
func tellSystemd(ctx context.Context, alive func(context.Context) error, warn func(error)) error {
	if err := sdnotify.Run(ctx, alive); err != nil {
		warn(err)
	}
	return nil
}
