package guard

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/lease"
)

// FuzzOrders looks for orders that the guard goes by and reads otherwise than they are written, that an agent could not take over,
// or that an unknown version or an unknown way to fence does not keep from being gone by.
func FuzzOrders(f *testing.F) {
	orders := Orders{
		V: version, Host: "h1", Boot: "b1", Seq: 7, Inc: 11, Epoch: 22, Tried: []lease.Try{{Inc: 1, Nonce: 2}},
		Lease: &lease.Kept{Anchor: time.Minute, Terms: lease.Normal()}, Until: time.Hour, Self: lease.Watchdog, Watchdog: time.Second,
		Charges: []Charge{{Workload: "db", Token: 7, Target: actions.Target{Workload: "db", Kind: "command", Unit: "db"}, Handles: []actions.Handle{}}},
	}
	text, err := json.Marshal(orders)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.Replace(text, []byte(`"v":1`), []byte(`"v":2`), 1))
	f.Add(bytes.Replace(text, []byte("watchdog"), []byte("hope"), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, ordersFile)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r := reader{path: path}
		s, changed := r.read()
		if !changed {
			t.Fatalf("%q was not read", text)
		}
		link := &Link{dir: dir}
		boot := "b1"
		if s.err == nil {
			boot = s.orders.Boot
		}
		left, err := link.Leftover(boot)
		if (err != nil) != (s.err != nil) {
			t.Fatalf("%q: the guard says %v, the agent %v", text, s.err, err)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(left, s.orders) {
			t.Errorf("%q: the guard reads %+v, the agent %+v", text, s.orders, left)
		}
		if left.V != version || !slices.Contains([]lease.SelfFence{lease.None, lease.Guard, lease.Watchdog}, left.Self) || left.Seq == 0 {
			t.Errorf("%q is gone by: %+v", text, left)
		}
		if left.Seq++; left.Seq == 0 {
			return // nothing is newer
		}
		if err := link.Order(*left); err != nil {
			t.Fatalf("%q cannot be followed: %v", text, err)
		}
		next, changed := r.read()
		if changed && (next.err != nil || !reflect.DeepEqual(written(t, next.orders), written(t, left))) {
			t.Errorf("%q was followed by %+v, which is read as %+v (%v)", text, left, next.orders, next.err)
		}
	})
}

func written(t *testing.T, o *Orders) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzWord looks for a word of a guard that counts although it is of another boot or version, or that hands over orders nobody may
// go by.
func FuzzWord(f *testing.F) {
	f.Add([]byte(`{"v":1,"boot":"b1","pid":7,"stamp_ns":9,"seq":3,"armed":true,"trouble":"none","killed":["db"]}`))
	f.Add([]byte(`{"v":1,"boot":"b1","seq":3,"orders":{"v":1,"boot":"b1","seq":3,"self_fence":"guard","charges":[]}}`))
	f.Add([]byte(`{"v":1,"boot":"b1","seq":3,"orders":{"v":2,"boot":"b1","seq":3,"self_fence":"guard","charges":[]}}`))
	f.Add([]byte(`{"v":2,"boot":"b1","seq":3,"orders":{"v":1,"boot":"b2","seq":3,"self_fence":"guard"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, wordFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		link := &Link{dir: dir}
		if w, err := link.Word("b1"); err == nil && (w.V != version || w.Boot != "b1") {
			t.Errorf("%q counts: %+v", text, w)
		}
		left, err := link.Leftover("b1")
		if err != nil {
			t.Errorf("%q: %v, though nothing was left for the guard", text, err)
		}
		if left != nil && (check(left) != nil || left.Boot != "b1") {
			t.Errorf("%q hands over %+v", text, left)
		}
	})
}
