//go:build linux

package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/integration/testbed/netns"
	"github.com/holter-ha/holter/integration/testbed/procs/record"
)

var networkStorms = flag.Int("storms", 1, "how many storms TestNetworkStorm blows; more than one are longer, too")

const (
	shortNetworkStorm = 30 * time.Second
	longNetworkStorm  = 75 * time.Second
	faultGap          = time.Second     // between two faults, on average
	mendLimit         = 7 * time.Second // at most until what was broken is mended: longer than a lease and its take-over
	calmLimit         = 2 * time.Minute // for everything to run once when all is mended
	nurseEvery        = time.Second
)

const networkShop = `apiVersion: holter/v1
kind: Inventory
cluster: {name: storm, heartbeat: {lost_after: 1500ms}, lease: {profile: fast}}
sites: {ams: {}, fra: {}}
hosts:
  ams-1: {site: ams, self_fence: guard}
  ams-2: {site: ams, self_fence: guard}
  fra-1: {site: fra, self_fence: guard}
  fra-2: {site: fra, self_fence: guard}
workloads:
  db: {kind: command, unit: db, hosts: [ams-1, fra-1, ams-2, fra-2]}
  api: {kind: command, unit: api, hosts: [ams-2, fra-2, fra-1, ams-1], after: {db: {on_loss: restart}}}
  lone: {kind: command, unit: lone, hosts: [fra-1, ams-1, fra-2, ams-2]}
`

// TestNetworkStorm lets a cluster of real processes, each party in namespaces of its own, live through kills, stops, crashes,
// cuts and one-way cuts, and judges by what the workloads wrote themselves: nothing ran twice. Then all is mended, and
// everything runs, once. The agent and the guard of one host never fail together, but with the whole host: against that
// there is the watchdog.
func TestNetworkStorm(t *testing.T) {
	netns.Require(t)
	t.Parallel()
	lasts := shortNetworkStorm
	if *networkStorms > 1 {
		lasts = longNetworkStorm
	}
	for i := range *networkStorms {
		seed := uint64(i) + 1
		if *stormSeed != 0 {
			seed = *stormSeed + uint64(i)
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { blowNetwork(t, seed, lasts) })
	}
}

// networkStorm breaks things, and mends each a while later.
type networkStorm struct {
	*netns.Cluster
	t     *testing.T
	rnd   *rand.Rand
	began time.Time
	told  []string
	mends map[string]mend // by what is broken
}

type mend struct {
	at time.Time
	do func()
}

func blowNetwork(t *testing.T, seed uint64, lasts time.Duration) {
	c := netns.Start(t, netns.Options{
		Programs: &programs, Monitors: monitorNames, Hosts: shopHosts, Workloads: []string{"db", "api", "lone"}, Guards: true,
	})
	s := &networkStorm{Cluster: c, t: t, rnd: rand.New(rand.NewPCG(seed, seed)), mends: map[string]mend{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the faults of storm %d:\n%s", seed, strings.Join(s.told, "\n"))
		}
	})
	c.Until("a monitor leads", calmLimit, func() bool { _, _, code := c.Holter("status"); return code == 0 })
	c.Apply(networkShop, restartElsewhere)
	c.Must(0, "plan", "arm", "restart-elsewhere")
	c.Until("all hosts have joined", calmLimit, func() bool { return s.alive() == len(shopHosts) })
	c.Must(0, "start", "--all")
	s.began = time.Now()
	t.Logf("storm %d blows", seed)
	tick := time.NewTicker(faultGap / 4)
	defer tick.Stop()
	for time.Since(s.began) < lasts && !t.Failed() {
		<-tick.C
		s.mend(false)
		if s.rnd.IntN(4) == 0 {
			s.fault()
		}
	}
	s.mend(true)
	c.HealAll()
	s.tell("all is mended")
	took := c.Until("everything runs, once", calmLimit, s.atRest())
	t.Logf("storm %d: %d faults, everything runs %v after the last was mended", seed, len(s.told)-1, took.Round(10*time.Millisecond))
	c.Judge()
}

func (s *networkStorm) tell(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf("%7.2fs ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// broke notes how and when what was broken is mended.
func (s *networkStorm) broke(what, how string, do func()) {
	after := time.Duration(s.rnd.Int64N(int64(mendLimit)))
	s.mends[what] = mend{at: time.Now().Add(after), do: do}
	s.tell("%s: %s, for %v", what, how, after.Round(10*time.Millisecond))
}

// mend mends what is due, or everything.
func (s *networkStorm) mend(all bool) {
	for what, m := range s.mends {
		if all || time.Now().After(m.at) {
			delete(s.mends, what)
			m.do()
		}
	}
}

// fault breaks something that is well. Of a host the machine, the agent or the guard is broken, and of the monitors one, at a
// time; links are cut beside that.
func (s *networkStorm) fault() {
	party := s.Parties()[s.rnd.IntN(len(s.Parties()))]
	slot := party
	if slices.Contains(monitorNames, party) {
		slot = "a monitor"
	}
	if s.rnd.IntN(3) == 0 {
		s.cut(party)
		return
	}
	if _, broken := s.mends[slot]; broken {
		return
	}
	service := party
	if slot == party && s.rnd.IntN(2) == 0 {
		service += guardSuffix
	}
	switch s.rnd.IntN(5) {
	case 0, 1:
		s.Signal(service, syscall.SIGKILL)
		s.broke(slot, service+" was killed", func() { s.Start(service) })
	case 2, 3:
		s.Signal(service, syscall.SIGSTOP)
		s.broke(slot, service+" was stopped", func() { s.Signal(service, syscall.SIGCONT) })
	case 4:
		s.Crash(party)
		s.broke(slot, party+" has crashed", func() { s.Boot(party) })
	}
}

// cut cuts the link of a party, or one direction of some of its links.
func (s *networkStorm) cut(party string) {
	slot := "link of " + party
	if _, broken := s.mends[slot]; broken {
		return
	}
	heal := func() { s.Heal(party) }
	others := slices.DeleteFunc(s.Parties(), func(name string) bool { return name == party || s.rnd.IntN(2) == 0 })
	if s.rnd.IntN(2) == 0 || len(others) == 0 {
		s.Cut(party)
		s.broke(slot, "cut", heal)
		return
	}
	s.CutOneWay(party, others...)
	s.broke(slot, "cut one way, to "+strings.Join(others, " "), heal)
}

// alive counts the hosts that have joined and are heard.
func (s *networkStorm) alive() int {
	n := 0
	for _, host := range s.hosts() {
		if host.Word == console.HostAlive {
			n++
		}
	}
	return n
}

func (s *networkStorm) hosts() []console.HostItem {
	client := s.Client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), nurseEvery)
	defer cancel()
	list, err := client.Hosts(ctx)
	if err != nil {
		return nil
	}
	return list.Items
}

// atRest says that each workload runs on its owner and nowhere else, and that no run is open. Meanwhile it does what a person
// would after such a day.
func (s *networkStorm) atRest() func() bool {
	var nursed time.Time
	return func() bool {
		client := s.Client()
		defer client.Close()
		ctx, cancel := context.WithTimeout(s.t.Context(), nurseEvery)
		defer cancel()
		workloads, err := client.Workloads(ctx)
		runs, err2 := client.Runs(ctx)
		lives, err3 := record.Lives(s.Record())
		if err != nil || err2 != nil || err3 != nil {
			return false
		}
		rest := s.alive() == len(shopHosts) && len(lives) == len(workloads.Items)
		for _, w := range workloads.Items {
			rest = rest && slices.ContainsFunc(lives, func(id record.ID) bool { return id.Workload == w.Name && id.Host == w.Owner })
		}
		open := slices.ContainsFunc(runs.Items, console.RunItem.Open)
		if rest && !open {
			return true
		}
		if time.Since(nursed) > nurseEvery {
			nursed = time.Now()
			s.nurse(workloads.Items, runs.Items)
		}
		return false
	}
}

// nurse releases hosts from quarantine, aborts runs that have halted, and starts what has no owner and no run that claims it.
func (s *networkStorm) nurse(workloads []console.WorkloadItem, runs []console.RunItem) {
	for _, host := range s.hosts() {
		if !host.Quarantine.IsZero() {
			s.Holter("host", "release", host.Name, "--reason", "the storm is over")
		}
	}
	for _, run := range runs {
		if run.State == "paused" {
			s.Holter("run", "abort", run.ID, "--reason", "the storm is over")
		}
	}
	for _, w := range workloads {
		if w.Owner == "" && w.Run == "" {
			s.Holter("start", w.Name, "--with-providers", "--no-wait")
		}
	}
}
