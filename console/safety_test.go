package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/lease"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// TestUnseenHostIsNotLost: a host of the inventory whose agent never joined is counted among the others.
func TestUnseenHostIsNotLost(t *testing.T) {
	m := consoletest.New("mon-1")
	c := client(t, serve(t, m).URL)
	if _, err := c.Apply(t.Context(), console.ApplyRequest{Files: []console.File{{Name: "i.yaml", Text: consoletest.Inventory}}}); err != nil {
		t.Fatal(err)
	}
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := console.SiteItem{Name: "ams", Hosts: 2, Unknown: 2}
	if diff := cmp.Diff(want, status.Item.Sites[0]); diff != "" {
		t.Errorf("site (-want +got):\n%s", diff)
	}
}

// TestFewLinesForManyHosts: what is the same of many hosts is said of three and counted of the rest.
func TestFewLinesForManyHosts(t *testing.T) {
	const n = 7
	m := consoletest.New("mon-1")
	inv := &plans.Inventory{Sites: []string{"ams"}, Hosts: map[string]plans.Host{}, Workloads: map[string]plans.Workload{}}
	for i := range n {
		host := fmt.Sprintf("h%d", i)
		inv.Hosts[host] = plans.Host{Site: "ams", Lease: lease.Normal()}
		inv.Workloads["w"+host] = plans.Workload{Kind: "memory", Unit: host, Exclusive: true, Hosts: []string{host}}
	}
	m.Must(planner.FilesApplied{Set: plans.Set{Inventory: inv}})
	for i := range n {
		host := fmt.Sprintf("h%d", i)
		m.Join(host, uint64(i+1))
		m.Must(planner.WorkloadAdopted{Workload: "w" + host, Host: host, Epoch: m.Host(host).Epoch})
	}
	status, err := client(t, serve(t, m).URL).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, need := range status.Item.Needs {
		got = append(got, need.Text)
	}
	want := []string{
		"when h0 is lost, wh0 will wait for a person: it has no fence device and does not fence itself",
		"when h1 is lost, wh1 will wait for a person: it has no fence device and does not fence itself",
		"when h2 is lost, wh2 will wait for a person: it has no fence device and does not fence itself",
		"and 4 more hosts whose workloads will wait for a person when they are lost",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}

// critical lists the critical needs of a cluster.
func critical(t *testing.T, m *consoletest.Monitor) []console.Need {
	t.Helper()
	status, err := client(t, serve(t, m).URL).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(status.Item.Needs, func(n console.Need) bool { return n.Level != console.LevelCritical })
}

// TestLeaseThatShouldBeOver: a lost host that fences itself needs a person only when its lease should be over and no
// evidence of it has come.
func TestLeaseThatShouldBeOver(t *testing.T) {
	m := consoletest.Guarded()
	m.Lose("ams-1")
	if needs := critical(t, m); len(needs) != 0 {
		t.Errorf("right after the loss: %+v, want nothing critical", needs)
	}
	m.Change(nil, func(look *console.Look) { look.Now = look.Now.Add(20 * time.Second) })
	needs := critical(t, m)
	if len(needs) != 1 || !strings.Contains(needs[0].Text, "its lease was to be over by 12:00:25Z") || needs[0].Command != "holter fence confirm ams-1 --reason …" {
		t.Errorf("20 s later: %+v, want that a person is needed for ams-1", needs)
	}
}

// TestEvidenceThatAWorkloadDoesNotAccept: the host's lease is over, and what needs a fencing waits for it, or for a person.
func TestEvidenceThatAWorkloadDoesNotAccept(t *testing.T) {
	m := consoletest.Guarded()
	m.Change(nil, func(look *console.Look) {
		inv := *look.State.Inventory
		inv.Workloads = map[string]plans.Workload{}
		for name, w := range look.State.Inventory.Workloads {
			w.Evidence = plans.EvidenceFenced
			inv.Workloads[name] = w
		}
		state := *look.State
		state.Inventory = &inv
		look.State = &state
	})
	m.Lose("ams-1")
	m.Expire("ams-1", planner.LeaseExpired)
	needs := critical(t, m)
	if len(needs) != 1 || !strings.Contains(needs[0].Text, "db does not take that for proof") || needs[0].Command != "holter fence ams-1 --reason …" {
		t.Errorf("needs = %+v, want that db waits, and how to fence ams-1", needs)
	}
}

// TestSilenceIsNoAlarm: a host whose silence is wanted is no suspect, its workloads are not missing, and what is held back
// is said.
func TestSilenceIsNoAlarm(t *testing.T) {
	m := consoletest.Guarded()
	c := client(t, serve(t, m).URL)
	if _, err := c.Silence(t.Context(), "ams-1", console.SilenceRequest{Reason: "kernel", ForMs: 60_000}); err != nil {
		t.Fatal(err)
	}
	m.Change(nil, func(look *console.Look) {
		heard := look.Picture.Hosts["ams-1"]
		heard.Heart, heard.Age, heard.LostBy = planner.HeartLost, 9*time.Second, []string{"mon-1"}
		look.Picture.Hosts["ams-1"] = heard
	})
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := console.SiteItem{Name: "ams", Hosts: 2, Alive: 1, Unknown: 1, Wanted: 1, Running: 1}
	if diff := cmp.Diff(want, status.Item.Sites[0]); diff != "" {
		t.Errorf("site (-want +got):\n%s", diff)
	}
	if len(status.Item.Needs) != 0 {
		t.Errorf("needs = %+v, want none", status.Item.Needs)
	}
	silences := status.Item.Silences
	if len(silences) != 1 || silences[0].Name != "ams-1" || silences[0].HeldBack != "it would be lost: not heard for 9.0s" {
		t.Errorf("silences = %+v, want ams-1 and what is held back", silences)
	}
	m.Change(nil, func(look *console.Look) { look.Now = look.Now.Add(time.Minute) }) // then it is over by itself
	if host, err := c.Host(t.Context(), "ams-1"); err != nil || host.Item.Word != console.HostSuspect || host.Item.Silence != nil {
		t.Errorf("after its end the host is %s, silence %+v, %v; want suspect", host.Item.Word, host.Item.Silence, err)
	}
}

// TestSecondLossIsDamped: an operator sees why nothing starts by itself for a host that is lost again.
func TestSecondLossIsDamped(t *testing.T) {
	m := consoletest.Guarded()
	m.Answer("ams-1", m.Lose("ams-1"))
	m.Expire("ams-1", planner.LeaseExpired)
	m.Finish(2, "fence/ams-1")
	m.Start(2, "start/db", "fra-1")
	m.Must(planner.RunEnded{Run: 2, Outcome: planner.RunSucceeded})
	m.Join("ams-1", 99)
	m.Lose("ams-1")
	host, err := client(t, serve(t, m).URL).Host(t.Context(), "ams-1")
	if err != nil || host.Item.Damped.IsZero() {
		t.Errorf("the host lost again is damped until %s, %v; want a time", host.Item.Damped, err)
	}
}
