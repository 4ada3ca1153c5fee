package lease

import (
	"testing"
	"time"
)

var (
	active   = Standing{Inc: inc, Epoch: epoch, Active: true, Terms: terms}
	revoking = Standing{Inc: inc, Epoch: epoch, Revocation: 200, Terms: terms}
)

// running is a granter that was started at 1000 s and has caught up.
func running() *Granter {
	g := NewGranter(1000 * time.Second)
	g.CaughtUp(150)
	return g
}

func TestRenew(t *testing.T) {
	for name, step := range map[string]struct {
		g          *Granter
		inc, epoch uint64
		st         Standing
		applied    uint64
		want       bool
	}{
		"in force":                      {running(), inc, epoch, active, 150, true},
		"not caught up yet":             {NewGranter(0), inc, epoch, active, 150, false},
		"caught up to less than needed": {running(), inc, epoch, active, 149, false},
		"another incarnation":           {running(), inc + 1, epoch, active, 150, false},
		"another epoch":                 {running(), inc, epoch - 1, active, 150, false},
		"revoked":                       {running(), inc, epoch, revoking, 150, false},
		"never joined":                  {running(), 0, 0, Standing{}, 150, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := step.g.Renew("h1", step.inc, step.epoch, step.st, step.applied, 1001*time.Second); got != step.want {
				t.Errorf("answered: %t, want %t", got, step.want)
			}
		})
	}
}

// TestCaughtUp: the first answer counts; a later one cannot lower what is needed.
func TestCaughtUp(t *testing.T) {
	g := NewGranter(0)
	if !g.Waits() {
		t.Error("a granter that has just been started does not wait")
	}
	g.CaughtUp(150)
	g.CaughtUp(10)
	if g.Waits() || g.Renew("h1", inc, epoch, active, 10, time.Second) {
		t.Error("what is needed was lowered")
	}
}

func TestReport(t *testing.T) {
	reinstated := active
	reinstated.Revocation = 200
	expired := Standing{Inc: inc, Epoch: epoch, Terms: terms}
	careless := revoking
	careless.Terms.Self = None
	unset := revoking
	unset.Terms.Self = ""
	takeover := terms.Takeover()
	for name, step := range map[string]struct {
		renewed time.Duration // 0: never
		st      Standing
		now     time.Duration
		due     bool
		wait    time.Duration
	}{
		"in force":                        {1010 * time.Second, active, 2000 * time.Second, false, 0},
		"in force, whatever else is said": {1010 * time.Second, reinstated, 2000 * time.Second, false, 0},
		"revoked, renewed a moment ago":   {1010 * time.Second, revoking, 1010*time.Second + 1, false, takeover - 1},
		"one ns too early":                {1010 * time.Second, revoking, 1010*time.Second + takeover - 1, false, 1},
		"in time":                         {1010 * time.Second, revoking, 1010*time.Second + takeover, true, 0},
		"never renewed, young":            {0, revoking, 1000*time.Second + takeover - 1, false, 1},
		"never renewed, old enough":       {0, revoking, 1000*time.Second + takeover, true, 0},
		"expired already":                 {0, expired, 2000 * time.Second, false, 0},
		"a host that does not fence":      {0, careless, 2000 * time.Second, false, 0},
		"a host that says nothing of it":  {0, unset, 2000 * time.Second, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := running()
			if step.renewed != 0 && !g.Renew("h1", inc, epoch, active, 150, step.renewed) {
				t.Fatal("the renewal was not answered")
			}
			due, wait := g.Report("h1", step.st, step.now)
			if due != step.due || wait != step.wait {
				t.Errorf("due %t in %s, want %t in %s", due, wait, step.due, step.wait)
			}
		})
	}
}

// TestLastAnswerIsKept: it counts whatever incarnation and epoch it was for, and not for other hosts.
func TestLastAnswerIsKept(t *testing.T) {
	g := running()
	g.Renew("h1", inc, epoch, active, 150, 1100*time.Second)
	next := Standing{Inc: inc + 1, Epoch: epoch + 50, Revocation: 200, Terms: terms}
	if due, wait := g.Report("h1", next, 1100*time.Second+1); due || wait != terms.Takeover()-1 {
		t.Errorf("under the next epoch: due %t in %s", due, wait)
	}
	if due, _ := g.Report("h2", next, 1100*time.Second+1); !due {
		t.Error("an answer to one host counts for another")
	}
}
