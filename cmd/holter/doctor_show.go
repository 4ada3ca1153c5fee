package main

import (
	"fmt"

	"github.com/holter-ha/holter/console"
)

// manyHosts is from how many hosts on only those are shown whose loss would leave something behind.
const manyHosts = 20

// showDoctor shows what was found, by check, and what each host's loss would mean.
func (a *app) showDoctor(f *doctorFacts, r doctorReport) {
	switch {
	case f.meta.Kind == "":
		a.printf("NO MONITOR ANSWERS: %d asked. What only they know could not be checked.\n\n", len(f.monitors))
	case f.leaderless != nil:
		a.printf("NO QUORUM OR NO LEADER: what follows is what %s last knew, at #%d.\n\n", f.checked.Self, f.meta.Index)
	default:
		a.printf("%s · as %s finds it · #%d\n\n", a.style.paint(roleBold, clusterName(f.cluster)), f.checked.Self, f.meta.Index)
	}
	last := ""
	for _, one := range r.Findings {
		label := one.Check
		if label == last {
			label = ""
		}
		last = one.Check
		icon := gradeCell(one.Grade)
		text := one.Text
		if one.Grade == console.GradeUnchecked {
			text = "not checked: " + text
		}
		a.printf(" %s %-13s %s\n", a.style.paint(icon.role, icon.text), label, text)
		if one.Do != "" {
			a.printf("     %-11s %s\n", "", a.style.paint(roleDim, "→ "+one.Do))
		}
	}
	a.showLosses(r.Losses)
	a.printf("\n%s\n", doctorSum(r))
}

func gradeCell(g console.Grade) cell {
	switch g {
	case console.GradeCritical:
		return cell{"✕", roleError}
	case console.GradeWarning:
		return cell{"!", roleWarn}
	case console.GradeUnchecked:
		return cell{"?", roleWarn}
	case console.GradeNote:
		return cell{"·", roleDim}
	case console.GradeOK:
	}
	return cell{"✓", roleOK}
}

// showLosses shows what each host's loss would mean now.
func (a *app) showLosses(losses []console.LossItem) {
	t := table{head: []string{"HOST", "WORKLOAD", "IF THE HOST WERE LOST NOW"}}
	dos := map[string]bool{}
	var todo []string
	hidden := 0
	for _, item := range losses {
		trouble := false
		for _, w := range item.Workloads {
			trouble = trouble || w.Fate != console.FateMoves && w.Fate != console.FateStays
		}
		if len(losses) > manyHosts && !trouble {
			hidden++
			continue
		}
		if len(item.Workloads) == 0 {
			t.add(cell{text: item.Host}, cell{text: "-"}, cell{"nothing of Holter's would be missing", roleDim})
		}
		for i, w := range item.Workloads {
			host := item.Host
			if i > 0 {
				host = ""
			}
			mark := fateCell(w.Fate)
			t.add(cell{text: host}, cell{text: w.Workload}, cell{mark.text + " " + w.Text, mark.role})
			if w.Do != "" && !dos[w.Do] {
				dos[w.Do] = true
				todo = append(todo, w.Do)
			}
		}
	}
	if len(t.rows) == 0 && hidden == 0 {
		return
	}
	a.printf("\n")
	if len(t.rows) > 0 {
		t.write(a.out, a.style)
	}
	if hidden > 0 {
		a.printf(" %d more hosts whose loss would leave nothing to do: -o json lists them\n", hidden)
	}
	for _, do := range todo {
		a.printf("     %s\n", a.style.paint(roleDim, "→ "+do))
	}
}

func fateCell(f console.Fate) cell {
	switch f {
	case console.FateMoves:
		return cell{"●", roleOK}
	case console.FateWaits:
		return cell{"⏸", roleWarn}
	case console.FateNowhere:
		return cell{"✕", roleError}
	case console.FateStays:
	}
	return cell{"○", roleDim}
}

// doctorSum is the last line.
func doctorSum(r doctorReport) string {
	counts := map[console.Grade]int{}
	for _, one := range r.Findings {
		counts[one.Grade]++
	}
	wrong := counts[console.GradeCritical] + counts[console.GradeWarning]
	switch unchecked := counts[console.GradeUnchecked]; {
	case r.Well:
		return "all is well"
	case unchecked == 0:
		return fmt.Sprintf("found wrong: %d", wrong)
	default:
		return fmt.Sprintf("found wrong: %d; not checked: %d", wrong, unchecked)
	}
}
