package consoletest

import (
	"context"
	"fmt"
	"time"

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

// Installed is a monitor with Inventory, with Plan disarmed, and with three hosts that run nothing.
func Installed() *Monitor {
	m := New("mon-1")
	set, err := plans.Decode([]plans.File{{Name: "inventory.yaml", Text: []byte(Inventory)}, {Name: "plan.yaml", Text: []byte(Plan)}}, nil)
	if err != nil {
		panic(err)
	}
	_, err = m.Propose(context.Background(), planner.Entry{
		By: "local:ada", From: "127.0.0.1", Reason: "first", Event: planner.FilesApplied{Set: *set},
	})
	if err != nil {
		panic(err)
	}
	for i, host := range []string{"ams-1", "ams-2", "fra-1"} {
		m.Must(planner.HostJoined{Host: host, Boot: "b00t", Inc: uint64(i + 1), Keep: []wire.Kept{}, Version: "test"})
	}
	return m
}

// Shop is an Installed monitor with the plan armed and db and api running, after which ams-1, with db, is lost: R-0002 waits
// for evidence.
func Shop() *Monitor {
	m := Installed()
	run, err := planner.NewStart(m.Look().State, planner.Request{Workloads: []string{"db", "api"}})
	if err != nil {
		panic(err)
	}
	m.Must(run)
	m.Step(1, "start/db", "ams-1", wire.Done)
	m.Step(1, "start/api", "ams-2", wire.Done)
	m.Must(planner.RunEnded{Run: 1, Outcome: planner.RunSucceeded})
	m.Must(planner.PlanArmed{Plan: "restart-elsewhere"})
	cause := m.Lose("ams-1")
	run, err = planner.NewPlanRun(m.Look().State, "restart-elsewhere", []string{"ams-1"})
	if err != nil {
		panic(err)
	}
	if _, err := m.Propose(context.Background(), planner.Entry{By: "mon-1", Cause: cause, Event: run}); err != nil {
		panic(err)
	}
	m.Must(planner.StepStarted{Run: 2, Step: "fence/ams-1", Attempt: 1, Within: time.Hour, Why: []planner.Input{}})
	return m
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
	attempt := m.Look().State.Run(run).Step(step).Attempt + 1
	token := m.Must(planner.StepStarted{
		Run: run, Step: step, Attempt: attempt, Host: host, Epoch: m.Host(host).Epoch, Within: time.Minute, Why: []planner.Input{},
	})
	m.Must(planner.StepFinished{
		Run: run, Step: step, Attempt: attempt, Token: token, Outcome: outcome, Stopped: outcome == wire.Failed, Took: 1500 * time.Millisecond,
	})
}
