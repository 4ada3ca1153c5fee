package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the present version anew")

// present is where the golden files of the present version lie.
var present = filepath.Join("testdata", fmt.Sprintf("v%d", Version))

// A golden is a message of the present version with every field set, and the two directions of its codec.
type golden struct {
	value  any
	encode func() ([]byte, error)
	decode func([]byte) (any, error)
}

func goldenOf[M Message, P Fields[M]](m M) golden {
	*P(&m).version() = Version
	return golden{
		value:  m,
		encode: func() ([]byte, error) { return Marshal[M, P](m) },
		decode: func(b []byte) (any, error) { return Unmarshal[M, P](b) },
	}
}

// goldens are the messages that lie in testdata, by file name.
func goldens() map[string]golden {
	target := actions.Target{Workload: "db", Kind: "systemd", Unit: "postgresql.service"}
	terms := lease.Terms{Length: 6 * time.Second, Renew: time.Second, Stop: 1200 * time.Millisecond, Kill: time.Second, Self: lease.Guard}
	ready := actions.Ready{When: actions.ReadyHTTP, URL: "http://127.0.0.1:8080/ready", Settle: time.Second, Timeout: time.Minute}
	return map[string]golden{
		"join.json": goldenOf(Join{
			Host: "east-2", Boot: "8d3c0f5e7a114b92a06e21d4c3559f07", Inc: 1<<64 - 1, Stamp: 5 * time.Second, Epoch: 17,
			Ask: 3, Nonce: 19, Former: 1<<64 - 2, Tried: []lease.Try{{Inc: 1<<64 - 3, Nonce: 18}},
			Journal: "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
			Keep:    []Kept{{Workload: "db", Token: 21}}, Version: "0.1.0",
		}),
		"assignment.json": goldenOf(Assignment{
			Host: "east-2", Inc: 7, Epoch: 22, Nonce: 19, Index: 25, Keep: []Kept{{Workload: "db", Token: 21}},
			Terms: terms, Voters: lease.Voters{Index: 1, Names: []string{"m1", "m2", "m3"}}, Rejoin: true,
			Watch: []Watched{{Target: target, Ready: ready, Exclusive: true}}, Interval: 250 * time.Millisecond,
		}),
		"offer.json":     goldenOf(Offer{Host: "east-2", Inc: 7, Ask: 3, Nonce: 19, Terms: terms}),
		"renew.json":     goldenOf(Renew{Host: "east-2", Inc: 7, Epoch: 22, Stamp: 9 * time.Second}),
		"ack.json":       goldenOf(Ack{Monitor: "m1", Host: "east-2", Inc: 7, Epoch: 22, Stamp: 9 * time.Second, Voters: 1}),
		"report.json":    goldenOf(Report{Monitor: "m1", Host: "east-2", Epoch: 22, Revocation: 30}),
		"readindex.json": goldenOf(ReadIndex{Monitor: "m1", Ask: 1<<64 - 1, Index: 40}),
		"fenced.json": goldenOf(Fenced{
			Monitor: "m1", Host: "east-2", Revocation: 30, Attempt: 2, Outcome: Done, Device: "bmc", Reason: "it took two tries", Took: time.Second,
		}),
		"status.json": goldenOf(Status{
			Host: "east-2", Inc: 7, Epoch: 22, Index: 25, Seq: 3, Stamp: 9 * time.Second, Version: "0.1.0",
			Lease: LeaseStatus{Held: true, Voters: 5, Left: 5 * time.Second, Fenced: 1, FencedAgo: time.Minute, Why: "the guard does not answer"},
			Workloads: []WorkloadStatus{
				{Workload: "api", Condition: actions.Unknown, Detail: "no answer within 2s"},
				{Workload: "db", Condition: actions.Running, Ready: true, Token: 21, Autostart: true},
			},
		}),
		"command.json": goldenOf(Command{
			ID: "R-0001/stop/db/1", Host: "east-2", Inc: 7, Epoch: 22, Token: 31,
			Action: actions.Action{
				Verb: actions.Stop, Target: target, Args: []string{"--now"}, Force: true,
				Env: map[string]string{"HOLTER_TOKEN": "31"},
			},
			Ladder: []actions.Rung{{Limit: 20 * time.Second}, {Force: true, Limit: 5 * time.Second}},
			Ready:  &ready, Within: 30 * time.Second, NotAfter: 11 * time.Second, Idempotent: true, Exclusive: true,
		}),
		"result.json": goldenOf(Result{
			ID: "R-0001/stop/db/1", Host: "east-2", Inc: 7, Epoch: 22, Token: 31, Outcome: Done, Reason: "exit status 0",
			Already: true, Stopped: true, Took: 1200 * time.Millisecond,
		}),
		"view.json": goldenOf(View{
			Monitor: "m1", Seq: 4, Sent: 8 * time.Second, Wall: time.Date(2026, 3, 1, 12, 30, 0, 250e6, time.UTC),
			Version: "0.1.0", Able: true, Why: "clock stepped", Heard: 5,
			Opinions: []Opinion{{Host: "east-2", Inc: 7, Verdict: Lost, Age: 3100 * time.Millisecond, Seq: 812}},
		}),
		"level.json": goldenOf(Level{Monitor: "m1", Log: 2}),
		"level-expires.json": goldenOf(Level{
			Monitor: "m1", Log: 2, Expires: time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC),
		}),
		"clock.json": goldenOf(Clock{
			Host: "east-2", Inc: 7, Wall: time.Date(2026, 3, 1, 12, 30, 0, 250e6, time.UTC), Expires: time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC),
		}),
		"hello.json": goldenOf(Hello{
			Monitor: "m1", ID: "m1-4f1d2c3b5a697887", Raft: "127.0.0.1:7001", Cluster: "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
			Members: []string{"m1-4f1d2c3b5a697887", "m2-0011223344556677"},
		}),
	}
}

// TestGolden holds the codec to the files: what was written once is read for ever, as the same value. A file of the
// present version is also what the value encodes to, byte for byte but for the white space.
func TestGolden(t *testing.T) {
	want := goldens()
	if *rewrite {
		for name, g := range want {
			writeGolden(t, name, g)
		}
	}
	files, err := filepath.Glob("testdata/v*/*.json")
	if err != nil || len(files) < len(want) {
		t.Fatalf("got %d golden messages, want at least %d (%v)", len(files), len(want), err)
	}
	for _, file := range files {
		g, known := want[filepath.Base(file)]
		if !known {
			t.Errorf("%s: no message of that name", file)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.decode(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(got, g.value); diff != "" {
			t.Errorf("%s: got -, want +\n%s", file, diff)
		}
		encoded, err := g.encode()
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(string(encoded), compact(t, text)); filepath.Dir(file) == present && diff != "" {
			t.Errorf("%s: got -, want +\n%s", file, diff)
		}
	}
}

func writeGolden(t *testing.T, name string, g golden) {
	t.Helper()
	b, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	text.WriteByte('\n')
	if err := os.WriteFile(filepath.Join(present, name), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"nothing":         {``, "decode wire.Result: unexpected end of JSON input"},
		"no version":      {`{"host":"a"}`, "decode wire.Result: unknown version of message: 0, this program knows 1"},
		"newer version":   {`{"v":2,"host":["a"]}`, "decode wire.Result: unknown version of message: 2, this program knows 1"},
		"field twice":     {`{"v":1,"outcome":"done","outcome":"failed"}`, `decode wire.Result: the field "outcome" is there twice`},
		"added twice":     {`{"v":1,"outcome":"done","mood":[{"a":1,"a":1}]}`, `decode wire.Result: the field "a" is there twice`},
		"upper case":      {`{"v":1,"outcome":"done","Outcome":"failed"}`, `decode wire.Result: "Outcome" is no name of a field`},
		"another type":    {`{"v":1,"outcome":"done","inc":"7"}`, "decode wire.Result: json: cannot unmarshal string into Go struct field Result.inc of type uint64"},
		"out of range":    {`{"v":1,"outcome":"done","inc":-7}`, "decode wire.Result: json: cannot unmarshal number -7 into Go struct field Result.inc of type uint64"},
		"unknown outcome": {`{"v":1,"id":"R-0001/a/b/1","outcome":"perhaps"}`, `decode wire.Result: command R-0001/a/b/1: unknown outcome "perhaps"`},
		"two messages":    {`{"v":1,"outcome":"done"}{}`, "decode wire.Result: invalid character '{' after top-level value"},
	} {
		got, err := Unmarshal[Result]([]byte(test.in))
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got error %v, want %s", name, err, test.want)
		}
		if diff := cmp.Diff(got, Result{}); diff != "" {
			t.Errorf("%s: got a value beside the error: -\n%s", name, diff)
		}
	}
	if _, err := Unmarshal[Result]([]byte(`{"v":3}`)); !errors.Is(err, ErrVersion) {
		t.Errorf("version 3: got %v, want ErrVersion", err)
	}
	if _, err := Unmarshal[Status]([]byte(`{"v":1,"workloads":[{"workload":"db","condition":"asleep"}]}`)); err == nil {
		t.Error("a status with an unknown condition was decoded")
	}
	if _, err := Unmarshal[Level]([]byte(`{"v":1,"monitor":"m1"}`)); err == nil {
		t.Error("a level without a version of the log was decoded")
	}
	if _, err := Unmarshal[View]([]byte(`{"v":1,"opinions":[{"host":"a","verdict":"dead"}]}`)); err == nil {
		t.Error("a view with an unknown verdict was decoded")
	}
}

// TestAddedFields: to the older side a message of the next program is the same without what was added to it, wherever.
func TestAddedFields(t *testing.T) {
	for name, g := range goldens() {
		text, err := g.encode()
		if err != nil {
			t.Fatal(err)
		}
		newer := bytes.ReplaceAll(text, []byte("{"), []byte(`{"added_later":{"a":[1,{"b":null}]},`))
		newer = bytes.ReplaceAll(newer, []byte(`"env":{"added_later":{"a":[1,{"b":null}]},`), []byte(`"env":{`)) // not fields, but a map
		got, err := g.decode(newer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(got, g.value); diff != "" {
			t.Errorf("%s: got -, want +\n%s", name, diff)
		}
	}
}

func TestMessageSize(t *testing.T) {
	if _, err := Marshal(Result{Outcome: Failed, Reason: strings.Repeat("x", MaxMessage)}); !errors.Is(err, ErrTooBig) {
		t.Errorf("marshal: got %v, want ErrTooBig", err)
	}
	if _, err := Unmarshal[Result](bytes.Repeat([]byte(" "), MaxMessage+1)); !errors.Is(err, ErrTooBig) {
		t.Errorf("unmarshal: got %v, want ErrTooBig", err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	if b, err := Marshal(Result{ID: "R-0001/a/b/1"}); err == nil {
		t.Errorf("a result without an outcome became %s", b)
	}
}

func TestMarshalSetsVersion(t *testing.T) {
	b, err := Marshal(Join{V: 9, Host: "a"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unmarshal[Join](b)
	if err != nil || got.V != Version {
		t.Errorf("got version %d (%v), want %d", got.V, err, Version)
	}
}
