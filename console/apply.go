package console

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
)

// postApply sets inventory and plans from files, all or nothing. What the files were checked against travels in the entry,
// so that of two applies at once one is refused as stale.
func (s *Server) postApply(look Look, r *http.Request) (any, error) {
	var req ApplyRequest
	if err := read(r, &req); err != nil {
		return nil, err
	}
	state := look.State
	if req.IfMatch != nil && *req.IfMatch != state.Revision {
		return nil, &planner.Refusal{
			Code:    planner.CodeStale,
			Message: fmt.Sprintf("revision #%d is in force now, not #%d; nothing was changed", state.Revision, *req.IfMatch),
			Hint:    "holter events, and apply again",
		}
	}
	set, warnings, err := decode(state, req.Files)
	if err != nil {
		return nil, err
	}
	applied := difference(state, set)
	applied.Warnings = some(warnings)
	wanted := state.Recovery != nil && state.Recovery.Files && set.Inventory != nil // a recovered cluster asks for them
	if len(applied.Changes) == 0 && !wanted {
		return doc(look, "Applied", applied), nil
	}
	look, index, err := s.propose(r, req.Reason, planner.FilesApplied{Base: state.Revision, Set: *set})
	if err != nil {
		return nil, err
	}
	applied.Revision = index
	answer := doc(look, "Applied", applied)
	answer.Index = index
	return answer, nil
}

// decode compiles the files. The plans in force that the files do not replace must fit a new inventory as well.
func decode(s *planner.State, files []File) (*plans.Set, []plans.Mistake, error) {
	texts := make([]plans.File, len(files))
	for i, f := range files {
		texts[i] = plans.File{Name: f.Name, Text: []byte(f.Text)}
	}
	set, mistakes := plans.Lint(texts, s.Inventory)
	if set == nil {
		return nil, nil, &plans.Mistakes{List: mistakes}
	}
	if set.Inventory == nil {
		return set, mistakes, nil
	}
	fits := true
	for name, plan := range s.Plans.All() {
		if planOf(set, name) != nil {
			continue
		}
		file := plans.File{Name: fmt.Sprintf("%s@%d (in force)", name, plan.Rev), Text: []byte(plan.Plan.Source)}
		kept, more := plans.Lint([]plans.File{file}, set.Inventory)
		mistakes = append(mistakes, more...)
		fits = fits && kept != nil
	}
	if !fits {
		return nil, nil, &plans.Mistakes{List: mistakes}
	}
	return set, mistakes, nil
}

func planOf(set *plans.Set, name string) *plans.Plan {
	for _, plan := range set.Plans {
		if plan.Name == name {
			return plan
		}
	}
	return nil
}

// difference lists what a set changes of what is in force.
func difference(s *planner.State, set *plans.Set) Applied {
	a := Applied{Revision: s.Revision, Changes: []Change{}, Disarmed: []string{}, Armed: []string{}}
	if set.Inventory != nil {
		was := plans.Inventory{}
		if s.Inventory != nil {
			was = *s.Inventory
		}
		is := *set.Inventory
		compare(&a, "cluster", commonOf(was), commonOf(is))
		compare(&a, "host", was.Hosts, is.Hosts)
		compare(&a, "workload", was.Workloads, is.Workloads)
		if len(a.Changes) == 0 && was.Source != is.Source {
			a.Changes = append(a.Changes, Change{"~", "inventory", "text only"})
		}
	}
	for _, plan := range set.Plans {
		held, known := s.Plans.Get(plan.Name)
		switch {
		case !known:
			a.Changes = append(a.Changes, Change{"+", "plan", plan.Name})
		case held.Plan.Hash != plan.Hash:
			a.Changes = append(a.Changes, Change{"~", "plan", plan.Name})
		default:
			a.Unchanged++
		}
		switch {
		case len(plan.Trigger) == 0:
		case held.Armed:
			a.Armed = append(a.Armed, plan.Name)
		default:
			a.Disarmed = append(a.Disarmed, plan.Name)
		}
	}
	return a
}

// common is what an inventory says of all hosts together.
type common struct {
	Cluster plans.Cluster
	Sites   []string
}

func commonOf(inv plans.Inventory) map[string]common {
	if inv.Cluster.Name == "" {
		return nil
	}
	return map[string]common{inv.Cluster.Name: {inv.Cluster, inv.Sites}}
}

// compare notes how the things of one kind differ.
func compare[T any](a *Applied, kind string, was, is map[string]T) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, had := was[name]
		after, has := is[name]
		switch {
		case !had:
			a.Changes = append(a.Changes, Change{"+", kind, name})
		case !has:
			a.Changes = append(a.Changes, Change{"-", kind, name})
		case !bytes.Equal(mustJSON(before), mustJSON(after)):
			a.Changes = append(a.Changes, Change{"~", kind, name})
		default:
			a.Unchanged++
		}
	}
}
