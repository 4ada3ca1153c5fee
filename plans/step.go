package plans

import "time"

// The defaults and bounds of a step.
const (
	defaultWithin     = time.Hour
	defaultRetryDelay = time.Second
	maxAttempts       = 100
	maxFactor         = 10
	maxArgs           = 64
)

// stepKinds are the kinds of step of this version, and those that the language will have.
func stepKinds() choices {
	return choices{
		now: []string{string(StepFence), string(StepStop), string(StepStart), string(StepWait), string(StepRun)},
		later: []string{
			"restart", "move", "evacuate", "check", "gate", "notify", "promote", "demote", "migrate", "freeze", "thaw",
			"copy", "set_data", "sync_time", "return",
		},
	}
}

// step reads one step. What it comes after is found when all are read.
func (w *planWalk) step(v value) *draft {
	kinds := stepKinds()
	d := &draft{at: v, named: v}
	t := v.table(shape{fields: append([]string{"id", "after", "timeout", "on_failure"}, kinds.now...), later: kinds.later})
	for _, field := range t.entries {
		if !contains(kinds.now, field.name) {
			continue
		}
		if d.Kind != "" {
			field.onKey(codeTogether, "make it a step of its own", "a step does one thing; this one is already a %s", d.Kind)
			continue
		}
		d.Kind, d.named = StepKind(field.name), field.asKey()
		w.body(d, field)
	}
	if t.entries != nil && d.Kind == "" && !t.strange {
		v.mistake(codeMissing, "add "+alternatives(kinds.now), "the step does nothing")
	}
	d.given = t.opt("id", func(v value) { d.ID, d.named = v.newName("a step"), v })
	t.opt("after", func(v value) { d.after, d.free = v.afterSteps() })
	t.opt("timeout", func(v value) {
		if d.Kind == StepWait {
			v.onKey(codeTogether, "leave it out", "a wait has no timeout: it takes as long as it says")
			return
		}
		v.duration(&d.Timeout, leastLimit)
	})
	d.OnFailure = OnFailure{Attempts: 1, Factor: 1, Then: ThenHalt, Within: defaultWithin}
	t.opt("on_failure", func(v value) { d.OnFailure = v.onFailure() })
	return d
}

// body reads what the step does.
func (w *planWalk) body(d *draft, v value) {
	switch d.Kind {
	case StepFence:
		w.triggerHosts(v)
	case StepStop:
		t := v.table(shape{fields: []string{"workloads"}})
		t.need("workloads", func(v value) { d.Workloads = new(w.workloads(v)) })
	case StepStart:
		t := v.table(shape{fields: []string{"workloads", "to"}})
		t.need("workloads", func(v value) { d.Workloads = new(w.workloads(v)) })
		t.opt("to", func(v value) { d.To = new(w.hosts(v)) })
	case StepWait:
		v.duration(&d.For, leastLimit)
	case StepRun:
		w.run(d, v)
	}
}

func (w *planWalk) run(d *draft, v value) {
	t := v.table(shape{fields: []string{"host", "command", "args", "idempotent"}})
	t.need("host", func(v value) {
		switch d.Host = v.text(); {
		case d.Host == "":
		case w.refs != nil:
			refer(v, d.Host, w.refs.Hosts, nounHost)
		default:
			v.named("a host", d.Host, v.spot())
		}
	})
	t.need("command", func(v value) { d.Command = v.command() })
	t.opt("args", func(v value) {
		entries := v.entries("write [ARG, …]")
		if len(entries) > maxArgs {
			v.mistake(codeBounds, "", "more than %d args", maxArgs)
			return
		}
		for _, e := range entries {
			arg := e.line()
			e.template(arg, VarHostName, VarHostAddress)
			if w.refs != nil && usesHostAddress(arg) {
				if host, ok := w.refs.Hosts[d.Host]; ok && host.Address == "" {
					e.mistake(codeNoAddress, "give it one in the inventory", "host %s has no address", quote(d.Host))
				}
			}
			d.Args = append(d.Args, arg)
		}
	})
	t.opt("idempotent", func(v value) { d.Idempotent = v.boolean() })
}

// command reads the name of a command that an agent's own file allows.
func (v value) command() string {
	s := v.text()
	if s != "" && !validLabel(s) {
		v.mistake(codeForm, "write the name under which the agent's file allows it", "%s cannot be the name of a command", quote(s))
	}
	return s
}

// afterSteps reads the ids of the steps that a step comes after. Free says that there are none.
func (v value) afterSteps() (after []value, free bool) {
	for _, e := range v.entries("write [STEP, …], or [] to start at once") {
		if e.text() != "" {
			after = append(after, e)
		}
	}
	return after, len(after) == 0
}

func (v value) onFailure() OnFailure {
	f := OnFailure{Attempts: 1, Factor: 1, Then: ThenHalt, Within: defaultWithin}
	t := v.table(shape{fields: []string{"retry", "then", "within"}})
	t.opt("retry", func(v value) { v.retry(&f) })
	t.opt("then", func(v value) {
		f.Then = Then(v.choice(choices{
			now:   []string{string(ThenHalt), string(ThenContinue), string(ThenAbort)},
			later: []string{"fence"},
		}))
	})
	t.opt("within", func(v value) {
		if f.Then == ThenContinue || f.Then == ThenAbort {
			v.onKey(codeTogether, "leave it out", "within is how long a halt may last; there is none with then: %s", f.Then)
			return
		}
		v.duration(&f.Within, leastLimit)
	})
	return f
}

func (v value) retry(f *OnFailure) {
	f.Delay = defaultRetryDelay
	t := v.table(shape{fields: []string{"attempts", "delay", "factor"}})
	t.need("attempts", func(v value) { v.integer(&f.Attempts, maxAttempts) })
	t.opt("delay", func(v value) { v.duration(&f.Delay, 0) })
	t.opt("factor", func(v value) { v.integer(&f.Factor, maxFactor) })
	total, delay := time.Duration(0), f.Delay
	for range f.Attempts - 1 {
		if total += delay; total > maxDuration {
			v.mistake(codeBounds, "fewer attempts, a shorter delay or a smaller factor", "the delays add up to more than %s", short(maxDuration))
			return
		}
		delay *= time.Duration(f.Factor)
	}
}
