package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holter-ha/holter/console"
)

// probeTimeout is how long one monitor may take to speak for itself.
const probeTimeout = 4 * time.Second

// probe is what one monitor said when it was asked for itself.
type probe struct {
	name    string // as another monitor knows it; empty: unknown
	address string
	status  console.Doc[console.Status]
	err     error
}

// probeAll asks every server that was named, and then the monitors that those know of.
func (a *app) probeAll(ctx context.Context) []probe {
	probes := make([]probe, 0, len(a.servers()))
	for _, server := range a.servers() {
		probes = append(probes, probe{address: console.BaseURL(server)})
	}
	a.probeEach(ctx, probes)
	more := unasked(probes)
	a.probeEach(ctx, more)
	return append(probes, more...)
}

// probeEach asks them at once; each goroutine writes its own probe.
func (a *app) probeEach(ctx context.Context, probes []probe) {
	var asking sync.WaitGroup
	for i := range probes {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, a.flags.timeout))
			defer cancel()
			client := console.NewClient([]string{probes[i].address}, a.staleOptions())
			defer client.Close()
			probes[i].status, probes[i].err = client.Status(ctx)
		})
	}
	asking.Wait()
}

// unasked lists the monitors that the ones that answered know and that nobody has asked.
func unasked(probes []probe) []probe {
	asked := map[string]bool{}
	named := map[string]bool{}
	for i, p := range probes {
		asked[p.address] = true
		if p.err == nil {
			probes[i].name = p.status.Item.Self
			named[p.status.Item.Self] = true
		}
	}
	var more []probe
	for _, p := range probes {
		for _, m := range p.status.Item.Monitors {
			address := console.BaseURL(m.API)
			switch {
			case m.API == "" || named[m.Name]:
			case asked[address]:
				name(probes, address, m.Name)
			default:
				asked[address], named[m.Name] = true, true
				more = append(more, probe{name: m.Name, address: address})
			}
		}
	}
	return more
}

// name gives the probe of an address its monitor's name.
func name(probes []probe, address, name string) {
	for i := range probes {
		if probes[i].address == address {
			probes[i].name = name
		}
	}
}

func (p probe) cells() []cell {
	if p.err != nil {
		return []cell{{text: orDash(p.name)}, {text: p.address}, {"✕ unreachable", roleError}, {text: p.reason()}}
	}
	return []cell{{text: p.status.Item.Self}, {text: p.address}, {"● answers", roleOK}, {text: "last word of a leader " + ago(p.status.Item.LeaderContactMs)}}
}

// reason is why the monitor did not answer.
func (p probe) reason() string {
	if e, ok := errors.AsType[*console.APIError](p.err); ok && len(e.Tried) > 0 {
		return e.Tried[0].Reason
	}
	return p.err.Error()
}
