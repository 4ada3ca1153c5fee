package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
)

// newDoctorCommand looks at a whole cluster before the bad day.
func newDoctorCommand(a *app) *cobra.Command {
	d := &doctor{a: a}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check clocks, ports, certificates, disks, fencing, and what each host's loss would mean",
		Long: `Check the whole cluster before the bad day: monitors and where they are, ports, clocks, certificates, disks, fence devices, versions,
and for each host what its loss would mean now. Each thing that is wrong comes with what to do. Nothing is changed.

Exit code 0: all is well. 16: something is wrong, or could not be checked. 7: no monitor answers, or none leads; what can be checked
without is checked all the same.

On a host, --agent FILE also tries with its agent's own keys what NATS lets it do and what not; the agent goes on meanwhile.`,
		Example: "  holter doctor\n  holter doctor -o json\n  holter doctor --agent /etc/holter/agent.yaml", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&d.agent, "agent", "", "the config file of this host's agent: try what NATS lets it do")
	return cmd
}

// doctor collects what is known and what can be tried from here.
type doctor struct {
	a     *app
	agent string
}

func (d *doctor) run(ctx context.Context) error {
	f, err := d.gather(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	report := f.report()
	if d.a.asJSON() {
		if err := d.a.printDoc(console.Doc[doctorReport]{Meta: f.meta, Item: report}); err != nil {
			return err
		}
	} else {
		d.a.showDoctor(f, report)
	}
	switch {
	case !f.quorum():
		return ended(console.ExitNoQuorum)
	case !report.Well:
		return ended(console.ExitUnwell)
	}
	return nil
}

// gather asks everybody and tries everything. What does not answer is a fact, too.
func (d *doctor) gather(ctx context.Context) (*doctorFacts, error) {
	a := d.a
	f := &doctorFacts{now: a.now(), socket: a.flags.socket != ""}
	if err := d.own(f); err != nil {
		return nil, err
	}
	if d.agent != "" {
		tried, err := tryAgent(ctx, d.agent)
		if err != nil {
			return nil, err
		}
		f.agent = tried
	}
	d.ask(ctx, f)
	d.checkup(ctx, f)
	d.dial(ctx, f)
	return f, nil
}

// own reads the certificate of whoever asks.
func (d *doctor) own(f *doctorFacts) error {
	dir := d.a.identityDir()
	if dir == "" || d.a.options.Token != "" {
		return nil
	}
	party, err := identity.Load(dir)
	if err != nil {
		return usage("--identity: %w", err)
	}
	f.holder, f.expires = party.ID(), party.Expires()
	return nil
}

// ask has every monitor speak for itself.
func (d *doctor) ask(ctx context.Context, f *doctorFacts) {
	probes := d.a.probeAll(ctx)
	if f.socket {
		probes = probes[:1] // whatever the address, the same monitor answers
	}
	f.monitors = make([]askedMonitor, len(probes))
	var asking sync.WaitGroup
	for i, p := range probes {
		f.monitors[i].probe = p
		if p.err != nil {
			continue
		}
		asking.Go(func() {
			m := &f.monitors[i]
			ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, d.a.flags.timeout))
			defer cancel()
			client := console.NewClient([]string{m.address}, d.a.staleOptions())
			defer client.Close()
			if _, m.err = client.Self(ctx); m.err != nil { // the first one opens the connection, which takes longer
				m.selfErr, m.err = m.err, nil
				return
			}
			sent := d.a.now()
			m.self, m.selfErr = client.Self(ctx)
			m.took = d.a.now().Sub(sent)
			m.ahead = m.self.Item.Wall.Sub(sent.Add(m.took / 2))
		})
	}
	asking.Wait()
}

// checkup asks the leader for what it finds; without one, the monitor that knows most.
func (d *doctor) checkup(ctx context.Context, f *doctorFacts) {
	best := -1
	for i, m := range f.monitors {
		if m.err == nil && (best < 0 || m.status.Index > f.monitors[best].status.Index) {
			best = i
		}
	}
	if best < 0 {
		return
	}
	asking, cancel := d.a.asking(ctx)
	defer cancel()
	client := console.NewClient([]string{f.monitors[best].address}, d.a.options)
	defer client.Close()
	answer, err := client.Doctor(asking)
	if e, ok := errors.AsType[*console.APIError](err); ok && e.Exit == console.ExitNoQuorum {
		f.leaderless = e
		stale := console.NewClient([]string{f.monitors[best].address}, d.a.staleOptions())
		defer stale.Close()
		answer, err = stale.Doctor(asking)
	}
	f.checked, f.checkErr, f.meta = answer.Item, err, answer.Meta
	f.cluster = f.monitors[best].status.Item
}

// dial tries the ports of NATS, as agents would.
func (d *doctor) dial(ctx context.Context, f *doctorFacts) {
	tried := map[string]bool{}
	for _, m := range f.monitors {
		for _, address := range m.self.Item.NATS.Addresses {
			if !tried[address] {
				tried[address] = true
				f.ports = append(f.ports, triedPort{address: address, of: m.self.Item.Monitor})
			}
		}
	}
	dialer := net.Dialer{Timeout: min(probeTimeout, d.a.flags.timeout)}
	var dialing sync.WaitGroup
	for i := range f.ports {
		dialing.Go(func() {
			conn, err := dialer.DialContext(ctx, "tcp", f.ports[i].address)
			if err != nil {
				f.ports[i].err = err
				return
			}
			_ = conn.Close() // nothing was sent
		})
	}
	dialing.Wait()
}

// askedMonitor is one monitor with what it said of itself.
type askedMonitor struct {
	probe
	self    console.Doc[console.Self]
	selfErr error
	took    time.Duration // of the answer
	ahead   time.Duration // of its wall clock before ours
}

type triedPort struct {
	address, of string
	err         error
}
