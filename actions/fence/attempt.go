package fence

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// reserveLimit bounds the part of an attempt's time that is kept for asking the status.
const reserveLimit = 10 * time.Second

// reserve is the part of an attempt's time that its command must leave for the confirmation.
func (d Device) reserve() time.Duration { return min(d.Timeout/3, reserveLimit) }

// power is what a device's status says.
type power int

const (
	powerUnknown power = iota
	powerOn
	powerOff
)

// attempt gives one command and looks what came of it. With askFirst an earlier command may have worked already.
func (r *Runner) attempt(ctx context.Context, d Device, askFirst bool, g *gate) Attempt {
	began := time.Now()
	a := Attempt{Device: d.Name, Agent: d.Agent, Began: began}
	a.Outcome, a.Why = r.switchOff(ctx, d, askFirst, g)
	a.Took = time.Since(began)
	return a
}

func (r *Runner) switchOff(ctx context.Context, d Device, askFirst bool, g *gate) (Outcome, string) {
	end := time.Now().Add(d.Timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	ag, err := r.agent(ctx, d)
	if err != nil {
		return OutcomeUnsent, err.Error()
	}
	if askFirst {
		if p, err := ag.statusWithin(ctx, d.reserve()); err == nil && p == powerOff {
			return OutcomeOff, "an earlier command has worked after all"
		}
	}
	if err := g.ask(); err != nil {
		return OutcomeUnsent, "no longer wanted: " + err.Error()
	}
	commandErr := ag.off(ctx, end.Add(-d.reserve()))
	settle := r.settle
	if commandErr != nil && !errors.Is(commandErr, context.DeadlineExceeded) {
		settle = 0 // it said itself that it failed: nothing is under way
	}
	p, statusErr := ag.confirm(ctx, settle, r.pause)
	switch {
	case p == powerOff && commandErr == nil:
		return OutcomeOff, ""
	case p == powerOff:
		return OutcomeOff, "its status is off, though the command did not end well: " + commandErr.Error()
	case p == powerOn && commandErr == nil:
		return OutcomeOn, "the command said off, but its status is on"
	case p == powerOn:
		return OutcomeOn, commandErr.Error()
	case commandErr == nil:
		return OutcomeUnknown, "the command said off, but its status is not known: " + statusErr.Error()
	}
	return OutcomeUnknown, commandErr.Error() + "; status: " + statusErr.Error()
}

// look asks once more for the status of a device that was off.
func (r *Runner) look(ctx context.Context, d Device) Attempt {
	a := Attempt{Device: d.Name, Agent: d.Agent, Began: time.Now(), Outcome: OutcomeUnknown}
	p, err := r.status(ctx, d)
	switch {
	case err != nil:
		a.Why = "it was off, but when the whole level was it could not be asked again: " + err.Error()
	case p == powerOff:
		a.Outcome = OutcomeOff
	default:
		a.Outcome, a.Why = OutcomeOn, "it was off, but was on again when the rest of its level was off"
	}
	a.Took = time.Since(a.Began)
	return a
}

func (r *Runner) status(ctx context.Context, d Device) (power, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	ag, err := r.agent(ctx, d)
	if err != nil {
		return powerUnknown, err
	}
	return ag.status(ctx)
}

// Test asks a device for its status, or lets it monitor itself if it knows no status. It changes nothing. nil says that the
// device was reached and took the credentials, not that these may also switch.
func (r *Runner) Test(ctx context.Context, d Device) error {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	ag, err := r.agent(ctx, d)
	if err == nil {
		if ag.metadata.can("status") {
			_, err = ag.status(ctx)
		} else {
			err = ag.monitor(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("test %s: %w; nothing was changed", d.Name, err)
	}
	return nil
}

// agent is one device's program, ready to be run.
type agent struct {
	name     string
	path     string
	metadata Metadata
	input    input
}

// agent finds a device's program and reads its options.
func (r *Runner) agent(ctx context.Context, d Device) (*agent, error) {
	if d.Timeout <= 0 {
		return nil, errors.New("it has no timeout")
	}
	path, err := r.find(d.Agent)
	if err != nil {
		return nil, err
	}
	m, err := r.metadata(ctx, d.Agent, path)
	if err != nil {
		return nil, err
	}
	in, err := readOptions(m, d.Options)
	if err != nil {
		return nil, err
	}
	return &agent{name: d.Agent, path: path, metadata: m, input: in}, nil
}

// run has the agent do one action and returns what it wrote, and its exit code.
func (ag *agent) run(ctx context.Context, action string) (output, error) {
	return run(ctx, process{path: ag.path, stdin: "action=" + action + "\n" + ag.input.lines, limit: outputLimit})
}

// failed makes the error of a run that did not answer as an agent does.
func (ag *agent) failed(o output, err error) error { return o.failed(ag.name, err, ag.input.hide) }

func (ag *agent) off(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	o, err := ag.run(ctx, "off")
	if err != nil || o.code != 0 {
		return ag.failed(o, err)
	}
	return nil
}

func (ag *agent) monitor(ctx context.Context) error {
	o, err := ag.run(ctx, "monitor")
	if err != nil || o.code != 0 {
		return ag.failed(o, err)
	}
	return nil
}

// statusLine is how an agent says what the power is.
var statusLine = regexp.MustCompile(`(?im)^[ \t]*status[ \t]*:[ \t]*(on|off)[ \t\r]*$`)

// status asks the agent for the power. It must say it twice, in words and by its exit code.
func (ag *agent) status(ctx context.Context) (power, error) {
	o, err := ag.run(ctx, "status")
	if err != nil {
		return powerUnknown, ag.failed(o, err)
	}
	words := powerUnknown
	for _, m := range statusLine.FindAllStringSubmatch(o.stdout.text(), -1) {
		p := powerOn
		if len(m[1]) == len("off") {
			p = powerOff
		}
		if words != powerUnknown && words != p {
			return powerUnknown, ag.failed(o, errors.New("it says on and off at once"))
		}
		words = p
	}
	switch {
	case o.stdout.full:
		return powerUnknown, ag.failed(o, fmt.Errorf("it printed more than %d bytes instead of a status", outputLimit))
	case o.code == 0 && words == powerOn, o.code == 2 && words == powerOff:
		return words, nil
	case o.code == 0 || o.code == 2:
		return powerUnknown, ag.failed(o, fmt.Errorf("it ended with exit code %d without the words Status: %s",
			o.code, map[int]string{0: "ON", 2: "OFF"}[o.code]))
	}
	return powerUnknown, ag.failed(o, nil)
}

func (ag *agent) statusWithin(ctx context.Context, within time.Duration) (power, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return ag.status(ctx)
}

// confirm asks for the status until it is off, for at most settle. It returns the last answer.
func (ag *agent) confirm(ctx context.Context, settle, pause time.Duration) (power, error) {
	end := time.Now().Add(settle)
	for {
		p, err := ag.status(ctx)
		if p == powerOff || !time.Now().Add(pause).Before(end) || ctx.Err() != nil {
			return p, err
		}
		wait(ctx, pause)
	}
}
