package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/plans"
)

// heartbeat is what the tests' inventories beat by: the defaults.
var heartbeat = plans.Heartbeat{Interval: 250 * time.Millisecond, LateAfter: 750 * time.Millisecond, LostAfter: 3 * time.Second, LostAfterMax: 6 * time.Second}

// parseInventory reads an inventory of one line a thing, as the transcripts write it:
//
//	host h1 site=ams self=guard lease=fast fence=bmc
//	workload api hosts=h1,h2 after=db,auth:restart shared start=5s ready=5s stop=5s
func parseInventory(t testing.TB, text string) *plans.Inventory {
	t.Helper()
	inv := &plans.Inventory{
		Cluster: plans.Cluster{Name: "test", Heartbeat: heartbeat}, Sites: []string{},
		Hosts: map[string]plans.Host{}, Workloads: map[string]plans.Workload{},
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			t.Fatalf("inventory line %q: want a kind and a name", line)
		}
		fields := parseFields(words[2:])
		switch words[0] {
		case "host":
			site := fields["site"]
			inv.Hosts[words[1]] = parseHost(t, site, fields)
			if !slices.Contains(inv.Sites, site) {
				inv.Sites = append(inv.Sites, site)
			}
		case "workload":
			inv.Workloads[words[1]] = parseWorkload(t, words[1], fields)
		default:
			t.Fatalf("inventory line %q: unknown kind", line)
		}
	}
	slices.Sort(inv.Sites)
	return inv
}

// parseHost reads self=guard, self=watchdog, lease=fast and fence=bmc,psu1+psu2 (two levels, the second of two devices).
func parseHost(t testing.TB, site string, fields map[string]string) plans.Host {
	t.Helper()
	h := plans.Host{Site: site, Lease: lease.Normal()}
	if fields["lease"] == "fast" {
		h.Lease = lease.Fast()
	}
	switch h.Lease.Self = lease.SelfFence(or(fields["self"], string(lease.None))); h.Lease.Self {
	case lease.Guard:
		h.Lease.Kill = lease.GuardKill
	case lease.Watchdog:
		h.Lease.Kill = lease.DefaultWatchdog
	case lease.None:
	}
	for level := range strings.SplitSeq(fields["fence"], ",") {
		var devices []plans.FenceDevice
		for device := range strings.SplitSeq(level, "+") {
			if device != "" {
				devices = append(devices, plans.FenceDevice{Name: device, Agent: "fence_dummy", Timeout: 10 * time.Second, Attempts: 1})
			}
		}
		if devices != nil {
			h.Fence = append(h.Fence, plans.FenceLevel{Devices: devices})
		}
	}
	return h
}

func parseWorkload(t testing.TB, name string, fields map[string]string) plans.Workload {
	t.Helper()
	_, shared := fields["shared"]
	w := plans.Workload{
		Kind: "memory", Unit: name, Exclusive: !shared, Hosts: strings.Split(fields["hosts"], ","), After: []plans.Dependency{},
		Ready: actions.Ready{When: actions.ReadyActive, Timeout: duration(t, fields["ready"], 5*time.Second)},
		Stop:  []actions.Rung{{Limit: duration(t, fields["stop"], 5*time.Second)}},
		Start: duration(t, fields["start"], 5*time.Second), Evidence: plans.Evidence(or(fields["evidence"], string(plans.EvidenceAny))),
	}
	for provider := range strings.SplitSeq(fields["after"], ",") {
		if provider == "" {
			continue
		}
		on, loss, _ := strings.Cut(provider, ":")
		w.After = append(w.After, plans.Dependency{On: on, OnLoss: plans.OnLoss(or(loss, string(plans.LossKeep)))})
	}
	return w
}

// parsePlan reads a plan of one line a step:
//
//	fence fence
//	up start workloads=lost_with attempts=2 delay=1s then=halt within=1m
//
// A step comes after the one before it unless it has after=, which may be empty. Workloads are lost_with, any or names.
func parsePlan(t testing.TB, name, trigger, text string) *plans.Plan {
	t.Helper()
	plan := &plans.Plan{Name: name, Source: text, Hash: name + "\n" + text, Steps: []plans.Step{}, Guard: plans.Guard{MaxLost: 3, MaxLostShare: 30}}
	if trigger != "" {
		plan.Trigger = []plans.Trigger{{HostLost: parseSelector(trigger)}}
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			t.Fatalf("plan line %q: want an id and a kind", line)
		}
		fields := parseFields(words[2:])
		step := plans.Step{
			ID: words[0], Kind: plans.StepKind(words[1]), After: []string{}, Host: fields["host"], Command: fields["command"],
			For: duration(t, fields["for"], 0), Timeout: duration(t, fields["timeout"], 0),
			OnFailure: plans.OnFailure{
				Attempts: 1, Factor: 1, Delay: duration(t, fields["delay"], 0),
				Then: plans.Then(or(fields["then"], string(plans.ThenHalt))), Within: duration(t, fields["within"], time.Hour),
			},
		}
		_, step.Idempotent = fields["idempotent"]
		number(t, fields["attempts"], &step.OnFailure.Attempts)
		number(t, fields["factor"], &step.OnFailure.Factor)
		if after, given := fields["after"]; given {
			step.After = slices.DeleteFunc(strings.Split(after, ","), func(id string) bool { return id == "" })
		} else if n := len(plan.Steps); n > 0 {
			step.After = []string{plan.Steps[n-1].ID}
		}
		if selector, given := fields["workloads"]; given {
			step.Workloads = parseSelector(selector)
		}
		if selector, given := fields["to"]; given {
			step.To = parseSelector(selector)
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan
}

// parseSelector reads any, lost_with, site:ams, or names.
func parseSelector(text string) *plans.Selector {
	site, isSite := strings.CutPrefix(text, "site:")
	switch {
	case text == "any":
		return &plans.Selector{Any: true}
	case text == "lost_with":
		return &plans.Selector{LostWith: true}
	case isSite:
		return &plans.Selector{Site: site}
	}
	return &plans.Selector{Names: strings.Split(text, ",")}
}

func parseFields(words []string) map[string]string {
	fields := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		fields[key] = value
	}
	return fields
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func duration(t testing.TB, text string, otherwise time.Duration) time.Duration {
	t.Helper()
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t testing.TB, text string, into *int) {
	t.Helper()
	if text == "" {
		return
	}
	if _, err := fmt.Sscan(text, into); err != nil {
		t.Fatalf("number %q: %v", text, err)
	}
}
