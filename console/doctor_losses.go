package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// lossItems says what the loss of each host would mean now. Hosts that are lost already are none of it.
func lossItems(look Look) []LossItem {
	items := []LossItem{}
	if look.State.Inventory == nil {
		return items
	}
	unfit := func(name string) string {
		host, known := look.State.Hosts.Get(name)
		heard := look.Picture.Hosts[name]
		switch {
		case heard.Unfit != "":
			return heard.Unfit
		case host.Quarantined(look.Now):
			return "is quarantined"
		case host.Silence.Holds(look.Now):
			return "is about to be silent"
		case !known || host.Phase != planner.Active:
			return "is " + string(WordOfHost(look, name, host))
		}
		return ""
	}
	for name, host := range look.State.Hosts.All() {
		if host.Phase != planner.Active {
			continue
		}
		item := LossItem{Host: name, Site: look.State.Inventory.Hosts[name].Site, Workloads: []ProspectItem{}}
		for _, p := range look.State.Prospects(name, look.Now, unfit) {
			item.Workloads = append(item.Workloads, prospectItem(look, name, p))
		}
		items = append(items, item)
	}
	return items
}

// prospectItem says in words what would become of a workload. Of several reasons why it would not start elsewhere by itself it
// tells the one that a person has to see to first.
func prospectItem(look Look, host string, p planner.Prospect) ProspectItem {
	item := ProspectItem{Workload: p.Workload, Fate: FateWaits, To: p.To, Plan: p.Plan, Evidence: []string{}}
	for _, kind := range p.Evidence {
		item.Evidence = append(item.Evidence, string(kind))
	}
	w, _ := look.State.Workloads.Get(p.Workload)
	switch {
	case len(w.Twice) > 0:
		item.Text, item.Do = "waits for a person: it runs twice, and nothing of it is granted before that ends", "holter workloads "+p.Workload
	case len(p.Why) == 0:
		item.Fate, item.Text = FateStays, fmt.Sprintf("may run on %s only: it waits until %s is back", host, host)
	case p.To == "":
		item.Fate, item.Text = FateNowhere, "no host can take it: "+refusals(p.Why)
		item.Do = "mend one of them, or name more under hosts: in the inventory"
	case p.Plan == "" && p.Disarmed != "":
		item.Text, item.Do = fmt.Sprintf("waits for a person: plan %s is not armed", p.Disarmed), "holter plan arm "+p.Disarmed
	case p.Plan == "":
		item.Text, item.Do = "waits for a person: no plan starts it", "apply a plan that does: holter apply -f PLAN"
	case p.Held:
		item.Text, item.Do = fmt.Sprintf("waits for a person: the guard of plan %s lets it start for no host", p.Plan), "raise guard.max_lost in the plan"
	case p.Person:
		item.Text = fmt.Sprintf("waits for a person, who must confirm that %s is off: nothing else would prove it", host)
		item.Do = "in the inventory: self_fence: guard, or a fence device that passes its test"
	case p.Behind != "":
		item.Text = fmt.Sprintf("waits for %s, which it needs and which would not be there", p.Behind)
	default:
		item.Fate = FateMoves
		item.Text = movesText(look, host, p)
	}
	return item
}

func refusals(why []planner.Input) string {
	var words []string
	for _, in := range why {
		words = append(words, in.Name+" "+in.Value)
	}
	return strings.Join(words, ", ")
}

func movesText(look Look, host string, p planner.Prospect) string {
	text := "starts on " + p.To
	var proofs []string
	for _, kind := range p.Evidence {
		switch kind {
		case planner.Fenced:
			proofs = append(proofs, host+" is fenced")
		case planner.LeaseExpired:
			h, _ := look.State.Hosts.Get(host)
			proofs = append(proofs, "its lease is over (within "+Duration(h.Lease.Takeover())+")")
		case planner.Confirmed, planner.Stopped:
		}
	}
	if len(proofs) > 0 {
		text += " once " + strings.Join(proofs, " or ")
	}
	if !p.Late.IsZero() {
		text += fmt.Sprintf(", but not before %s, as %s was lost a while ago", clock(p.Late), host)
	}
	return text
}

// checkLosses sums up what the loss of each host would mean.
func checkLosses(items []LossItem) []Finding {
	f := &findings{check: CheckLosses}
	fates := map[Fate][]string{}
	all := 0
	for _, item := range items {
		for _, w := range item.Workloads {
			all++
			if !slices.Contains(fates[w.Fate], w.Workload) {
				fates[w.Fate] = append(fates[w.Fate], w.Workload)
			}
		}
	}
	if names := fates[FateNowhere]; len(names) > 0 {
		f.add(GradeWarning, names[0], fmt.Sprintf("%s would start nowhere if the host were lost: no other can take it now", few(names)), "the list below says why")
	}
	if names := fates[FateWaits]; len(names) > 0 {
		f.add(GradeWarning, names[0], fmt.Sprintf("%s would wait for a person if the host were lost", few(names)), "the list below says for what")
	}
	if names := fates[FateStays]; len(names) > 0 {
		f.add(GradeNote, names[0], fmt.Sprintf("%s may run on one host only", few(names)), "")
	}
	if all == 0 {
		return f.orOK("nothing of Holter's runs that a loss would stop")
	}
	return f.orOK(fmt.Sprintf("%d of %d workloads would start elsewhere by themselves if their host were lost", len(fates[FateMoves]), all))
}
