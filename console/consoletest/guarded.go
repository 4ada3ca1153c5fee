package consoletest

import (
	"maps"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// Guarded is a monitor whose hosts in ams fence themselves; ams-1 has a fence device as well, fra-1 nothing. The plan is
// armed, db runs on ams-1 and api on ams-2.
func Guarded() *Monitor {
	m := installed(func(set *plans.Set) {
		for _, name := range []string{"ams-1", "ams-2"} {
			host := set.Inventory.Hosts[name]
			host.Lease.Self, host.Lease.Kill = lease.Guard, lease.GuardKill
			set.Inventory.Hosts[name] = host
		}
		host := set.Inventory.Hosts["ams-1"]
		host.Fence = []plans.FenceLevel{{Devices: []plans.FenceDevice{
			{Name: "bmc", Agent: "fence_ipmilan", Timeout: 30 * time.Second, Attempts: 2},
		}}}
		set.Inventory.Hosts["ams-1"] = host
	})
	m.open()
	m.Must(planner.FencesTested{Tests: []planner.FenceTest{{Host: "ams-1", Device: "bmc", OK: true}}})
	return m
}

// Hear changes what the monitor hears of a host.
func (m *Monitor) Hear(host string, change func(*planner.HostPicture)) {
	m.Change(nil, func(look *console.Look) {
		picture := *look.Picture
		picture.Hosts = maps.Clone(picture.Hosts)
		heard := picture.Hosts[host]
		change(&heard)
		picture.Hosts[host] = heard
		look.Picture = &picture
	})
}

// Lost is a guarded cluster that has lost ams-1, with db, and has a run for it.
func Lost() *Monitor {
	m := Guarded()
	m.Answer("ams-1", m.Lose("ams-1"))
	return m
}

// Moved is Lost after ams-1 was fenced and db started on fra-1.
func Moved() *Monitor {
	m := Lost()
	m.Fence("ams-1", wire.Done, "")
	m.Expire("ams-1", planner.Fenced)
	m.Finish(2, "fence/ams-1")
	m.Start(2, "start/db", "fra-1")
	m.Must(planner.RunEnded{Run: 2, Outcome: planner.RunSucceeded})
	return m
}

// SeeOff lets a run of kind fence fence its host: its authority is revoked, and it is seen off.
func (m *Monitor) SeeOff(run uint64, host string) {
	m.Must(planner.StepStarted{Run: run, Step: "fence/" + host, Attempt: 1, Host: host, Within: time.Hour, Why: []planner.Input{}})
	m.Must(planner.HostRevoked{Host: host, Inc: m.Host(host).Inc, Epoch: m.Host(host).Epoch})
	m.Fence(host, wire.Done, "")
	m.Expire(host, planner.Fenced)
	m.Finish(run, "fence/"+host)
	m.Must(planner.RunEnded{Run: run, Outcome: planner.RunSucceeded})
}

// Silent is a guarded cluster where a host is silent, so that it would be lost, while its silence is wanted.
func Silent() *Monitor {
	m := Guarded()
	m.Say("a new kernel", planner.SilenceWanted{Host: "ams-1", Until: m.Look().Now.Add(30 * time.Minute)})
	m.Say("a new schema", planner.SilenceWanted{Workload: "mail", Until: m.Look().Now.Add(24 * time.Hour)})
	m.Hear("ams-1", func(heard *planner.HostPicture) {
		heard.Heart, heard.Age, heard.LostBy = planner.HeartLost, 42*time.Second, []string{"mon-1"}
		heard.Lease.Left = -36 * time.Second
	})
	return m
}

// Sound is a cluster of three monitors in which nothing is wrong: all hosts fence themselves, and all clocks and certificates
// are good. db runs on ams-1 and api on ams-2, and the plan is armed.
func Sound() *Monitor {
	m := installed(func(set *plans.Set) {
		for name, host := range set.Inventory.Hosts {
			host.Lease.Self, host.Lease.Kill = lease.Guard, lease.GuardKill
			set.Inventory.Hosts[name] = host
		}
	})
	m.open()
	m.Change(nil, func(look *console.Look) {
		clock := &planner.ClockPicture{Ahead: 3 * time.Millisecond, Expires: m.at.Add(80 * 24 * time.Hour)}
		look.Members, look.Picture.Monitors = nil, nil
		for _, name := range []string{"mon-1", "mon-2", "mon-3"} {
			look.Members = append(look.Members, console.Member{Name: name, Suffrage: "voter"})
			look.Picture.Monitors = append(look.Picture.Monitors, planner.MonitorPicture{
				Name: name, Able: true, Version: look.Version, Log: planner.LogVersion, Clock: clock,
			})
		}
		for name, heard := range look.Picture.Hosts {
			heard.Clock = clock
			look.Picture.Hosts[name] = heard
		}
	})
	return m
}

// Troubled is a guarded cluster with one of everything that a person must see to before the bad day.
func Troubled() *Monitor {
	m := Guarded()
	m.Must(planner.FencesTested{Tests: []planner.FenceTest{{Host: "ams-1", Device: "bmc", Reason: "10.0.0.9: wrong password"}}})
	m.Flap("fra-1")
	m.Must(planner.WorkloadSeenTwice{Workload: "api", Hosts: []string{"ams-2", "fra-1"}})
	m.Hear("ams-1", func(heard *planner.HostPicture) { heard.Twin = "00000000deadbeef" })
	m.Hear("ams-2", func(heard *planner.HostPicture) {
		heard.Lease = wire.LeaseStatus{Why: "the guard does not answer", Left: 2 * time.Second}
	})
	m.Change(nil, func(look *console.Look) {
		look.Picture.Workloads["db"] = []planner.WorkloadPicture{
			{Host: "ams-1", Condition: actions.Running, Ready: true, Token: 10}, {Host: "fra-1", Condition: actions.Stopped, Autostart: true},
		}
	})
	return m
}
