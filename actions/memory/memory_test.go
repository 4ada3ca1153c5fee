package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/conformance"
	"github.com/holter-ha/holter/actions/memory"
)

func TestConformance(t *testing.T) {
	for name, script := range map[string]memory.Script{
		"at once": {},
		"slow":    {Start: memory.Behaviour{Takes: 3 * time.Second}, Stop: memory.Behaviour{Takes: 2 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, conformance.Suite{
				Around: synctest.Test,
				Setup: func(*testing.T) conformance.Bed {
					w := memory.NewWorld("db")
					w.Script("h1", "db", script)
					return conformance.Bed{
						New:     func() actions.Driver { return w.Driver("h1") },
						Target:  target("db"),
						Unknown: target("nothing"),
						Kill:    w.Kill,
						Midway:  []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second},
					}
				},
			})
		})
	}
}

func target(unit string) actions.Target {
	return actions.Target{Workload: unit, Kind: memory.Kind, Unit: unit}
}

func start(unit, token string) actions.Action {
	return actions.Action{Verb: actions.Start, Target: target(unit), Env: map[string]string{"HOLTER_TOKEN": token}}
}

func stop(unit string) actions.Action {
	return actions.Action{Verb: actions.Stop, Target: target(unit)}
}

func do(t *testing.T, d *memory.Driver, a actions.Action) {
	t.Helper()
	if err := d.Do(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// happened is the record with times as durations since the bubble began.
type happened struct {
	At    time.Duration
	Host  string
	Unit  string
	What  memory.What
	Token string
}

func record(w *memory.World, begun time.Time) []happened {
	var all []happened
	for _, e := range w.Record() {
		all = append(all, happened{e.At.Sub(begun), e.Host, e.Unit, e.What, e.Token})
	}
	return all
}

func TestRecordTellsWhatHappenedAndWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := memory.NewWorld()
		w.Script("h1", "db", memory.Script{
			Start: memory.Behaviour{Takes: 2 * time.Second, Fail: 1},
			Stop:  memory.Behaviour{Takes: time.Second, Fail: 1},
		})
		d := w.Driver("h1")
		if err := d.Do(t.Context(), start("db", "7")); err == nil {
			t.Error("the first start was scripted to fail: got no error")
		}
		do(t, d, start("db", "8"))
		if err := d.Do(t.Context(), stop("db")); err == nil {
			t.Error("the first stop was scripted to fail: got no error")
		}
		do(t, d, stop("db"))
		want := []happened{
			{0, "h1", "db", memory.Starting, "7"},
			{2 * time.Second, "h1", "db", memory.Failed, "7"},
			{2 * time.Second, "h1", "db", memory.Starting, "8"},
			{4 * time.Second, "h1", "db", memory.Started, "8"},
			{4 * time.Second, "h1", "db", memory.Stopping, "8"},
			{5 * time.Second, "h1", "db", memory.Stopping, "8"},
			{6 * time.Second, "h1", "db", memory.Stopped, "8"},
		}
		if d := cmp.Diff(want, record(w, begun)); d != "" {
			t.Errorf("record (-want +got):\n%s", d)
		}
	})
}

func TestWorkGoesOnWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := memory.NewWorld()
		w.Script("h1", "db", memory.Script{Start: memory.Behaviour{Takes: 5 * time.Second}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Driver("h1").Do(ctx, start("db", "7")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("start with too little time: got %v, want %v", err, context.DeadlineExceeded)
		}
		next := w.Driver("h1")
		if st, err := next.Status(t.Context(), target("db")); err != nil || st.Condition != actions.Unknown {
			t.Errorf("status while starting: got %+v, %v", st, err)
		}
		time.Sleep(time.Minute)
		want := []happened{{0, "h1", "db", memory.Starting, "7"}, {5 * time.Second, "h1", "db", memory.Started, "7"}}
		if d := cmp.Diff(want, record(w, begun)); d != "" {
			t.Errorf("record (-want +got):\n%s", d)
		}
	})
}

func TestHangingStopYieldsToForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld()
		w.Script("h1", "db", memory.Script{Stop: memory.Behaviour{Hang: true}, Force: memory.Behaviour{Takes: time.Second}})
		d := w.Driver("h1")
		do(t, d, start("db", "7"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := d.Do(ctx, stop("db")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop that hangs: got %v, want %v", err, context.DeadlineExceeded)
		}
		forced := stop("db")
		forced.Force = true
		do(t, d, forced)
		r := w.Record()
		if last := r[len(r)-1]; last.What != memory.Killed {
			t.Errorf("end of the record: got %+v, want %s", last, memory.Killed)
		}
	})
}

func TestPowerOffEndsEverythingOnOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld()
		w.Script("h1", "api", memory.Script{Start: memory.Behaviour{Hang: true}})
		do(t, w.Driver("h1"), start("db", "7"))
		do(t, w.Driver("h2"), start("web", "9"))
		ended := make(chan error)
		go func() { ended <- w.Driver("h1").Do(t.Context(), start("api", "8")) }()
		synctest.Wait()
		if d := cmp.Diff(map[string][]string{"db": {"h1"}, "api": {"h1"}, "web": {"h2"}}, w.Running()); d != "" {
			t.Errorf("running before (-want +got):\n%s", d)
		}
		w.PowerOff("h1")
		if err := <-ended; err == nil {
			t.Error("start under way when the power went: got no error")
		}
		if d := cmp.Diff(map[string][]string{"web": {"h2"}}, w.Running()); d != "" {
			t.Errorf("running after (-want +got):\n%s", d)
		}
	})
}

func TestOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld()
		do(t, w.Driver("h1"), start("db", "7"))
		do(t, w.Driver("h1"), stop("db"))
		do(t, w.Driver("h2"), start("db", "8"))
		w.PowerOff("h2")
		do(t, w.Driver("h1"), start("db", "9"))
		if got := w.Overlaps(); got != nil {
			t.Errorf("overlaps of one after the other: got %v", got)
		}
		time.Sleep(time.Second)
		w.Script("h1", "db", memory.Script{Stop: memory.Behaviour{Takes: 10 * time.Second}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Driver("h1").Do(ctx, stop("db")); err == nil {
			t.Error("stop in too little time: got no error")
		}
		at := time.Now()
		do(t, w.Driver("h2"), start("db", "10"))
		want := []memory.Overlap{{Unit: "db", Hosts: []string{"h1", "h2"}, At: at}}
		if d := cmp.Diff(want, w.Overlaps()); d != "" {
			t.Errorf("overlaps while stopping elsewhere (-want +got):\n%s", d)
		}
	})
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld()
		w.Script("h1", "dns", memory.Script{Run: memory.Behaviour{Takes: time.Second, Fail: 1}})
		d := w.Driver("h1")
		a := actions.Action{Verb: actions.Run, Target: target("dns"), Args: []string{"add", "db"}}
		if err := d.Do(t.Context(), a); err == nil {
			t.Error("the first run was scripted to fail: got no error")
		}
		do(t, d, a)
		if done, err := d.Done(t.Context(), a); done || err != nil {
			t.Errorf("done of a run: got %v, %v", done, err)
		}
		r := w.Record()
		if len(r) != 2 || r[1].What != memory.Ran || !cmp.Equal(r[1].Args, a.Args) || r[1].At.Sub(r[0].At) != time.Second {
			t.Errorf("record: got %+v", r)
		}
	})
}

func TestGuardKillsBesideADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld("app")
		w.Script("h1", "app", memory.Script{Start: memory.Behaviour{Takes: time.Second}})
		hand := w.Driver("h1")
		app := actions.Target{Workload: "app", Kind: memory.Kind, Unit: "app"}
		ended := make(chan error, 1)
		go func() { ended <- w.Driver("h1").Do(t.Context(), actions.Action{Verb: actions.Start, Target: app}) }()
		synctest.Wait()
		if gone, err := hand.Gone(app); gone || err != nil {
			t.Errorf("gone while it starts: got %v, %v, want false", gone, err)
		}
		if err := hand.Kill(app); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the start of what was killed: got no error")
		}
		if gone, err := hand.Gone(app); !gone || err != nil {
			t.Errorf("gone after the kill: got %v, %v, want true", gone, err)
		}
		other := actions.Target{Workload: "x", Kind: memory.Kind, Unit: "x"}
		if err := hand.Kill(other); err == nil {
			t.Error("kill of an unknown unit: got no error")
		}
		if gone, err := hand.Gone(other); gone || err == nil {
			t.Errorf("gone of an unknown unit: got %v, %v, want an error", gone, err)
		}
	})
}
