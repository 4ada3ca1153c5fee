package metrics

import (
	"math"
	"slices"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// What bounds the number of series.
const (
	maxNamed = 500 // hosts: with more of them nothing is shown host by host
	maxSites = 100 // with more of them nothing is shown site by site
)

// tested is how the fence devices stand.
type tested struct {
	ok, failed, untested int
	oldest               time.Duration // -1: none was tested
}

// hosts puts out how the hosts stand: in sum, and host by host while there are few enough.
func (c collection) hosts() {
	inventory := c.look.State.Inventory
	if inventory == nil {
		inventory = &plans.Inventory{}
	}
	words := map[console.HostWord]int{}
	sites := map[string]map[console.HostWord]int{}
	for _, site := range inventory.Sites {
		sites[site] = map[console.HostWord]int{}
	}
	named := c.look.State.Hosts.Len() <= maxNamed
	fences := tested{oldest: -1}
	var ages []time.Duration
	leases := leases{least: math.Inf(1)}
	quarantine, silence := 0, 0
	for name, host := range c.look.State.Hosts.All() {
		spec := inventory.Hosts[name]
		word := console.WordOfHost(c.look, name, host)
		words[word]++
		if site := sites[spec.Site]; site != nil {
			site[word]++
		}
		if host.Quarantined(c.look.Now) {
			quarantine++
		}
		if host.Silence.Holds(c.look.Now) {
			silence++
		}
		c.devices(&fences, name, host, spec, named)
		heard, ok := c.look.Picture.Hosts[name]
		if host.Phase != planner.Active || !ok {
			continue
		}
		c.lease(&leases, name, host, heard, named)
		if heard.Age < 0 {
			continue
		}
		ages = append(ages, heard.Age)
		if named {
			c.one(hostAge, heard.Age.Seconds(), name)
		}
	}
	for _, word := range console.HostWords() {
		c.one(hostCount, float64(words[word]), string(word))
	}
	c.sites(sites)
	c.one(quarantined, float64(quarantine))
	c.one(silenced, float64(silence))
	c.one(strangers, float64(len(c.look.Picture.Strangers)))
	c.ages(ages)
	c.sumLeases(leases)
	c.sumFences(fences)
}

func (c collection) sites(sites map[string]map[console.HostWord]int) {
	if len(sites) > maxSites {
		return
	}
	for site, words := range sites {
		for _, word := range console.HostWords() {
			c.one(siteHosts, float64(words[word]), site, string(word))
		}
	}
}

// ages puts out how old the newest signs of life are.
func (c collection) ages(ages []time.Duration) {
	if len(ages) == 0 {
		return
	}
	slices.Sort(ages)
	at := func(share float64) float64 { return ages[int(share*float64(len(ages)-1))].Seconds() }
	c.one(detectorAge, at(0.5), "median")
	c.one(detectorAge, at(0.99), "p99")
	c.one(detectorAge, at(1), "max")
}

// leases is how the leases of the joined hosts stand.
type leases struct {
	least   float64 // seconds; infinite: there are none
	notHeld int
}

// lease notes what is left of the lease of a joined host, by its agent's own word. A host that does not fence itself has none.
func (c collection) lease(sum *leases, name string, host planner.Host, heard planner.HostPicture, named bool) {
	if host.Lease.Self == "" || host.Lease.Self == lease.None {
		return
	}
	if !heard.Lease.Held {
		sum.notHeld++
	}
	left := heard.Lease.Left.Seconds()
	sum.least = min(sum.least, left)
	if named {
		c.one(leaseLeft, left, name)
	}
}

func (c collection) sumLeases(sum leases) {
	c.one(leasesFailed, float64(sum.notHeld))
	if !math.IsInf(sum.least, 1) {
		c.one(leaseLeftMin, sum.least)
	}
}

// devices notes the last tests of a host's fence devices, in log time.
func (c collection) devices(sum *tested, name string, host planner.Host, spec plans.Host, named bool) {
	for _, level := range spec.Fence {
		for _, device := range level.Devices {
			test, ok := host.Tests[device.Name]
			if !ok {
				sum.untested++
				continue
			}
			if test.OK {
				sum.ok++
			} else {
				sum.failed++
			}
			age := max(c.look.Now.Sub(test.At), 0)
			sum.oldest = max(sum.oldest, age)
			if named {
				c.one(fenceAge, age.Seconds(), name, device.Name)
				c.flag(fenceOK, test.OK, name, device.Name)
			}
		}
	}
}

func (c collection) sumFences(sum tested) {
	c.one(fenceDevices, float64(sum.ok), "ok")
	c.one(fenceDevices, float64(sum.failed), "failed")
	c.one(fenceDevices, float64(sum.untested), "untested")
	if sum.oldest >= 0 {
		c.one(fenceAgeMax, sum.oldest.Seconds())
	}
}
