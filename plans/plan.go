package plans

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// maxSteps and maxTriggers are how many steps and triggers a plan may have.
const (
	maxSteps    = 100
	maxTriggers = 100
)

// planWalk is one plan while it is read.
type planWalk struct {
	refs       *Inventory // what names are checked against; nil: not at all
	sites      map[string]bool
	plan       *Plan
	drafts     []*draft
	useTrigger []value // where the trigger's hosts are used
}

// plan compiles the document. After a mistake the result is only good for its name.
func (t table) plan(refs *Inventory) *Plan {
	hash := sha256.Sum256(t.file.text)
	w := &planWalk{
		refs:  refs,
		sites: make(map[string]bool),
		plan:  &Plan{Guard: defaultGuard(), Steps: []Step{}, Source: string(t.file.text), Hash: hex.EncodeToString(hash[:])},
	}
	if refs != nil {
		for _, site := range refs.Sites {
			w.sites[site] = true
		}
	}
	t.known(shape{
		fields: []string{"apiVersion", "kind", "name", "owner", "trigger", "guard", "steps"},
		later:  []string{"objective", "facts", "mode", "commit", "finally"},
	})
	t.need("name", func(v value) { w.plan.Name = v.newName("a plan") })
	t.opt("owner", func(v value) { w.plan.Owner = v.text() })
	hasTrigger := t.opt("trigger", w.readTriggers)
	t.opt("guard", w.readGuard)
	t.need("steps", w.readSteps)
	w.checkSteps(hasTrigger)
	return w.plan
}

func defaultGuard() Guard { return Guard{MaxLost: 3, MaxLostShare: 30} }

// maxLostMost bounds the number of hosts that a plan may lose at once and still start by itself.
const maxLostMost = 100_000

// readGuard reads what must hold when the plan would start by itself.
func (w *planWalk) readGuard(v value) {
	g := &w.plan.Guard
	t := v.table(shape{fields: []string{"max_lost"}, later: []string{"cooldown", "keep", "within"}})
	t.opt("max_lost", func(v value) {
		share, isShare := strings.CutSuffix(v.node.Value, "%")
		switch n, err := strconv.Atoi(share); {
		case !v.isScalar():
			v.mistake(codeType, "write a number of hosts or a share, such as 30%", "max_lost must be a number or a share")
		case isShare && (err != nil || n < 1 || n > 99):
			v.mistake(codeBounds, "write 1% to 99%, or a number of hosts", "max_lost cannot be %s", quote(v.node.Value))
		case isShare:
			*g = Guard{MaxLostShare: n}
			w.checkShare(v, n)
		default:
			*g = Guard{}
			v.integer(&g.MaxLost, maxLostMost)
		}
	})
}

// checkShare notes a share of the plan's fleet that is less than one host.
func (w *planWalk) checkShare(v value, share int) {
	if w.refs == nil {
		return
	}
	fleet := 0
	for name, host := range w.refs.Hosts {
		if slices.ContainsFunc(w.plan.Trigger, func(t Trigger) bool { return t.HostLost.PicksHost(name, host) }) {
			fleet++
		}
	}
	if fleet > 0 && fleet*share/100 == 0 {
		v.mistake(codeNeverAlone, "write a larger share, or a number of hosts", "%d%% of the plan's %s is less than one: it would never start by itself", share, count(fleet, "host"))
	}
}

func (w *planWalk) readTriggers(v value) {
	entries := v.entries("write [{host_lost: any}]")
	if v.isList() && (len(entries) == 0 || len(entries) > maxTriggers) {
		v.mistake(codeBounds, "leave the field out if the plan is started by hand only", "there must be 1 to %d triggers", maxTriggers)
		return
	}
	for _, e := range entries {
		t := e.table(shape{fields: []string{"host_lost"}, later: []string{"site_lost", "when", "for", "workload_lost"}})
		if t.strange {
			continue
		}
		t.need("host_lost", func(v value) {
			s := w.hosts(v)
			w.plan.Trigger = append(w.plan.Trigger, Trigger{HostLost: &s})
		})
	}
}

// draft is a step while it is read.
type draft struct {
	Step
	at    value   // the step
	named value   // its id, or else its kind
	given bool    // its id stands in the file
	after []value // where the ids of Step.After stand; nil: after the step before
	free  bool    // after: []
}

func (w *planWalk) readSteps(v value) {
	entries := v.entries("write a list of steps: - fence: trigger.hosts")
	if v.isList() && (len(entries) == 0 || len(entries) > maxSteps) {
		v.mistake(codeBounds, "a plan does something", "there must be 1 to %d steps", maxSteps)
		return
	}
	for _, e := range entries {
		e.name = "the step"
		w.drafts = append(w.drafts, w.step(e))
	}
	w.nameSteps()
	w.resolveAfter()
	for _, d := range w.drafts {
		w.plan.Steps = append(w.plan.Steps, d.Step)
	}
}

// nameSteps gives the steps without an id one: their kind, with a number if it is taken.
func (w *planWalk) nameSteps() {
	lines := make(map[string]int)
	for _, d := range w.drafts {
		if !d.given || d.ID == "" {
			continue
		}
		if line, twice := lines[d.ID]; twice {
			d.named.mistake(codeDefined, "rename one; the other one is in line "+strconv.Itoa(line), "a second step %s", quote(d.ID))
			d.ID = ""
			continue
		}
		lines[d.ID] = d.named.node.Line
	}
	for _, d := range w.drafts {
		if d.given || d.Kind == "" {
			continue
		}
		d.ID = string(d.Kind)
		for n := 2; lines[d.ID] != 0; n++ {
			d.ID = string(d.Kind) + "-" + strconv.Itoa(n)
		}
		lines[d.ID] = d.named.node.Line
	}
}

// resolveAfter finds the steps that each step comes after.
func (w *planWalk) resolveAfter() {
	lines := make(map[string]int)
	var ids []string
	for _, d := range w.drafts {
		if d.ID != "" {
			lines[d.ID] = d.named.node.Line
			ids = append(ids, d.ID)
		}
	}
	for i, d := range w.drafts {
		d.After = []string{}
		if d.after == nil && !d.free && i > 0 && w.drafts[i-1].ID != "" {
			d.After = append(d.After, w.drafts[i-1].ID)
		}
		for _, v := range d.after {
			name := v.node.Value
			switch {
			case lines[name] == 0:
				hint := ""
				if best := v.file.lint.nearest(name, ids); best != "" {
					hint = "did you mean " + quote(best) + " (line " + strconv.Itoa(lines[best]) + ")?"
				}
				v.mistake(codeNoStep, hint, "step %s is not defined in this plan", quote(name))
			case contains(d.After, name):
				v.mistake(codeRepeated, "leave it out", "step %s is listed twice", quote(name))
			default:
				d.After = append(d.After, name)
			}
		}
	}
}
