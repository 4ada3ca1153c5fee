package consoletest

import (
	"context"
	"fmt"
	"time"

	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// Inventory is the file of a small shop: three hosts on two sites, db, api after it, and mail.
const Inventory = `apiVersion: holter/v1
kind: Inventory
cluster: {name: shop}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, address: 127.1.0.1, labels: {role: db}}
  ams-2: {site: ams, address: 127.1.0.2}
  fra-1: {site: fra, address: 127.2.0.1}
workloads:
  db: {kind: memory, unit: db, hosts: [ams-1, fra-1]}
  api: {kind: memory, unit: api, hosts: [ams-2, fra-1], after: [db]}
  mail: {kind: memory, unit: mail, hosts: [ams-2, fra-1]}
`

// Plan is the file of the shortest plan that protects everything.
const Plan = `apiVersion: holter/v1
kind: Plan
name: restart-elsewhere
trigger: [{host_lost: any}]
steps:
  - fence: trigger.hosts
  - start: {workloads: {lost_with: trigger.hosts}}
`

// Installed is a monitor with Inventory, with Plan disarmed, and with three hosts that run nothing and do not fence
// themselves.
func Installed() *Monitor { return installed(func(*plans.Set) {}) }

// installed is Installed with a set of files that was changed.
func installed(change func(*plans.Set)) *Monitor {
	m := New("mon-1")
	set, err := plans.Decode([]plans.File{{Name: "inventory.yaml", Text: []byte(Inventory)}, {Name: "plan.yaml", Text: []byte(Plan)}}, nil)
	if err != nil {
		panic(err)
	}
	for name, host := range set.Inventory.Hosts {
		host.Lease = lease.Normal()
		set.Inventory.Hosts[name] = host
	}
	set.Plans[0].Guard = plans.Guard{MaxLost: 1}
	change(set)
	_, err = m.Propose(context.Background(), planner.Entry{
		By: "local:ada", From: "127.0.0.1", Reason: "first", Event: planner.FilesApplied{Set: *set},
	})
	if err != nil {
		panic(err)
	}
	for i, host := range []string{"ams-1", "ams-2", "fra-1"} {
		m.Join(host, uint64(i+1))
	}
	return m
}

// Join takes an incarnation of a host in, which runs nothing.
func (m *Monitor) Join(host string, inc uint64) {
	nonce := m.Must(planner.JoinOffered{Host: host, Inc: inc, Ask: 1})
	m.Must(planner.HostJoined{Host: host, Boot: "b00t", Inc: inc, Nonce: nonce, Keep: []wire.Kept{}, Version: "test"})
}

// open starts db and api and arms the plan.
func (m *Monitor) open() {
	run, err := planner.NewStart(m.Look().State, planner.Request{Workloads: []string{"db", "api"}})
	if err != nil {
		panic(err)
	}
	m.Must(run)
	m.Step(1, "start/db", "ams-1", wire.Done)
	m.Step(1, "start/api", "ams-2", wire.Done)
	m.Must(planner.RunEnded{Run: 1, Outcome: planner.RunSucceeded})
	m.Must(planner.PlanArmed{Plan: "restart-elsewhere"})
}

// Shop is an Installed monitor with the plan armed and db and api running, after which ams-1, with db, is lost: R-0002 waits
// for evidence.
func Shop() *Monitor {
	m := Installed()
	m.open()
	m.Answer("ams-1", m.Lose("ams-1"))
	return m
}

// Flap loses a host and takes it in again, until it is quarantined.
func (m *Monitor) Flap(host string) {
	for !m.Host(host).Quarantined(m.Look().Now) {
		m.Lose(host)
		h := m.Host(host)
		m.Say("it was off", planner.HostExpired{Host: host, Epoch: h.Epoch, Revocation: h.Revocation, Evidence: planner.Confirmed})
		m.Join(host, h.Inc+100)
	}
}

// Answer starts a run of the plan for the loss of a host, and its fence step.
func (m *Monitor) Answer(host string, loss uint64) {
	run, err := planner.NewPlanRun(m.Look().State, "restart-elsewhere", []string{host})
	if err != nil {
		panic(err)
	}
	if _, err := m.Propose(context.Background(), planner.Entry{By: "mon-1", Cause: loss, Event: run}); err != nil {
		panic(err)
	}
	m.Must(planner.StepStarted{
		Run: m.Look().State.LastRun, Step: "fence/" + host, Attempt: 1, Host: host, Within: time.Hour, Why: []planner.Input{},
	})
}

// Fence lets an attempt to fence a host begin and, unless the outcome is empty, end.
func (m *Monitor) Fence(host string, outcome wire.Outcome, reason string) {
	h := m.Host(host)
	attempt := 1
	if h.Fence != nil {
		attempt = h.Fence.Attempt + 1
	}
	m.Must(planner.FenceStarted{Host: host, Revocation: h.Revocation, Attempt: attempt, Monitor: "mon-1", Within: time.Minute})
	if outcome == "" {
		return
	}
	finished := planner.FenceFinished{Host: host, Revocation: h.Revocation, Attempt: attempt, Monitor: "mon-1", Outcome: outcome, Took: 2 * time.Second}
	if outcome == wire.Done {
		finished.Device = "bmc"
	}
	m.Say(reason, finished)
}

// Expire brings in the evidence that a lost host runs nothing, as the monitors find it.
func (m *Monitor) Expire(host string, kind planner.EvidenceKind) {
	h := m.Host(host)
	e := planner.HostExpired{Host: host, Epoch: h.Epoch, Revocation: h.Revocation, Evidence: kind}
	reason := "seen off by mon-1 through bmc"
	if kind == planner.LeaseExpired {
		e.Reports, reason = []string{"mon-1"}, "not renewed by mon-1 for "+h.Lease.Takeover().String()+": "+h.Lease.Sum()
	}
	m.Say(reason, e)
}

// Host returns a host of the inventory.
func (m *Monitor) Host(name string) planner.Host {
	host, ok := m.Look().State.Hosts.Get(name)
	if !ok {
		panic(fmt.Sprintf("there is no host %s", name))
	}
	return host
}

// Lose lets a host be lost and returns the index of that.
func (m *Monitor) Lose(name string) uint64 {
	host := m.Host(name)
	const age = 3200 * time.Millisecond
	return m.Must(planner.HostLost{
		Host: name, Inc: host.Inc, Epoch: host.Epoch, Age: age, Witnesses: []planner.Witness{{Monitor: "mon-1", Age: age}},
	})
}

// Step lets the next attempt of a step begin on a host and end at once.
func (m *Monitor) Step(run uint64, step, host string, outcome wire.Outcome) {
	m.begin(run, step, host, []planner.Input{})
	m.end(run, step, outcome)
}

// Start lets a start that succeeds begin on a host, with the evidence that it stands on.
func (m *Monitor) Start(run uint64, step, host string) {
	w, _ := m.Look().State.Workloads.Get(m.Look().State.Run(run).Step(step).Workload)
	m.begin(run, step, host, []planner.Input{{Name: planner.InputEvidence, Value: w.Freed.String(), OK: true}})
	m.end(run, step, wire.Done)
}

// Finish ends a fence step that has its evidence.
func (m *Monitor) Finish(run uint64, step string) { m.end(run, step, wire.Done) }

func (m *Monitor) begin(run uint64, step, host string, why []planner.Input) {
	m.Must(planner.StepStarted{
		Run: run, Step: step, Attempt: m.Look().State.Run(run).Step(step).Attempt + 1, Host: host, Epoch: m.Host(host).Epoch,
		Within: time.Minute, Why: why,
	})
}

func (m *Monitor) end(run uint64, step string, outcome wire.Outcome) {
	st := m.Look().State.Run(run).Step(step)
	reason := ""
	if outcome == wire.Failed {
		reason = "exit status 1"
	}
	m.Say(reason, planner.StepFinished{
		Run: run, Step: step, Attempt: st.Attempt, Token: st.Token, Outcome: outcome, Stopped: outcome == wire.Failed, Took: 1500 * time.Millisecond,
	})
}
