package agent

import (
	"slices"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/wire"
)

// hear does what the monitors do: it offers to join, and answers renewals.
func (b *bed) hear(_ string, m any) {
	b.rules.Lock()
	defer b.rules.Unlock()
	switch m := m.(type) {
	case wire.Join:
		if m.Nonce != 0 && b.whenSaid != nil {
			b.whenSaid()
		}
		if b.offers && m.Nonce == 0 {
			b.index++
			b.nonce = b.index
			b.offer(wire.Offer{Host: testHost, Inc: m.Inc, Ask: m.Ask, Nonce: b.nonce, Terms: b.terms})
		}
	case wire.Renew:
		b.lastRenewal = m.Stamp
		for _, name := range b.acks {
			b.ack(wire.Ack{Monitor: name, Host: testHost, Inc: m.Inc, Epoch: m.Epoch, Stamp: m.Stamp, Voters: b.voters.Index})
		}
	}
}

func (b *bed) offer(o wire.Offer) {
	data, err := wire.Marshal(o)
	b.hand(wire.OfferSubject(testHost), data, err)
}

func (b *bed) ack(a wire.Ack) {
	data, err := wire.Marshal(a)
	b.hand(wire.AckSubject(testHost), data, err)
}

// answer changes who answers renewals.
func (b *bed) answerRenewals(monitors ...string) {
	b.rules.Lock()
	defer b.rules.Unlock()
	b.acks = monitors
}

// answerJoins changes whether joins are answered.
func (b *bed) answerJoins(yes bool) {
	b.rules.Lock()
	defer b.rules.Unlock()
	b.offers = yes
}

// cut takes the network from the host, heal gives it back.
func (b *bed) cut() {
	b.answerRenewals()
	b.answerJoins(false)
}

func (b *bed) heal() {
	b.answerRenewals("m1", "m2", "m3")
	b.answerJoins(true)
}

// newest returns the newest renewal's stamp: what the lease is counted from while all monitors answer.
func (b *bed) newest() time.Duration {
	b.rules.Lock()
	defer b.rules.Unlock()
	return b.lastRenewal
}

// assign sends an assignment that watches db, api and web.
func (b *bed) assign(epoch uint64, keep ...wire.Kept) {
	b.t.Helper()
	b.sendAssignment(b.assignment(epoch, keep...))
}

// rejoin tells the agent to join again under the same incarnation.
func (b *bed) rejoin(keep ...wire.Kept) {
	b.t.Helper()
	as := b.assignment(b.epoch, keep...)
	as.Rejoin = true
	b.sendAssignment(as)
}

func (b *bed) assignment(epoch uint64, keep ...wire.Kept) wire.Assignment {
	b.rules.Lock()
	defer b.rules.Unlock()
	b.index++
	as := wire.Assignment{
		Host: testHost, Inc: b.inc, Epoch: epoch, Nonce: b.nonce, Index: b.index, Terms: b.terms, Voters: b.voters, Keep: keep,
	}
	for _, name := range []string{"db", "api", "web"} {
		as.Watch = append(as.Watch, wire.Watched{
			Target: target(name), Ready: actions.Ready{When: actions.ReadyActive, Timeout: time.Minute},
			Exclusive: slices.Contains(b.exclusive, name),
		})
	}
	return as
}

func (b *bed) sendAssignment(as wire.Assignment) {
	b.t.Helper()
	data, err := wire.Marshal(as)
	b.deliver(wire.AssignSubject(testHost), data, err)
}
