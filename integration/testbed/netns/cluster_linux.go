package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/integration/testbed"
	"github.com/holter-ha/holter/integration/testbed/procs"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

// Options say what a cluster consists of.
type Options struct {
	Programs  *procs.Programs
	Monitors  []string
	Hosts     []string
	Workloads []string // of kind command, which every host may run
	Guards    bool     // whether each host has a guard beside its agent
	// AgentConfig and MonitorConfig are more lines of YAML for the config files.
	AgentConfig, MonitorConfig string
}

// Cluster is a cluster of real processes, each party in namespaces of its own.
type Cluster struct {
	t       testing.TB
	opt     Options
	dir     string
	holter  string
	net     *network
	parties map[string]*party
	op      *operator
}

// pollInterval is how often a condition is looked at.
const pollInterval = 20 * time.Millisecond

// Require skips the test unless this machine can run a cluster in namespaces.
func Require(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip(testbed.LeftOut, "network namespaces need root")
	}
	for _, program := range []string{"ip", "mount", "env"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(testbed.LeftOut, "network namespaces need", program, "(packages iproute2, mount, coreutils)")
		}
	}
}

// Start starts a cluster; it is gone with everything in it when the test ends. It calls Require first.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	Require(t)
	if len(o.Monitors)+len(o.Hosts) > maxParties {
		t.Fatalf("a cluster of %d parties, at most %d have addresses", len(o.Monitors)+len(o.Hosts), maxParties)
	}
	c := &Cluster{t: t, opt: o, dir: t.TempDir(), holter: o.Programs.Holter(t), parties: map[string]*party{}}
	t.Cleanup(c.close)
	var err error
	if c.net, err = newNetwork(); err != nil {
		t.Fatalf("make a network: %v", err)
	}
	for i, name := range c.Parties() {
		if c.parties[name] != nil {
			t.Fatalf("two parties are called %s", name)
		}
		p := &party{name: name, address: fmt.Sprintf(addressFormat, 1+i), dir: c.dir}
		c.parties[name] = p
		if i < len(o.Monitors) {
			p.serve(c.holter, "monitor")
			continue
		}
		if o.Guards {
			p.serve(c.holter, "guard")
		}
		p.serve(c.holter, "agent")
	}
	for i, name := range c.Parties() {
		p := c.parties[name]
		if i < len(o.Monitors) {
			c.write(p.config(), c.monitorConfig(name))
		} else {
			c.write(p.config(), c.agentConfig(name))
		}
	}
	if c.op, err = newOperator(c.net, c.dir, c.addresses(o.Monitors)); err != nil {
		t.Fatalf("make the operator's place: %v", err)
	}
	for _, name := range c.Parties() {
		c.Boot(name)
	}
	return c
}

func (c *Cluster) monitorConfig(name string) string {
	return procs.Monitor{
		Name: name, DataDir: filepath.Join(c.dir, name), Addresses: c.addresses(c.opt.Monitors), More: c.opt.MonitorConfig,
	}.Config()
}

func (c *Cluster) agentConfig(name string) string {
	a := procs.Agent{Name: name, DataDir: filepath.Join(c.dir, name), Commands: map[string][]string{}, More: c.opt.AgentConfig}
	for _, monitor := range c.opt.Monitors {
		a.NATS = append(a.NATS, "nats://"+c.parties[monitor].address+":7472")
	}
	for _, workload := range c.opt.Workloads {
		a.Commands[workload] = []string{c.opt.Programs.Workload(c.t), c.Record(), workload}
	}
	return a.Config()
}

// addresses are the addresses of parties, by name.
func (c *Cluster) addresses(names []string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = c.parties[name].address
	}
	return all
}

func (c *Cluster) write(path, text string) {
	c.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// Parties lists the monitors, then the hosts.
func (c *Cluster) Parties() []string { return slices.Concat(c.opt.Monitors, c.opt.Hosts) }

// party finds a party by its name.
func (c *Cluster) party(name string) *party {
	c.t.Helper()
	p := c.parties[name]
	if p == nil {
		c.t.Fatalf("there is no party %q, but %s", name, strings.Join(c.Parties(), ", "))
	}
	return p
}

// Cut cuts the link of a party: nothing reaches it, and nothing that it sends reaches anybody.
func (c *Cluster) Cut(name string) {
	c.t.Helper()
	address := c.party(name).address
	c.check(c.net.drop("from "+address, "to "+address))
}

// CutOneWay has nothing that one party sends reach some others, while it goes on to hear them.
func (c *Cluster) CutOneWay(from string, to ...string) {
	c.t.Helper()
	var selectors []string
	for _, name := range to {
		selectors = append(selectors, "from "+c.party(from).address+" to "+c.party(name).address)
	}
	c.check(c.net.drop(selectors...))
}

// Heal takes back all cuts from and to a party.
func (c *Cluster) Heal(name string) {
	c.t.Helper()
	c.check(c.net.heal(c.party(name).address))
}

// HealAll takes back all cuts.
func (c *Cluster) HealAll() {
	c.t.Helper()
	c.check(c.net.heal(""))
}

// Record is the directory of the record that the workloads share.
func (c *Cluster) Record() string { return filepath.Join(c.dir, "record") }

// Faults are what the workloads' own record proves against the cluster: a workload that ran twice, or was started with an
// older token.
func (c *Cluster) Faults() []record.Fault {
	c.t.Helper()
	lines, err := record.Read(c.Record())
	if err != nil {
		c.t.Error(err)
	}
	return record.Judge(lines)
}

// Judge fails the test if there are faults, and shows each. It is called at the end of the test, too.
func (c *Cluster) Judge() {
	c.t.Helper()
	if said := record.Report(c.Faults()); said != "" {
		c.t.Errorf("by the workloads' own record:\n%s", said)
	}
}

// Until looks again and again until a condition holds, and returns how long that took; the test fails if it takes too long.
func (c *Cluster) Until(what string, limit time.Duration, holds func() bool) time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for began := time.Now(); ; {
		if holds() {
			return time.Since(began)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			status, talk, _ := c.Holter("status", "--stale")
			c.t.Fatalf("not within %v: %s\n%s%s", limit, what, status, talk)
		}
	}
}

func (c *Cluster) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// close ends everything, and says what can be said about it.
func (c *Cluster) close() {
	if c.op != nil {
		c.op.close()
	}
	for _, p := range c.parties {
		p.crash()
	}
	if c.net != nil {
		c.net.router.kill()
	}
	c.Judge()
	for _, p := range c.parties {
		for _, s := range p.services {
			log, _ := os.ReadFile(s.log) // one that never started has none
			procs.CheckRaces(c.t, s.name, log)
			procs.ShowLog(c.t, s.name, log)
		}
	}
}
