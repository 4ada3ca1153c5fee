package integration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/agent"
	"github.com/holter-ha/holter/agent/guard"
	"github.com/holter-ha/holter/agent/guard/guardtest"
	"github.com/holter-ha/holter/internal/bus"
	"github.com/holter-ha/holter/internal/bus/faultnet"
	"github.com/holter-ha/holter/internal/node"
	"github.com/holter-ha/holter/monitor"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/raftstore"
	"github.com/holter-ha/holter/raftstore/rafttest"
)

// cluster is three real monitors and real agents in a synctest bubble: real Raft over net.Pipe, a real nats-server in
// process, real journals on disk, workloads in a memory.World, and virtual time.
type cluster struct {
	t     *testing.T
	dir   string
	began time.Time
	log   zerolog.Logger

	server *bus.Server
	bus    *faultnet.Network
	raft   *rafttest.Network
	world  *memory.World

	monitors map[string]*monitorParts
	agents   map[string]*agentParts
	guards   map[string]*guardParts
	boots    map[string]byte // how often each host was turned on
	fenced   []string        // who took whose power away
}

type guardParts struct {
	stop    context.CancelFunc
	running sync.WaitGroup
}

type monitorParts struct {
	store   *raftstore.Store
	conn    *bus.Conn
	monitor *monitor.Monitor
	stop    context.CancelFunc
	running sync.WaitGroup
}

type agentParts struct {
	pair    *bus.Pair
	stop    context.CancelFunc
	running sync.WaitGroup
}

var monitorNames = []string{"m1", "m2", "m3"}

// inBubble runs a story over a cluster of three monitors and these hosts, and takes the cluster down afterwards.
func inBubble(t *testing.T, hosts []string, story func(c *cluster)) {
	t.Helper()
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{
			t: t, dir: dir, began: time.Now(), log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
			raft: rafttest.NewNetwork(), world: memory.NewWorld(),
			monitors: map[string]*monitorParts{}, agents: map[string]*agentParts{}, guards: map[string]*guardParts{},
			boots: map[string]byte{},
		}
		var err error
		c.server, err = bus.StartServer(bus.ServerOptions{Name: "nats", DontListen: true, Logger: c.log})
		if err != nil {
			t.Fatal(err)
		}
		c.bus = faultnet.New(c.server)
		defer c.close()
		for _, name := range monitorNames {
			c.startMonitor(name)
		}
		for _, host := range hosts {
			c.startAgent(host)
		}
		c.until("a monitor leads", 10*time.Second, func() bool { return c.leader() != "" })
		story(c)
	})
}

// memoryDir is a folder in memory where the machine has one: what a bubble writes outlives none of its processes, for there is
// only this one, and journals and logs wait for each write.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "holter-bubble-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (c *cluster) boottime() time.Duration { return time.Since(c.began) + time.Hour }

func (c *cluster) startMonitor(name string) {
	c.t.Helper()
	peers := map[string]string{}
	for _, peer := range monitorNames {
		peers[peer] = peer
	}
	m := &monitorParts{}
	var err error
	m.store, err = raftstore.Open(raftstore.Options{
		Name: name, Dir: filepath.Join(c.dir, name), Stream: c.raft.Listen(name), Peers: peers, MinFree: -1,
		Log: c.log,
		Die: func(err error) { c.t.Errorf("monitor %s died: %v", name, err) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m.conn, err = bus.Dial(bus.Options{Name: name, InProcess: c.bus.Party(name), Logger: c.log})
	if err != nil {
		c.t.Fatal(err)
	}
	m.monitor = monitor.New(m.store, m.conn, c.boottime, monitor.Options{
		Name: name, ID: m.store.ID(), Taken: m.store.Taken(), Monitors: monitorNames, Version: "test", Fencer: worldFencer{c, name}, Logger: c.log.With().Str("monitor", name).Logger(),
	})
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.running.Go(func() {
		if err := m.monitor.Run(ctx); err != nil {
			c.t.Errorf("monitor %s: %v", name, err)
		}
	})
	m.running.Go(func() {
		if err := node.Greet(ctx, name, m.store, m.conn); err != nil {
			c.t.Errorf("monitor %s: %v", name, err)
		}
	})
	c.monitors[name] = m
}

// killMonitor takes a monitor away as a crash does: nobody hears of it, and nothing is handed over.
func (c *cluster) killMonitor(name string) {
	m := c.monitors[name]
	delete(c.monitors, name)
	c.raft.Isolate(name)
	c.bus.Party(name).Cut()
	m.stop()
	m.running.Wait()
	m.conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.store.Shutdown(ctx)
}

// restartMonitor starts a killed monitor from its disk.
func (c *cluster) restartMonitor(name string) {
	c.t.Helper()
	for _, other := range monitorNames {
		c.raft.Heal(name, other)
	}
	c.bus.Party(name).Heal()
	c.startMonitor(name)
}

// bootID is the present boot id of a host, and runDir what it has in /run since then.
func (c *cluster) bootID(host string) [16]byte {
	boot := [16]byte{c.boots[host] + 1}
	copy(boot[1:], host)
	return boot
}

func (c *cluster) runDir(host string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s.run%d", host, c.boots[host]))
}

// startGuard starts a host's guard: the real one, which kills in the world of this bubble.
func (c *cluster) startGuard(host string) {
	c.t.Helper()
	g := &guardParts{}
	boot := c.bootID(host)
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.running.Go(func() {
		err := guard.Run(ctx, guard.Options{
			Dir: c.runDir(host), Boot: hex.EncodeToString(boot[:]), Boottime: c.boottime, Kill: guardtest.Killer{Host: c.world.Driver(host)}, Log: c.log,
			Every: 100 * time.Millisecond,
		})
		if err != nil {
			c.t.Errorf("guard %s: %v", host, err)
		}
	})
	c.guards[host] = g
}

// stopGuard kills a host's guard.
func (c *cluster) stopGuard(host string) {
	g := c.guards[host]
	delete(c.guards, host)
	g.stop()
	g.running.Wait()
}

// startAgent starts a host's agent, and its guard if it is not there.
func (c *cluster) startAgent(host string) {
	c.t.Helper()
	if c.guards[host] == nil {
		c.startGuard(host)
	}
	a := &agentParts{}
	var err error
	a.pair, err = bus.DialPair(bus.Options{Name: host, InProcess: c.bus.Party(host), Logger: c.log})
	if err != nil {
		c.t.Fatal(err)
	}
	made, err := agent.New(agent.Options{
		Host: host, Boot: c.bootID(host), Dir: filepath.Join(c.dir, host), RunDir: c.runDir(host), Kill: guardtest.Killer{Host: c.world.Driver(host)}, Bus: a.pair, Boottime: c.boottime, Log: c.log, Version: "test",
		Drivers: map[string]actions.Driver{"memory": c.world.Driver(host), "command": c.world.Driver(host)},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.running.Go(func() {
		if err := made.Run(ctx); err != nil {
			c.t.Errorf("agent %s: %v", host, err)
		}
	})
	c.agents[host] = a
}

// stopAgent ends an agent's process; its workloads go on.
func (c *cluster) stopAgent(host string) {
	a := c.agents[host]
	delete(c.agents, host)
	c.bus.Party(host).Cut()
	a.stop()
	a.running.Wait()
	a.pair.Close()
	c.bus.Party(host).Break()
	c.bus.Party(host).Heal()
}

// powerOff takes a host away with all that runs on it.
func (c *cluster) powerOff(host string) {
	c.bus.Party(host).Cut()
	c.world.PowerOff(host)
	if c.agents[host] != nil {
		c.stopAgent(host)
	}
	if c.guards[host] != nil {
		c.stopGuard(host)
	}
	c.world.PowerOff(host)
	c.boots[host]++
}

func (c *cluster) close() {
	for host := range c.agents {
		c.stopAgent(host)
	}
	for host := range c.guards {
		c.stopGuard(host)
	}
	for name := range c.monitors {
		c.killMonitor(name)
	}
	c.bus.Close()
	c.server.Shutdown()
	synctest.Wait()
}

// leader is the monitor that leads, "" if there is none now.
func (c *cluster) leader() string {
	for name, m := range c.monitors {
		if m.store.Leading() {
			return name
		}
	}
	return ""
}

// state is the newest state that any monitor has applied.
func (c *cluster) state() *planner.State {
	newest := planner.NewState()
	for _, m := range c.monitors {
		if s := m.store.State(); s.Index >= newest.Index {
			newest = s
		}
	}
	return newest
}

// until lets virtual time pass until a condition holds.
func (c *cluster) until(what string, limit time.Duration, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("after %s of virtual time not yet: %s\n%s", limit, what, c.story())
		}
	}
}

// propose puts an operator's event into the log, at whoever leads.
func (c *cluster) propose(event planner.Event, reason string) uint64 {
	c.t.Helper()
	for range 50 {
		leader := c.monitors[c.leader()]
		if leader == nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		index, err := leader.monitor.Propose(c.t.Context(), planner.Entry{By: "operator", Reason: reason, Event: event})
		if err == nil {
			return index
		}
		if !errors.Is(err, planner.ErrNotLeader) && !errors.Is(err, planner.ErrOutcomeUnknown) {
			c.t.Fatalf("propose %s: %v\n%s", event.Name(), err, c.story())
		}
	}
	c.t.Fatalf("propose %s: nobody leads", event.Name())
	return 0
}

// apply applies files as an operator would.
func (c *cluster) apply(files map[string]string) {
	c.t.Helper()
	var list []plans.File
	for name, text := range files {
		list = append(list, plans.File{Name: name, Text: []byte(text)})
	}
	set, err := plans.Decode(list, c.state().Inventory)
	if err != nil {
		c.t.Fatal(err)
	}
	c.propose(planner.FilesApplied{Base: c.state().Revision, Set: *set}, "")
	hosts := len(c.agents)
	c.until("all agents have joined", 10*time.Second, func() bool {
		joined := 0
		for _, h := range c.state().Hosts.All() {
			if h.Phase == planner.Active {
				joined++
			}
		}
		return joined >= hosts
	})
}

// decode compiles one inventory.
func (c *cluster) decode(inventory string) plans.Set {
	c.t.Helper()
	set, err := plans.Decode([]plans.File{{Name: "inventory.yaml", Text: []byte(inventory)}}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return *set
}

// start runs an operator's start and waits for its end.
func (c *cluster) start(r planner.Request) {
	c.t.Helper()
	run, err := planner.NewStart(c.state(), r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.propose(run, "")
	c.ended(c.state().LastRun, planner.RunSucceeded)
}

// ended waits for a run to end and checks how.
func (c *cluster) ended(id uint64, want planner.RunState) *planner.Run {
	c.t.Helper()
	c.until(fmt.Sprintf("%s has ended", planner.RunID(id)), 5*time.Minute, func() bool {
		run := c.state().Run(id)
		return run != nil && !run.Open()
	})
	run := c.state().Run(id)
	if run.State != want {
		c.t.Fatalf("%s ended as %s, want %s\n%s", planner.RunID(id), run.State, want, c.story())
	}
	return run
}

// story is what the log says happened, for a failed test's eyes.
func (c *cluster) story() string {
	text := ""
	for _, logged := range c.state().Events.All() {
		e := logged.Entry
		text += fmt.Sprintf("#%d %s %s by=%s %s %+v\n", logged.Index, e.At.Format("15:04:05.000"), e.Name, e.By, e.Reason, e.Event)
	}
	return text + fmt.Sprintf("world: %v\n", c.world.Running())
}
