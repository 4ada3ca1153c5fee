package bus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMailboxKeepsTheNewest(t *testing.T) {
	p := &Pair{boxes: [2]chan letter{make(chan letter, 1), make(chan letter, 1)}} // nobody takes from the boxes
	data := []byte("1")
	for i := range 3 {
		data[0] = byte('1' + i)
		p.Beat("holter.v1.beat.east-1", data)
	}
	data[0] = 'x' // the caller's own again
	for i, box := range p.boxes {
		if got := <-box; string(got.data) != "3" {
			t.Errorf("box %d: got %q, want the newest", i, got.data)
		}
	}
	if got := p.Unsent(); got != 4 {
		t.Errorf("got %d unsent, want 4", got)
	}
}

func TestOrders(t *testing.T) {
	urls := []string{"a:1", "b:1", "c:1", "d:1", "e:1"}
	for n := range len(urls) + 1 {
		some := urls[:n]
		got := orders("east-1", some)
		for i, order := range got {
			if diff := cmp.Diff(slices.Sorted(slices.Values(order)), slices.Clone(some)); n > 0 && diff != "" {
				t.Errorf("%d servers, order %d: got -, want +\n%s", n, i, diff)
			}
		}
		if again := orders("east-1", some); !cmp.Equal(again, got) {
			t.Errorf("%d servers: got %v and then %v", n, got, again)
		}
		// Whichever server is gone, each connection takes the first that is left, and they differ.
		for _, gone := range append([]string{"none"}, some...) {
			left := func(order []string) []string {
				return slices.DeleteFunc(slices.Clone(order), func(url string) bool { return url == gone })
			}
			first, second := left(got[0]), left(got[1])
			if len(first) > 1 && first[0] == second[0] {
				t.Errorf("%d servers, %s gone: both connections are at %s: %v", n, gone, first[0], got)
			}
		}
	}
}

func TestOrdersSpread(t *testing.T) {
	urls := []string{"nats://127.0.0.1:4221", "nats://127.0.0.1:4222", "nats://127.0.0.1:4223"}
	const agents = 900
	count := map[string]int{}
	for i := range agents {
		for _, order := range orders(fmt.Sprintf("east-%d", i), urls) {
			count[order[0]]++
		}
	}
	for _, url := range urls {
		if got := count[url]; got < 540 || got > 660 {
			t.Errorf("%s: got %d of %d connections, want about a third", url, got, 2*agents)
		}
	}
}
