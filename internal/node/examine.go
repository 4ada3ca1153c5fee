package node

import (
	"time"

	"github.com/holter-ha/holter/console"
)

var _ console.Examiner = (*MonitorNode)(nil)

// Examine implements console.Examiner.
func (n *MonitorNode) Examine() console.Self {
	self := console.Self{
		Monitor: n.config.Name, Version: n.version, Wall: console.Time{Time: time.Now()}, Audit: n.audit.Trouble(),
		Certificates: []console.CertificateItem{},
		Disk:         console.DiskItem{Dir: n.config.DataDir, Trouble: n.store.Trouble()},
		NATS:         console.NATSItem{Connected: n.conn.Connected(), Foreign: n.server == nil, NKey: n.nkey, Addresses: []string{}},
	}
	if free, total, least, err := n.store.Room(); err == nil {
		self.Disk.Free, self.Disk.Total, self.Disk.Least = free, total, least
	}
	for _, cert := range n.certificates() {
		self.Certificates = append(self.Certificates, console.CertificateItem{Holder: cert.Holder, Expires: console.Time{Time: cert.Expires}})
	}
	if own := n.config.Monitors[n.config.Name]; n.server != nil {
		self.NATS.Addresses = append(self.NATS.Addresses, join(own.Address, own.NATS))
	}
	return self
}
