package raftstore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/wire"
)

// helloAge is how long a hello counts: a monitor that fell silent may have lost its directory since.
const helloAge = 5 * time.Second

// assembly is what one fresh monitor hears of the others before there is a cluster. It decides whether this monitor is to
// form one. It does nothing itself and the time comes in.
//
// Invariant: only the configured monitor with the lowest name ever forms a cluster, so two that hear different sets of
// monitors cannot both do it.
type assembly struct {
	name  string
	id    string
	peers map[string]string // configured addresses by name
	fresh bool              // this monitor's directory has never been part of a cluster
	join  bool              // it waits to be taken into one: it forms none
	heard map[string]heard  // by server id; fresh monitors only
	// exists names a monitor of an existing cluster that was heard. Such a cluster is joined, never formed anew.
	exists string
	former string // the server id that this monitor's name has in that cluster; empty: none
}

type heard struct {
	hello wire.Hello
	at    time.Time
}

func newAssembly(name, id string, peers map[string]string, fresh bool) *assembly {
	return &assembly{name: name, id: id, peers: peers, fresh: fresh, heard: map[string]heard{}}
}

// observe takes a hello in. The error means that this monitor must stop.
func (a *assembly) observe(h wire.Hello, now time.Time) error {
	if !a.fresh || h.ID == a.id {
		return nil
	}
	if len(h.Members) > 0 || h.Cluster != "" {
		a.exists, a.former = h.Monitor, ""
		for _, member := range h.Members {
			if nameOf(member) != a.name || member == a.id || slices.Contains(h.Members, a.id) {
				continue
			}
			if a.former = member; !a.join {
				return fmt.Errorf("monitor %s was %s in this cluster and its data directory is now empty: %s",
					a.name, member, replaceHint(member))
			}
		}
		return nil
	}
	if _, configured := a.peers[h.Monitor]; configured {
		a.forget(now)
		a.heard[h.ID] = heard{h, now}
	}
	return nil
}

// forget drops the hellos that count no longer.
func (a *assembly) forget(now time.Time) {
	maps.DeleteFunc(a.heard, func(_ string, other heard) bool { return now.Sub(other.at) >= helloAge })
}

// servers is the voters of the cluster that this monitor is to form now, nil if it is not to.
func (a *assembly) servers(now time.Time) []raft.Server {
	if a.join || a.waitsFor(now) != "" || a.name != lowest(a.peers) {
		return nil
	}
	servers := []raft.Server{{ID: raft.ServerID(a.id), Address: raft.ServerAddress(a.peers[a.name])}}
	for id, other := range a.heard {
		servers = append(servers, raft.Server{
			ID: raft.ServerID(id), Address: raft.ServerAddress(a.peers[other.hello.Monitor]),
		})
	}
	slices.SortFunc(servers, byID)
	return servers
}

// waitsFor says, for people, what is missing for a cluster to be formed; empty if nothing is.
func (a *assembly) waitsFor(now time.Time) string {
	if !a.fresh {
		return "waiting for the leader of the cluster that this monitor is part of"
	}
	switch {
	case a.former != "" && a.join:
		return fmt.Sprintf("%s is %s in the cluster: waiting for `holter monitor replace %s`", a.name, a.former, a.name)
	case a.exists != "" && a.join:
		return fmt.Sprintf("%s is in a cluster: waiting for `holter monitor add %s`", a.exists, a.name)
	case a.join:
		return "waiting for a monitor of the cluster that is to take this one in (--join): none is heard"
	}
	if a.exists != "" {
		return fmt.Sprintf("%s is in a cluster already: waiting for its leader to take %s in", a.exists, a.name)
	}
	a.forget(now)
	ids := map[string][]string{a.name: {a.id}}
	for id, other := range a.heard {
		ids[other.hello.Monitor] = append(ids[other.hello.Monitor], id)
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(a.peers)) {
		switch {
		case len(ids[name]) == 0:
			missing = append(missing, name)
		case len(ids[name]) > 1:
			slices.Sort(ids[name])
			return fmt.Sprintf("more than one monitor calls itself %s: %s", name, strings.Join(ids[name], ", "))
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("waiting for %s: all of %d monitors form a new cluster", strings.Join(missing, ", "), len(a.peers))
	}
	for _, other := range a.heard {
		if want := a.peers[other.hello.Monitor]; other.hello.Raft != want {
			return fmt.Sprintf("monitor %s is at %s, but here it is configured to be at %s",
				other.hello.Monitor, other.hello.Raft, want)
		}
	}
	return ""
}

// lowest is the name of the configured monitor that forms a cluster.
func lowest(peers map[string]string) string { return slices.Min(slices.Collect(maps.Keys(peers))) }
