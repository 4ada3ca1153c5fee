package planner

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzEntry looks for bytes of an entry that are not read as what they are written as, and for an entry that brings Apply down or
// leaves more than a count behind when it is refused.
func FuzzEntry(f *testing.F) {
	for _, event := range events {
		golden, err := os.ReadFile(filepath.Join("testdata", "events", event.Name()+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(golden)
	}
	for _, event := range []string{
		`"name":"files_applied","event":{"base":2,"set":{"inventory":{"cluster":{"name":"c"}},"plans":[null]}}`,
		`"name":"files_applied","event":{"base":2,"set":{"plans":[{"name":"p","steps":null},{"name":"p"}]}}`,
		`"name":"files_applied","event":{"base":2,"set":{"inventory":{"hosts":{"h1":{}},"workloads":{"w":{"after":[{"workload":"w"}]}}}}}`,
		`"name":"run_started","event":{"kind":"plan","plan":"elsewhere","hosts":["h1"],"losses":[],"steps":[{"id":"a","after":["a"]}]}`,
		`"name":"run_started","event":{"kind":"start","hosts":null,"losses":null,"steps":[{"id":"a","kind":"start","workload":"nobody"}]}`,
	} {
		f.Add([]byte(`{"v":1,"at":"2026-01-01T00:00:00Z","by":"m1",` + event + `}`))
	}
	var door *State
	f.Fuzz(func(t *testing.T, b []byte) {
		if door == nil {
			door = doorway(t)
		}
		entry, err := DecodeEntry(b)
		if err != nil {
			return
		}
		text, err := EncodeEntry(entry)
		if err != nil {
			t.Fatalf("%s is read and cannot be written: %v", b, err)
		}
		again, err := DecodeEntry(text)
		if err != nil {
			t.Fatalf("%s is written as %s and not read: %v", b, text, err)
		}
		if same, err := EncodeEntry(again); err != nil || !bytes.Equal(same, text) {
			t.Errorf("%s is written as %s, then as %s (%v)", b, text, same, err)
		}
		next, refused := door.Apply(door.Index+1, again)
		c := commit{index: door.Index + 1, entry: again, before: door, after: next, refused: refused}
		if why := broken(c); why != "" {
			t.Errorf("%s: %s", b, why)
		}
		if why := refusalBroken(t, c); why != "" {
			t.Errorf("%s: %s", b, why)
		}
		if refusal, ok := errors.AsType[*Refusal](refused); refused != nil && (!ok || refusal.Code == "" || refusal.Message == "") {
			t.Errorf("%s: refused without a code and a message: %v", b, refused)
		}
		if restored, err := DecodeState(bytes.NewReader(encoded(t, next))); err != nil || !bytes.Equal(encoded(t, restored), encoded(t, next)) {
			t.Errorf("%s leads to a state that is not read as it is written: %v", b, err)
		}
	})
}

// FuzzState looks for a snapshot that is not written as it was read, or that is read although it says that it is newer.
func FuzzState(f *testing.F) {
	for _, s := range []*State{NewState(), doorway(f), through(f, doorway(f), UserSet{User: "ann"}, GroupSet{Group: "ops"})} {
		f.Add(encoded(f, s))
	}
	f.Add([]byte("\"holter state 3\"\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(bytes.NewReader(b))
		if err != nil {
			return
		}
		if s.Log > LogVersion {
			t.Errorf("%s is of version %d of the log and is read", b, s.Log)
		}
		text := encoded(t, s)
		again, err := DecodeState(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s is written as %s and not read: %v", b, text, err)
		}
		if !bytes.Equal(encoded(t, again), text) {
			t.Errorf("%s is written as %s, then as %s", b, text, encoded(t, again))
		}
	})
}
