package raftstore

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/holter-ha/holter/wire"
)

const (
	id1    = "m1-1111111111111111"
	id2    = "m2-2222222222222222"
	id3    = "m3-3333333333333333"
	other2 = "m2-aaaaaaaaaaaaaaaa"
)

var threePeers = map[string]string{"m1": "a1", "m2": "a2", "m3": "a3"}

func hello(id string, members ...string) wire.Hello {
	name := nameOf(id)
	return wire.Hello{V: wire.Version, Monitor: name, ID: id, Raft: threePeers[name], Members: members}
}

func TestAssembly(t *testing.T) {
	misplaced := hello(id3)
	misplaced.Raft = "a9"
	tests := []struct {
		name  string
		self  string
		stale bool // this monitor was part of a cluster before
		heard []wire.Hello
		later time.Duration // between the last hello and the question
		forms bool
		waits string // in waitsFor
		err   string
	}{
		{name: "all fresh", self: id1, heard: []wire.Hello{hello(id2), hello(id3)}, forms: true},
		{name: "own echo", self: id1, heard: []wire.Hello{hello(id1), hello(id2), hello(id3)}, forms: true},
		{name: "not the lowest", self: id2, heard: []wire.Hello{hello(id1), hello(id3)}},
		{name: "one missing", self: id1, heard: []wire.Hello{hello(id2)}, waits: "waiting for m3"},
		{name: "stranger", self: id1, heard: []wire.Hello{hello(id2), hello("m4-4444444444444444")}, waits: "waiting for m3"},
		{name: "fell silent", self: id1, heard: []wire.Hello{hello(id2), hello(id3)}, later: helloAge, waits: "waiting for m2, m3"},
		{name: "wrong address", self: id1, heard: []wire.Hello{hello(id2), misplaced}, waits: "m3 is at a9"},
		{
			name: "twice", self: id1, heard: []wire.Hello{hello(id2), hello(other2), hello(id3)},
			waits: "more than one monitor calls itself m2: " + id2 + ", " + other2,
		},
		{name: "was in a cluster", self: id1, stale: true, heard: []wire.Hello{hello(id2), hello(id3)}, waits: "the leader"},
		{
			name: "heard of a cluster", self: id1, heard: []wire.Hello{hello(id2, id2, id3), hello(id2), hello(id3)},
			waits: "m2 is in a cluster already",
		},
		{name: "taken in", self: id2, heard: []wire.Hello{hello(id1, id1, id2, id3)}, waits: "m1 is in a cluster already"},
		{name: "taken in again", self: id2, heard: []wire.Hello{hello(id1, id1, other2, id2, id3)}, waits: "m1 is in"},
		{
			name: "lost its directory", self: id2, heard: []wire.Hello{hello(id1, id1, other2, id3)},
			err: "monitor m2 was " + other2 + " in this cluster and its data directory is now empty", waits: "m1 is in",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			a := newAssembly(nameOf(test.self), test.self, threePeers, !test.stale)
			var err error
			for _, h := range test.heard {
				err = a.observe(h, now)
			}
			now = now.Add(test.later)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("observe: got %v, want %q", err, test.err)
			}
			if got := a.waitsFor(now); (got == "") != (test.waits == "") || !strings.Contains(got, test.waits) {
				t.Errorf("waitsFor: got %q, want %q", got, test.waits)
			}
			var want []raft.Server
			if test.forms {
				want = []raft.Server{{ID: id1, Address: "a1"}, {ID: id2, Address: "a2"}, {ID: id3, Address: "a3"}}
			}
			if diff := cmp.Diff(want, a.servers(now)); diff != "" {
				t.Errorf("servers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNameOf(t *testing.T) {
	for id, want := range map[string]string{
		id1: "m1", "a-b-1111111111111111": "a-b", "": "", "m1": "", "-1111111111111111": "", "m1_1111111111111111": "",
	} {
		if got := nameOf(id); got != want {
			t.Errorf("nameOf(%q): got %q, want %q", id, got, want)
		}
	}
}
