package node

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/raftstore"
)

var _ console.Keeper = (*MonitorNode)(nil)

// transferLimit is how long a leader tries to hand over.
const transferLimit = 10 * time.Second

// Members implements console.Keeper.
func (n *MonitorNode) Members() console.Members {
	info, leases := n.store.Info(), n.store.State().LeaseVoters().Names
	heard := map[string]raftstore.Greeted{}
	for _, g := range n.store.Greeted() {
		heard[g.ID] = g
	}
	list := console.Members{Items: []console.MemberItem{}}
	for _, m := range info.Members {
		item := console.MemberItem{
			Name: m.Name, ID: m.ID, Address: cmp.Or(n.raftAddress(m.Name), m.Address), Role: console.RoleNonvoter, AgeMs: -1,
			Leases: slices.Contains(leases, m.ID) || slices.Contains(leases, m.Name),
		}
		if m.Voter {
			item.Role = console.RoleVoter
		}
		if m.Voter && m.Name == info.Leader {
			item.Role = console.RoleLeader
		}
		if g, ok := heard[m.ID]; ok {
			item.Answers, item.AgeMs, item.Applied = true, g.Age.Milliseconds(), g.Applied
		} else if m.ID == info.ID {
			item.Answers, item.AgeMs, item.Applied = true, 0, n.store.State().Index
		}
		list.Items = append(list.Items, item)
		delete(heard, m.ID)
	}
	for _, g := range heard {
		if g.Waits {
			list.Items = append(list.Items, console.MemberItem{
				Name: g.Name, ID: g.ID, Address: g.Address, Role: console.RoleWaiting, Answers: true, AgeMs: g.Age.Milliseconds(),
			})
		}
	}
	slices.SortFunc(list.Items, func(a, b console.MemberItem) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	if c := n.store.Changing(); c != nil {
		list.Change = &console.ChangeItem{
			Verb: c.Verb, Name: c.Name, Began: console.Time{Time: c.Began}, Doing: c.Doing, Steps: append([]string{}, c.Did...), Ended: console.Time{Time: c.Ended},
		}
		if c.Err != nil {
			list.Change.Error = c.Err.Error()
		}
	}
	return list
}

func (n *MonitorNode) raftAddress(name string) string {
	own, ok := n.config.Monitors[name]
	if !ok {
		return ""
	}
	return join(own.Address, own.Raft)
}

// ChangeMembers implements console.Keeper.
func (n *MonitorNode) ChangeMembers(c console.MemberChange, by, from, reason string) error {
	vote := func(ctx context.Context, ids []string) error {
		if slices.Equal(n.store.State().LeaseVoters().Names, ids) {
			return nil
		}
		_, err := n.monitor.Propose(ctx, planner.Entry{
			By: by, From: from, Reason: fmt.Sprintf("%s of monitor %s: %s", c.Verb, c.Name, reason), Event: planner.MonitorsChanged{Monitors: ids},
		})
		return err
	}
	return n.store.ChangeMembers(raftstore.Change{Verb: c.Verb, Name: c.Name, Force: c.Force}, vote)
}

// Transfer implements console.Keeper.
func (n *MonitorNode) Transfer(ctx context.Context, to string) error {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	return n.store.TransferTo(ctx, to)
}

// Save implements console.Keeper.
func (n *MonitorNode) Save(w io.Writer) error { return n.store.Save(w) }
