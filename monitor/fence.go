package monitor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// Limits of fencing.
const (
	tellFencedEvery = time.Second
	checkLimit      = 5 * time.Second // to find out whether an attempt is still wanted
	testEvery       = 6 * time.Hour   // for each fence device
	testRound       = 32              // devices in one round
	testAtOnce      = 4
	testLookEvery   = 10 * time.Second
)

// Fencer takes the power of hosts away.
type Fencer interface {
	// Off returns the devices through which the host was seen off. may is asked right before each act on its power.
	Off(ctx context.Context, host string, levels []plans.FenceLevel, may func(context.Context) error) (device string, err error)
	// Test asks a device for the power's status, without changing it.
	Test(ctx context.Context, device plans.FenceDevice) error
}

// attempt is this monitor's work on an attempt to fence that the log has given to it.
type attempt struct {
	revocation uint64
	number     int
	result     *wire.Fenced // nil while it is under way; then told until the log has it
}

// fence carries out the attempts that the log has given to this monitor, each once, and tells what came of them.
func (m *Monitor) fence(ctx context.Context, state *planner.State, now planner.Now) {
	for _, name := range m.toFence {
		host, _ := state.Hosts.Get(name)
		a := m.fencing[name]
		switch {
		case a == nil || a.revocation != host.Revocation || a.number != host.Fence.Attempt:
			a = &attempt{revocation: host.Revocation, number: host.Fence.Attempt}
			m.fencing[name] = a
			levels := state.Inventory.Hosts[name].Fence
			m.workers.Go(func() { m.carryOut(ctx, name, *a, host.Fence.Within, levels) })
		case a.result != nil && m.due("fenced/"+name, tellFencedEvery, now):
			publish(m, wire.FencedSubject(m.opts.Name), *a.result)
		}
	}
}

// carryOut does one attempt and hands what came of it to the loop.
func (m *Monitor) carryOut(ctx context.Context, name string, a attempt, within time.Duration, levels []plans.FenceLevel) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := m.boottime()
	result := wire.Fenced{Monitor: m.opts.Name, Host: name, Revocation: a.revocation, Attempt: a.number, Outcome: wire.Done}
	device, err := "", fmt.Errorf("monitor %s has no way to fence", m.opts.Name)
	if m.opts.Fencer != nil {
		device, err = m.opts.Fencer.Off(limited, name, levels, func(ctx context.Context) error { return m.mayFence(ctx, name, a) })
	}
	if err != nil {
		result.Outcome, result.Reason = wire.Failed, err.Error()
	}
	result.Device, result.Took = device, m.boottime()-began
	log := m.opts.Logger.With().Str("host", name).Int("attempt", a.number).Dur("took", result.Took).Logger()
	if err != nil {
		log.Error().Err(err).Msg("host was not fenced")
	} else {
		log.Info().Str("device", device).Msg("host was seen off")
	}
	_, _ = m.ask(ctx, func(planner.Now) {
		if now := m.fencing[name]; now != nil && now.revocation == a.revocation && now.number == a.number {
			now.result = &result
		}
	})
}

// mayFence says whether an attempt is still wanted, as of a moment ago: without a leader that answers nothing is fenced.
func (m *Monitor) mayFence(ctx context.Context, name string, a attempt) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	state, err := m.current(ctx)
	if err != nil {
		return fmt.Errorf("nobody knows whether %s is still to be fenced: %w", name, err)
	}
	host, _ := state.Hosts.Get(name)
	if !host.Fence.Of(m.opts.Name) || host.Revocation != a.revocation || host.Fence.Attempt != a.number {
		return fmt.Errorf("%s is not to be fenced any more", name)
	}
	return nil
}

// testFences tests, while this monitor leads, the fence devices whose last test is old: a device that fails is to be known
// before the bad day.
func (m *Monitor) testFences(ctx context.Context, state *planner.State, now planner.Now) {
	const key = "fence tests"
	if m.opts.Fencer == nil || state.Inventory == nil || m.inflight[key] || !m.due(key, testLookEvery, now) {
		return
	}
	type work struct {
		test   planner.FenceTest
		device plans.FenceDevice
	}
	var round []*work
	for name, host := range state.Hosts.All() {
		for _, level := range state.Inventory.Hosts[name].Fence {
			for _, device := range level.Devices {
				if last, tested := host.Tests[device.Name]; len(round) < testRound && (!tested || now.Log.Sub(last.At) >= testEvery) {
					round = append(round, &work{planner.FenceTest{Host: name, Device: device.Name}, device})
				}
			}
		}
	}
	if len(round) == 0 {
		return
	}
	m.inflight[key] = true
	m.workers.Go(func() {
		defer func() { m.settled <- key }()
		places, group := make(chan struct{}, testAtOnce), sync.WaitGroup{}
		for _, w := range round {
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				ctx, cancel := context.WithTimeout(ctx, w.device.Timeout)
				defer cancel()
				err := m.opts.Fencer.Test(ctx, w.device)
				if w.test.OK = err == nil; err != nil {
					w.test.Reason = err.Error()
				}
			})
		}
		group.Wait()
		tests := planner.FencesTested{}
		for _, w := range round {
			tests.Tests = append(tests.Tests, w.test)
		}
		m.report(ctx, planner.Entry{At: now.Log, By: m.opts.Name, Event: tests})
	})
}
