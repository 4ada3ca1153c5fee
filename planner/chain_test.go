package planner

import (
	"bytes"
	"testing"
)

// TestLink holds the links to what docs/audit.md says of them: printf '%s\n%d\n%s' FORMER INDEX ENTRY | sha256sum.
func TestLink(t *testing.T) {
	first := Link("", 3, []byte(`{"v":1}`))
	second := Link(first, 4, []byte(`{"v":1}`))
	refused := LinkRefused(second)
	for _, link := range []struct{ name, got, want string }{
		{"first", first, "5972efc4aa42d62a27b822dd35057dd818fe4fa39e722aeba29b5b77d1603f45"},
		{"second", second, "ba4c8245c74c2ed4f4ef6b1574b6a87397014560a8153f36a3acd2040c38f074"},
		{"refused", refused, "9e7e47d0e47e1832ca351c65cf9e09e9ddf04fcbad2ff48522a1552730abf2e2"},
	} {
		if link.got != link.want {
			t.Errorf("the %s link: got %s, want %s", link.name, link.got, link.want)
		}
	}
}

// TestChained demands that the chain survives a snapshot, and that a state from before there were chains begins one.
func TestChained(t *testing.T) {
	raw := []byte(`{"v":1,"name":"plan_armed","at":"2026-01-02T03:04:05Z","by":"m1","event":{"plan":"none"}}`)
	entry, err := DecodeEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(s *State, index uint64) *State {
		next, err := s.Apply(index, entry)
		return next.Chained(s, raw, err != nil)
	}
	first := apply(NewState(), 7)
	var snapshot bytes.Buffer
	if err := first.Encode(&snapshot); err != nil {
		t.Fatal(err)
	}
	restored, err := DecodeState(&snapshot)
	if err != nil {
		t.Fatal(err)
	}
	want := LinkRefused(Link(LinkRefused(Link("", 7, raw)), 8, raw))
	if got := apply(restored, 8); got.Chain != want || got.ChainFrom != 0 {
		t.Errorf("the chain after a snapshot: got %s from %d, want %s from 0", got.Chain, got.ChainFrom, want)
	}
	old, err := DecodeState(bytes.NewReader([]byte(`{"index":41}`)))
	if err != nil {
		t.Fatal(err)
	}
	next := apply(apply(old, 43), 44)
	if want := LinkRefused(Link(LinkRefused(Link("", 43, raw)), 44, raw)); next.Chain != want || next.ChainFrom != 41 {
		t.Errorf("the chain after a snapshot without one: got %s from %d, want %s from 41", next.Chain, next.ChainFrom, want)
	}
}
