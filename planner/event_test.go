package planner

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

var update = flag.Bool("update", false, "write the golden files of events that have none yet")

// events is one entry of each type, every field set.
var events = []Event{
	ClusterFormed{Cluster: "0123456789abcdef0123456789abcdef", Monitors: []string{"m1", "m2", "m3"}},
	FilesApplied{Base: 4, Set: plans.Set{
		Inventory: &plans.Inventory{
			Cluster: plans.Cluster{Name: "test", Heartbeat: heartbeat}, Sites: []string{"ams"},
			Hosts:     map[string]plans.Host{"h1": {Site: "ams", Address: "127.0.0.1"}},
			Workloads: map[string]plans.Workload{"db": {Kind: "memory", Unit: "db", Exclusive: true, Hosts: []string{"h1"}, After: []plans.Dependency{}}},
			Source:    "kind: Inventory\n",
		},
		Plans: []*plans.Plan{{Name: "elsewhere", Trigger: []plans.Trigger{{HostLost: &plans.Selector{Any: true}}}, Steps: []plans.Step{}, Source: "kind: Plan\n", Hash: "00ff"}},
	}},
	PlanArmed{Plan: "elsewhere"},
	PlanDisarmed{Plan: "elsewhere"},
	MonitorsChanged{Monitors: []string{"m1", "m2", "m3", "m4", "m5"}},
	ClusterRecovered{From: 41, Monitors: []string{"m1-0123456789abcdef"}, Source: "the log of m1-fedcba9876543210"},
	JoinOffered{Host: "h1", Inc: 1 << 63, Ask: 2},
	LeaseConfirmed{Host: "h1", Epoch: 7, Voters: 9},
	HostRevoked{Host: "h1", Inc: 1 << 63, Epoch: 5},
	FenceStarted{Host: "h1", Revocation: 9, Attempt: 2, Monitor: "m2", Within: time.Minute},
	FenceFinished{Host: "h1", Revocation: 9, Attempt: 2, Monitor: "m2", Outcome: wire.Done, Device: "bmc", Took: time.Second},
	FencesTested{Tests: []FenceTest{{Host: "h1", Device: "bmc", OK: true}, {Host: "h2", Device: "psu", Reason: "no answer"}}},
	SilenceWanted{Host: "h1", Workload: "db", Until: epoch0.Add(time.Hour)},
	SilenceEnded{Host: "h1", Workload: "db"},
	HostReleased{Host: "h1"},
	WorkloadSeenTwice{Workload: "db", Hosts: []string{"h1", "h2"}},
	WorkloadSeenOnce{Workload: "db"},
	HostJoined{Host: "h1", Boot: "00000000000000000000000000000001", Inc: 1 << 63, Nonce: 4, Former: 17, Last: 3, Keep: []wire.Kept{{Workload: "db", Token: 12}}, Version: "0.1.0"},
	HostLost{Host: "h1", Inc: 1 << 63, Epoch: 7, Witnesses: []Witness{{Monitor: "m1", Age: 3 * time.Second}}, Age: 3 * time.Second},
	HostReinstated{Host: "h1", Epoch: 7, Revocation: 20},
	HostExpired{Host: "h1", Epoch: 7, Revocation: 20, Evidence: Confirmed},
	WorkloadAdopted{Workload: "db", Host: "h1", Epoch: 7},
	RunStarted{
		Kind: RunPlan, Plan: "elsewhere", PlanRev: 5, Hosts: []string{"h1"}, Losses: []uint64{20},
		Steps: []Step{{
			ID: "up/db", Plan: "up", Kind: plans.StepStart, Workload: "db", To: &plans.Selector{Site: "fra"}, After: []string{"fence/h1"}, Within: time.Minute,
			OnFailure: plans.OnFailure{Attempts: 2, Delay: time.Second, Factor: 2, Then: plans.ThenHalt, Within: time.Hour},
		}},
		Why: []Input{{Name: "armed", Value: "yes", OK: true}},
	},
	StepStarted{Run: 3, Step: "up/db", Attempt: 1, Host: "h2", Epoch: 8, Within: time.Minute, Why: []Input{{Name: "h1", Value: "is expired"}}},
	StepFinished{Run: 3, Step: "up/db", Attempt: 1, Token: 22, Outcome: wire.Unknown, Stopped: true, Already: true, Took: time.Second},
	StepReset{Run: 3, Step: "up/db", Attempt: 1},
	StepRetried{Run: 3, Step: "up/db"},
	StepSkipped{Run: 3, Step: "up/db"},
	RunAborted{Run: 3},
	RunEnded{Run: 3, Outcome: RunFailed},
	UserSet{User: "ann", Grants: []Grant{{Role: Operator, Sites: []string{"ams"}}, {Role: Approver, Plans: []string{"elsewhere"}}}, Groups: []string{"dba"}},
	UserRemoved{User: "ann"},
	GroupSet{Group: "dba", Grants: []Grant{{Role: Viewer}}},
	GroupRemoved{Group: "dba"},
	TokenMade{User: "ann", ID: "00112233", Hash: strings.Repeat("0a", 32), Expires: epoch0.Add(time.Hour)},
	TokenRevoked{User: "ann", ID: "00112233"},
	HostInvited{Host: "h1", Hash: strings.Repeat("0b", 32), Expires: epoch0.Add(time.Hour)},
	HostEnrolled{Host: "h1", Invite: 3, NKey: "U" + strings.Repeat("A", 55), SPKI: strings.Repeat("0c", 32)},
	HostBarred{Host: "h1"},
}

// TestEventGolden: what was once written into a log must be read for ever. Each event has a golden entry; -update writes
// only those that are missing. A change of an event's form gets a new event or version, never a new golden.
func TestEventGolden(t *testing.T) {
	named := map[string]bool{}
	for _, event := range events {
		named[event.Name()] = true
		t.Run(event.Name(), func(t *testing.T) {
			want := Entry{
				V: EntryVersion, Name: event.Name(), At: epoch0.Add(time.Millisecond), By: "ann", From: "10.0.0.1:4711",
				Reason: "because", Cause: 20, Event: event,
			}
			data, err := EncodeEntry(want)
			if err != nil {
				t.Fatal(err)
			}
			golden := readGolden(t, event.Name(), data)
			got, err := DecodeEntry(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the golden entry is read differently (-want +got):\n%s", diff)
			}
			if !bytes.Equal(data, golden) {
				t.Errorf("written\n%s\ngolden\n%s", data, golden)
			}
		})
	}
	for name := range decoders {
		if !named[name] {
			t.Errorf("event %s has no golden", name)
		}
	}
}

// readGolden reads an event's golden entry as compact JSON; with -update it is written if it is missing.
func readGolden(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "events", name+".json")
	pretty, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *update {
		var b bytes.Buffer
		if err := json.Indent(&b, data, "", "  "); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
		pretty = b.Bytes()
		err = os.WriteFile(path, pretty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var golden bytes.Buffer
	if err := json.Compact(&golden, pretty); err != nil {
		t.Fatal(err)
	}
	return golden.Bytes()
}

func TestDecodeEntryRefuses(t *testing.T) {
	for _, c := range []struct {
		name, entry string
		unknown     bool
	}{
		{"unknown name", `{"v":1,"name":"host_danced","at":"2026-01-01T00:00:00Z","by":"m1","event":{}}`, true},
		{"unknown version", `{"v":2,"name":"run_aborted","at":"2026-01-01T00:00:00Z","by":"m1","event":{"run":1}}`, true},
		{"no name", `{"v":1,"event":{}}`, true},
		{"wrong type", `{"v":1,"name":"run_aborted","at":"2026-01-01T00:00:00Z","by":"m1","event":{"run":"one"}}`, false},
		{"no event", `{"v":1,"name":"run_aborted","at":"2026-01-01T00:00:00Z","by":"m1"}`, false},
		{"no JSON", `{`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeEntry([]byte(c.entry))
			if err == nil || errors.Is(err, ErrUnknownEvent) != c.unknown {
				t.Errorf("error %v, want ErrUnknownEvent: %t", err, c.unknown)
			}
		})
	}
}

// TestStateOfAnUnknownEvent: a snapshot with an event that this program does not know is not read either.
func TestStateOfAnUnknownEvent(t *testing.T) {
	s, err := NewState().Apply(1, Entry{At: epoch0, Event: ClusterFormed{Cluster: "c", Monitors: []string{"m1"}}})
	if err != nil {
		t.Fatal(err)
	}
	snapshot := string(encoded(t, s))
	if _, err := DecodeState(strings.NewReader(snapshot)); err != nil {
		t.Fatalf("a snapshot is not read: %v", err)
	}
	newer := strings.ReplaceAll(snapshot, "cluster_formed", "cluster_danced")
	if _, err := DecodeState(strings.NewReader(newer)); !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("error %v, want ErrUnknownEvent", err)
	}
}
