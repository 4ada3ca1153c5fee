package planner

import (
	"testing"
	"time"

	"github.com/holter-ha/holter/wire"
)

// TestAnswersThatDoNotCount: an answer counts for the command that it answers, from the agent that it was sent to.
func TestAnswersThatDoNotCount(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nworkload db hosts=h1\n"))
	w.host("h1").moods["start db"] = &mood{times: 1, deed: deed{outcome: wire.Done, took: 4 * time.Second}}
	w.run(2*time.Second, nil)
	run, err := NewStart(w.state, Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	w.mustApply(run, "")
	w.run(time.Second, nil)
	host, _ := w.state.Hosts.Get("h1")
	step := &w.state.Run(1).Steps[0]
	if step.State != StateStarted {
		t.Fatalf("the step is %s, want started", step.State)
	}
	right := wire.Result{ID: CommandID(w.state.Run(1), step), Host: "h1", Inc: host.Inc, Epoch: host.Epoch, Token: step.Token, Outcome: wire.Failed}
	for name, change := range map[string]func(*wire.Result){
		"of another incarnation": func(r *wire.Result) { r.Inc++ },
		"under another epoch":    func(r *wire.Result) { r.Epoch-- },
		"under another token":    func(r *wire.Result) { r.Token-- },
		"to another command":     func(r *wire.Result) { r.ID += "0" },
		"of another host":        func(r *wire.Result) { r.Host = "h2" },
	} {
		r := right
		change(&r)
		w.views[w.lead].ObserveResult(r)
		w.run(2*worldTick, nil)
		if state := w.state.Run(1).Steps[0].State; state != StateStarted {
			t.Errorf("an answer %s made the step %s", name, state)
		}
	}
	w.views[w.lead].ObserveResult(right)
	other := right
	other.Host, other.Outcome = "h2", wire.Done
	w.views[w.lead].ObserveResult(other) // does not displace it
	w.run(2*worldTick, nil)
	if state := w.state.Run(1).Steps[0].State; state != StateFailed {
		t.Errorf("the right answer made the step %s, want failed", state)
	}
	if left := len(w.views[w.lead].results); left != 0 {
		t.Errorf("%d answers are kept after the step, want 0", left)
	}
}

// TestDecideChangesNothing: asked twice, Decide says the same, and the state is as it was.
func TestDecideChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.form(parseInventory(t, "host h1 site=ams\nhost h2 site=ams\nworkload db hosts=h1,h2\n"))
	for range 200 {
		w.step()
		if w.now == 1003*time.Second {
			run, err := NewStart(w.state, Request{All: true})
			if err != nil {
				t.Fatal(err)
			}
			w.mustApply(run, "")
		}
		if w.now == 1005*time.Second {
			w.host("h1").kill()
		}
		before := encoded(t, w.state)
		first := Decide(w.state, w.views[w.lead], Rules{Settle: settle}, w.time())
		second := Decide(w.state, w.views[w.lead], Rules{Settle: settle}, w.time())
		if len(first) != len(second) {
			t.Fatalf("%d intents, then %d", len(first), len(second))
		}
		for i := range first {
			if first[i].Key != second[i].Key {
				t.Errorf("intent %s, then %s", first[i].Key, second[i].Key)
			}
		}
		if string(encoded(t, w.state)) != string(before) {
			t.Fatal("Decide changed the state")
		}
	}
	if host, _ := w.state.Hosts.Get("h1"); host.Phase != Revoking {
		t.Errorf("h1 is %s, want revoking: the test saw nothing happen", host.Phase)
	}
}
