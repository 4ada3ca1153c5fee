package quiet

import (
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestOneSourceIsHeldBack(t *testing.T) {
	var l Limiter
	for i := range Lines {
		if ok, held := l.Allow("a", noon); !ok || held != 0 {
			t.Errorf("line %d: got %v, %d, want it written", i, ok, held)
		}
	}
	for range 7 {
		if ok, _ := l.Allow("a", noon.Add(Window-1)); ok {
			t.Error("got a line too many")
		}
	}
	if ok, _ := l.Allow("b", noon); !ok {
		t.Error("one source hid another")
	}
	if ok, held := l.Allow("a", noon.Add(Window)); !ok || held != 7 {
		t.Errorf("in the next window: got %v, %d, want the line and the 7 that were held back", ok, held)
	}
	if ok, held := l.Allow("a", noon.Add(Window)); !ok || held != 0 {
		t.Errorf("the line after it: got %v, %d, want nothing held back", ok, held)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var l Limiter
	for i := range 10 * maxSources {
		l.Allow(fmt.Sprint("first ", i), noon)
	}
	if len(l.sources) > maxSources+1 {
		t.Errorf("%d sources are kept, want %d at most", len(l.sources), maxSources+1)
	}
	if ok, _ := l.Allow("one more", noon); ok {
		t.Error("sources that are not told apart have no limit")
	}
	if ok, _ := l.Allow("one more", noon.Add(Window)); !ok || len(l.sources) != 1 {
		t.Errorf("after a window: got %v, %d sources, want old ones to be forgotten", ok, len(l.sources))
	}
}
