package monitor

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

const (
	reportEvery = time.Second
	askEvery    = 500 * time.Millisecond // a question for a read index that is not answered
	readLimit   = 2 * time.Second        // for a leader to answer one
	questionOld = time.Minute            // a question that nobody waits for any more is forgotten
)

// question is one of this monitor's for a read index.
type question struct {
	at     time.Duration // boot time
	answer chan uint64
}

// look keeps what is wanted of a State on each tick and costs a pass over its hosts.
func (m *Monitor) look(state *planner.State) {
	if state == m.state {
		return
	}
	m.state, m.revoked, m.toFence = state, nil, nil
	for name, host := range state.Hosts.All() {
		if host.Phase == planner.Revoking {
			m.revoked = append(m.revoked, name)
		}
		if host.Fence.Of(m.opts.Name) {
			m.toFence = append(m.toFence, name)
		}
	}
}

// standing is what this monitor's copy of the log says of a host.
func standing(host planner.Host) lease.Standing {
	return lease.Standing{
		Inc: host.Inc, Epoch: host.Epoch, Revocation: host.Revocation, Active: host.Phase == planner.Active, Terms: host.Lease,
	}
}

// heardRenew answers a host whose epoch is in force, with its own stamp.
func (m *Monitor) heardRenew(r wire.Renew, now planner.Now) {
	state := m.log.State()
	host, known := state.Hosts.Get(r.Host)
	if !known || !m.granter.Renew(r.Host, r.Inc, r.Epoch, standing(host), state.Index, now.Boot) {
		return
	}
	for _, voice := range m.voices(state) {
		publish(m, wire.AckSubject(r.Host), wire.Ack{
			Monitor: voice, Host: r.Host, Inc: r.Inc, Epoch: r.Epoch, Stamp: r.Stamp, Voters: state.LeaseVoters().Index,
		})
	}
}

// voices are the names under which this monitor votes on leases: its server id, and in a cluster that was formed before ids
// were the voters its configured name, unless it has that one from a former machine.
func (m *Monitor) voices(state *planner.State) []string {
	var voices []string
	for _, own := range []string{m.opts.ID, m.opts.Name} {
		if own == "" || own == m.opts.Name && m.opts.Taken {
			continue
		}
		if slices.ContainsFunc(state.Voters, func(v lease.Voters) bool { return slices.Contains(v.Names, own) }) {
			voices = append(voices, own)
		}
	}
	return voices
}

// bearWitness reports the hosts whose lease this monitor has not renewed for so long that they run nothing any more.
func (m *Monitor) bearWitness(state *planner.State, now planner.Now) {
	for _, name := range m.revoked {
		host, _ := state.Hosts.Get(name)
		if due, _ := m.granter.Report(name, standing(host), now.Boot); due && m.due("report/"+name, reportEvery, now) {
			for _, voice := range m.voices(state) {
				publish(m, wire.ReportSubject(m.opts.Name), wire.Report{
					Monitor: voice, Host: name, Epoch: host.Epoch, Revocation: host.Revocation,
				})
			}
		}
	}
}

// catchUp finds out, once after a start, how far the log must be applied before this monitor renews leases.
func (m *Monitor) catchUp(ctx context.Context) {
	index, err := m.readIndex(ctx)
	if err != nil {
		return // ctx has ended
	}
	_, _ = m.ask(ctx, func(planner.Now) { m.granter.CaughtUp(index) })
}

// current returns a State that holds all that was committed before the call.
func (m *Monitor) current(ctx context.Context) (*planner.State, error) {
	index, err := m.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	changed, stop := m.log.Watch()
	defer stop()
	for {
		if state := m.log.State(); state.Index >= index {
			return state, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("catch up with the log: %w", ctx.Err())
		}
	}
}

// readIndex asks whoever leads, again and again until ctx ends.
func (m *Monitor) readIndex(ctx context.Context) (uint64, error) {
	answer := make(chan uint64, 1)
	r := wire.ReadIndex{Monitor: m.opts.Name, Ask: rand.Uint64()} //nolint:gosec // a number to know the answer by, not a secret
	_, err := m.ask(ctx, func(now planner.Now) {
		maps.DeleteFunc(m.questions, func(_ uint64, q question) bool { return now.Boot-q.at > questionOld })
		m.questions[r.Ask] = question{now.Boot, answer}
	})
	if err != nil {
		return 0, err
	}
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		publish(m, wire.ReadIndexSubject(m.opts.Name), r)
		select {
		case index := <-answer:
			return index, nil
		case <-again.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("ask the leader for a read index: %w", ctx.Err())
		}
	}
}

// heardReadIndex takes an answer to a question of this monitor's, or, while it leads, answers another's.
func (m *Monitor) heardReadIndex(r wire.ReadIndex, _ planner.Now) {
	key := "readindex/" + r.Monitor
	switch {
	case r.Index != 0:
		if q, waits := m.questions[r.Ask]; waits && r.Monitor == m.opts.Name {
			q.answer <- r.Index
			delete(m.questions, r.Ask)
		}
	case m.log.Leading() && !m.inflight[key] && slices.Contains(m.opts.Monitors, r.Monitor):
		m.inflight[key] = true
		m.workers.Go(func() {
			m.answerReadIndex(r)
			m.settled <- key
		})
	}
}

func (m *Monitor) answerReadIndex(r wire.ReadIndex) {
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	index, err := m.log.ReadIndex(ctx)
	if err != nil {
		m.opts.Logger.Debug().Err(err).Str("asked_by", r.Monitor).Msg("read index was not told")
		return
	}
	r.Index = index
	publish(m, wire.ReadIndexSubject(r.Monitor), r)
}
