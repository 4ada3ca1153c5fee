package metrics

import (
	"strconv"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

// quietAfter is how long a monitor may be silent and still counts as answering, as in the API.
const quietAfter = 2 * time.Second

// cluster puts out what is known of the monitors and the log.
func (c collection) cluster() {
	c.flag(leading, c.look.Leading)
	c.flag(leaderKnown, c.look.Leader != "")
	c.one(term, float64(c.look.Term))
	if c.look.LeaderContact >= 0 {
		c.one(contact, c.look.LeaderContact.Seconds())
	}
	c.one(refused, float64(c.look.State.Refused))
	for _, m := range c.look.Picture.Monitors {
		c.flag(monitorAnswer, m.Name == c.look.Self || m.Age >= 0 && m.Age < quietAfter, m.Name)
		c.flag(monitorAble, m.Able, m.Name)
	}
}

// workloads puts out how the workloads stand.
func (c collection) workloads() {
	words := map[console.WorkloadWord]int{}
	wanted := map[planner.Wanted]int{}
	running := 0
	for name, w := range c.look.State.Workloads.All() {
		word, hosts := console.WordOfWorkload(c.look, name, w)
		words[word]++
		wanted[w.Wanted]++
		if hosts > 0 {
			running++
		}
	}
	for _, word := range console.WorkloadWords() {
		c.one(workloadCount, float64(words[word]), string(word))
	}
	c.one(workloadWanted, float64(wanted[planner.WantedRunning]), "running")
	c.one(workloadWanted, float64(wanted[planner.WantedStopped]), "stopped")
	c.one(workloadWanted, float64(wanted[""]), "never")
	c.one(workloadRunning, float64(running))
}

// runs puts out how the runs and plans stand.
func (c collection) runs() {
	open := map[planner.RunState]int{}
	for _, run := range c.look.State.Runs.All() {
		if run.Open() {
			state, _, _ := c.look.State.Standing(run)
			open[state]++
		}
	}
	for _, state := range []planner.RunState{planner.RunRunning, planner.RunWaiting, planner.RunPaused, planner.RunAborting} {
		c.one(runsOpen, float64(open[state]), string(state))
	}
	tally := c.look.State.Tally
	c.one(runsStarted, float64(c.look.State.LastRun))
	c.one(runsEnded, float64(tally.Succeeded), string(planner.RunSucceeded))
	c.one(runsEnded, float64(tally.Failed), string(planner.RunFailed))
	c.one(runsEnded, float64(tally.Aborted), string(planner.RunWasAborted))
	c.one(losses, float64(tally.Losses))
	armed := map[bool]int{}
	for _, plan := range c.look.State.Plans.All() {
		armed[plan.Armed]++
	}
	for _, yes := range []bool{true, false} {
		c.one(plansArmed, float64(armed[yes]), strconv.FormatBool(yes))
	}
}

// process puts out what the other sources know.
func (c collection) process(s Sources) {
	if s.Raft != nil {
		raft := s.Raft()
		c.one(lastIndex, float64(raft.Last))
		c.one(committed, float64(raft.Committed))
		c.one(applied, float64(raft.Applied))
		if !raft.Snapshot.IsZero() {
			c.one(snapshotAge, time.Since(raft.Snapshot).Seconds())
		}
	}
	if s.Bus != nil {
		bus := s.Bus()
		c.flag(busConnected, bus.Connected)
		c.one(busDropped, float64(bus.Dropped))
	}
	if s.Dropped != nil {
		c.one(loopDropped, float64(s.Dropped()))
	}
	if s.Certificates != nil {
		for _, cert := range s.Certificates() {
			c.one(certExpiry, time.Until(cert.Expires).Seconds(), cert.Holder)
		}
	}
	if s.Channels != nil {
		for _, channel := range s.Channels() {
			c.one(notifyWaiting, float64(channel.Waiting), channel.Name)
			c.one(notifySent, float64(channel.Sent), channel.Name)
			c.one(notifyFailed, float64(channel.Failed), channel.Name)
			c.one(notifyDropped, float64(channel.Dropped), channel.Name)
		}
	}
	if s.Published != nil {
		c.one(published, float64(s.Published()))
	}
}
