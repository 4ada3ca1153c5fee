package fence_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holter-ha/holter/actions/fence"
)

func TestOffIsAskedForAfterTheCommand(t *testing.T) {
	b := newBed(t)
	rep, err := b.off(allowed, level(b.device("bmc", script{})))
	if err != nil || !rep.Off || rep.Level != 1 {
		t.Errorf("got %+v, %v", rep, err)
	}
	wantOutcomes(t, rep, "1 bmc 1 off")
	b.wantCalls("bmc off", "bmc status")
}

func TestWhatSaysOffButIsOnIsNotOff(t *testing.T) {
	b := newBed(t)
	liar := b.device("liar", script{off: "echo Success: Powered OFF"})
	liar.Attempts = 2
	rep, err := b.off(allowed, level(liar))
	want := "fence db-1: not seen off (level 1, liar: on: the command said off, but its status is on); " +
		"it may have power or not: look at it, make sure that it is off, then confirm that by hand"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	wantOutcomes(t, rep, "1 liar 1 on", "1 liar 2 on")
}

func TestDeviceMaySettleAfterItsCommand(t *testing.T) {
	b := newBed(t)
	slow := b.device("slow", script{off: "true", status: `echo >>$D/asks; if [ $(wc -l <$D/asks) -gt 2 ]; then switch_off; fi; say_status`})
	r := fence.New(fence.Options{Dirs: []string{b.dir}, Pause: 10 * time.Millisecond, Settle: timeout})
	rep, err := r.Off(t.Context(), "db-1", []fence.Level{level(slow)}, allowed)
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 slow 1 off")
	b.wantCalls("slow off", "slow status", "slow status", "slow status")
}

func TestSecondLevelWhenTheFirstFails(t *testing.T) {
	b := newBed(t)
	bmc := b.device("bmc", script{off: "echo no route >&2; exit 1"})
	pdu, third := b.device("pdu", script{}), b.device("third", script{})
	rep, err := b.off(allowed, level(bmc), level(pdu), level(third))
	if err != nil || rep.Level != 2 {
		t.Errorf("got level %d, %v", rep.Level, err)
	}
	wantOutcomes(t, rep, "1 bmc 1 on", "2 pdu 1 off")
	if got, want := rep.Attempts[0].Why, "fence_bmc: it ended with exit code 1: no route"; got != want {
		t.Errorf("why: got %q, want %q", got, want)
	}
	if calls := strings.Join(b.read("calls"), ","); !strings.HasSuffix(calls, "pdu off,pdu status") || strings.Contains(calls, "third") {
		t.Errorf("calls: %s", calls)
	}
}

func TestFlakyThenGood(t *testing.T) {
	b := newBed(t)
	flaky := b.device("flaky", script{off: `if [ -e $D/again ]; then switch_off; else touch $D/again; exit 1; fi`})
	flaky.Attempts = 3
	rep, err := b.off(allowed, level(flaky))
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 flaky 1 on", "1 flaky 2 off")
}

func TestCommandThatHungMayHaveWorked(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	d := b.device("hung", script{off: "switch_off; sleep 1000"})
	d.Timeout = 6 * time.Second
	rep, err := b.off(allowed, level(d))
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 hung 1 off")
	if why := rep.Attempts[0].Why; !strings.Contains(why, "did not end in time and was killed after") {
		t.Errorf("why: %q", why)
	}
}

func TestUnknownIsAskedForBeforeTheNextCommand(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	d := b.device("lost", script{
		off:    "switch_off; sleep 1000",
		status: `if [ -e $D/again ]; then say_status; else touch $D/again; sleep 1000; fi`,
	})
	d.Timeout, d.Attempts = 6*time.Second, 2
	rep, err := b.off(allowed, level(d))
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 lost 1 unknown", "1 lost 2 off")
	b.wantCalls("lost off", "lost status", "lost status")
}

// TestWhatIsNoProof holds that whatever an agent does but its duty is not taken for off.
func TestWhatIsNoProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  string
		outcome fence.Outcome
		why     string
	}{
		"exit code alone":   {"exit 2", fence.OutcomeUnknown, "it ended with exit code 2 without the words Status: OFF"},
		"words alone":       {"echo Status: OFF; exit 0", fence.OutcomeUnknown, "it ended with exit code 0 without the words Status: ON"},
		"words of an error": {"echo Status: OFF; exit 1", fence.OutcomeUnknown, "it ended with exit code 1: Status: OFF"},
		"both":              {"echo Status: ON; echo Status: OFF; exit 2", fence.OutcomeUnknown, "it says on and off at once"},
		"garbage":           {`printf 'a\033[31mb\007\n\0c'; exit 0`, fence.OutcomeUnknown, "exit code 0 without the words Status: ON: a [31mb; c"},
		"inside a word":     {"echo Last Status: OFFICE; exit 2", fence.OutcomeUnknown, "exit code 2 without the words Status: OFF: Last Status: OFFICE"},
		"too much":          {"yes | head -c 100000; echo Status: OFF; exit 2", fence.OutcomeUnknown, "it printed more than 65536 bytes instead of a status"},
		"crash":             {"kill -SEGV $$", fence.OutcomeUnknown, "it crashed: signal: segmentation fault"},
		"syntax error":      {"if", fence.OutcomeUnknown, "it ended with exit code 2 without the words Status: OFF"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			rep, err := b.off(allowed, level(b.device("bmc", script{status: c.status})))
			if err == nil || len(rep.Attempts) != 1 {
				t.Fatalf("got %+v, %v", rep, err)
			}
			if a := rep.Attempts[0]; a.Outcome != c.outcome || !strings.Contains(a.Why, c.why) {
				t.Errorf("got %s: %s\nwant %s: %s", a.Outcome, a.Why, c.outcome, c.why)
			}
		})
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	b := newBed(t)
	good := b.device("good", script{})
	with := func(change func(*fence.Device)) fence.Device {
		d := good
		d.Attempts = 3
		change(&d)
		return d
	}
	for name, c := range map[string]struct {
		device fence.Device
		why    string
	}{
		"missing": {
			with(func(d *fence.Device) { d.Agent = "fence_nowhere" }),
			"fence_nowhere is not installed on this monitor: install it (Debian: package fence-agents)",
		},
		"path":  {with(func(d *fence.Device) { d.Agent = "../fence_good" }), "not the name of a fence agent"},
		"shell": {with(func(d *fence.Device) { d.Agent = "sh" }), "not the name of a fence agent"},
		"line break": {
			with(func(d *fence.Device) { d.Options = map[string]string{"plug": "1\naction=on"} }),
			"option plug: the value has a line break or another control character",
		},
		"action":          {with(func(d *fence.Device) { d.Options = map[string]string{"action": "on"} }), "option action: the agent is told by Holter what to do"},
		"name":            {with(func(d *fence.Device) { d.Options = map[string]string{"a=b": "c"} }), "option a=b: not a name of an option"},
		"trailing space":  {with(func(d *fence.Device) { d.Options = map[string]string{"plug": "1 "} }), "begins or ends with a space"},
		"quotation marks": {with(func(d *fence.Device) { d.Options = map[string]string{"plug": `"1"`} }), "in quotation marks"},
		"no file":         {with(func(d *fence.Device) { d.Options = map[string]string{"password_file": "/nowhere"} }), "option password_file: stat /nowhere: no such file"},
		"secret as path":  {with(func(d *fence.Device) { d.Options = map[string]string{"password_file": "x"} }), "option password_file: not an absolute path: name the file"},
		"no timeout":      {with(func(d *fence.Device) { d.Timeout = 0 }), "it has no timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := b.off(allowed, level(c.device))
			wantOutcomes(t, rep, "1 good 1 unsent")
			if err == nil || !strings.Contains(err.Error(), c.why) || !strings.HasSuffix(err.Error(), "; no command was given, its power is as it was") {
				t.Errorf("got %v\nwant %s", err, c.why)
			}
		})
	}
	b.wantCalls()
}

func TestNothingIsNeverOff(t *testing.T) {
	b := newBed(t)
	for _, levels := range [][]fence.Level{nil, {{}}, {{}, {OneByOne: true}}} {
		rep, err := b.off(allowed, levels...)
		want := "fence db-1: not seen off (it has no fence devices); no command was given, its power is as it was"
		if err == nil || err.Error() != want || rep.Off {
			t.Errorf("levels %v: got %+v, %v", levels, rep, err)
		}
	}
}

func TestBothPowerSuppliesAtTheSameTime(t *testing.T) {
	b := newBed(t)
	// Each waits for the other to be at work.
	meet := func(other string) string {
		return "touch $D/begun; while ! [ -e $D/../" + other + "/begun ]; do sleep 0.01; done; switch_off"
	}
	a, z := b.device("psu-a", script{off: meet("psu-b")}), b.device("psu-b", script{off: meet("psu-a")})
	rep, err := b.off(allowed, level(a, z))
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 psu-a 1 off", "1 psu-b 1 off")
}

func TestBothPowerSuppliesOneByOne(t *testing.T) {
	b := newBed(t)
	a, z := b.device("psu-a", script{}), b.device("psu-b", script{})
	rep, err := b.off(allowed, fence.Level{Devices: []fence.Device{a, z}, OneByOne: true})
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, rep, "1 psu-a 1 off", "1 psu-b 1 off")
	calls := b.read("calls")
	if got := strings.Join(calls[:4], ","); got != "psu-a off,psu-a status,psu-b off,psu-b status" || len(calls) != 6 {
		t.Errorf("calls: %v", calls)
	}
}

func TestOnePowerSupplyIsNotEnough(t *testing.T) {
	for _, oneByOne := range []bool{false, true} {
		b := newBed(t)
		bad, good := b.device("bad", script{off: "exit 1"}), b.device("good", script{})
		rep, err := b.off(allowed, fence.Level{Devices: []fence.Device{bad, good}, OneByOne: oneByOne})
		if err == nil || rep.Off {
			t.Errorf("one by one %t: got %+v, %v", oneByOne, rep, err)
		}
		if tried := strings.Contains(strings.Join(b.read("calls"), ","), "good off"); tried == oneByOne {
			t.Errorf("one by one %t: the second was switched off: %t", oneByOne, tried)
		}
	}
}

func TestPowerSupplyThatCameBack(t *testing.T) {
	b := newBed(t)
	back := b.device("back", script{status: `if [ -e $D/again ]; then echo on >$D/power; else touch $D/again; fi; say_status`})
	rep, err := b.off(allowed, fence.Level{Devices: []fence.Device{back, b.device("psu", script{})}, OneByOne: true})
	if err == nil {
		t.Error("a host with power on one supply counts as off")
	}
	wantOutcomes(t, rep, "1 back 1 off", "1 psu 1 off", "1 back 0 on")
}

func TestMayIsAskedBeforeEachCommand(t *testing.T) {
	b := newBed(t)
	bad := b.device("bad", script{off: "exit 1"})
	bad.Attempts = 2
	var before []string
	_, err := b.off(func() error {
		calls := b.read("calls")
		before = append(before, strings.Join(calls[max(0, len(calls)-1):], ""))
		return nil
	}, level(bad), level(b.device("good", script{})))
	if err != nil {
		t.Error(err)
	}
	if got := strings.Join(before, ","); got != ",bad status,bad status" {
		t.Errorf("before each command the last call was %q", got)
	}
}

func TestRefusalStopsEverything(t *testing.T) {
	errHeals := errors.New("it beats again")
	for _, n := range []int{1, 2, 3} { // which question is refused
		b := newBed(t)
		bad := b.device("bad", script{off: "exit 1"})
		bad.Attempts = 2
		asked := 0
		rep, err := b.off(func() error {
			if asked++; asked >= n {
				return errHeals
			}
			return nil
		}, level(bad), level(b.device("a", script{}), b.device("z", script{})))
		if !errors.Is(err, errHeals) || rep.Off || asked != n {
			t.Errorf("refusal %d: got %+v, %v after %d questions", n, rep, err, asked)
		}
		if commands := strings.Count(strings.Join(b.read("calls"), ","), " off"); commands != n-1 {
			t.Errorf("refusal %d: %d commands were given: %v", n, commands, b.read("calls"))
		}
	}
	b := newBed(t)
	if _, err := b.off(nil, level(b.device("bmc", script{}))); err == nil {
		t.Error("fenced with nobody to ask")
	}
	b.wantCalls()
}

func TestRefusedIsNotOffThoughItsStatusSaysSo(t *testing.T) {
	b := newBed(t)
	a, dark := b.device("a", script{}), b.device("dark", script{})
	b.write("dark/power", "off\n", 0o644)
	asked := 0
	rep, err := b.off(func() error {
		if asked++; asked == 2 {
			return errors.New("it beats again")
		}
		return nil
	}, fence.Level{Devices: []fence.Device{a, dark}, OneByOne: true})
	if err == nil {
		t.Error("counts as fenced, though the fencing was refused")
	}
	wantOutcomes(t, rep, "1 a 1 off", "1 dark 1 unsent")
}

func TestCancelledFencingEnds(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	d := b.device("hung", script{off: "touch $D/begun; sleep 1000"})
	d.Attempts = 3
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for len(b.read("calls")) == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	})
	rep, err := b.runner.Off(ctx, "db-1", []fence.Level{level(d), level(b.device("second", script{}))}, allowed)
	if !errors.Is(err, context.Canceled) || rep.Off {
		t.Errorf("got %+v, %v", rep, err)
	}
	wantOutcomes(t, rep, "1 hung 1 unknown")
	b.wantCalls("hung off")
}

func TestTestChangesNothing(t *testing.T) {
	b := newBed(t)
	noStatus := `<action name="off" /><action name="monitor" />`
	for name, c := range map[string]struct {
		s    script
		want string
	}{
		"on":           {script{}, ""},
		"off":          {script{status: "switch_off; say_status"}, ""},
		"denied":       {script{status: "echo '2026-01-01 00:00:00,000 ERROR: Unable to connect/login to fencing device' >&2; exit 1"}, "test denied: fence_denied: it ended with exit code 1: Unable to connect/login to fencing device; nothing was changed"},
		"monitors":     {script{actions: noStatus, status: "exit 1"}, ""},
		"monitors-bad": {script{actions: noStatus, monitor: "exit 1"}, "test monitors-bad: fence_monitors-bad: it ended with exit code 1; nothing was changed"},
	} {
		err := b.runner.Test(t.Context(), b.device(name, c.s))
		if got := message(err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if calls := strings.Join(b.read("calls"), ","); strings.Contains(calls, " off") || len(b.read("calls")) != 5 {
		t.Errorf("calls: %s", calls)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
