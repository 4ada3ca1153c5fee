package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
)

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the cluster on one screen, and what needs you",
		Long: `Show the cluster on one screen, and what needs you.

Without quorum every monitor is asked for itself, and the exit code is 7.`,
		Example: "  holter status\n  holter status --stale -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := a.client()
			defer client.Close()
			ctx, cancel := a.asking(cmd.Context())
			defer cancel()
			answer, err := client.Status(ctx)
			if e, ok := errors.AsType[*console.APIError](err); ok && e.Exit == console.ExitNoQuorum && !a.asJSON() && cmd.Context().Err() == nil {
				return a.showNoQuorum(cmd.Context())
			}
			if err != nil {
				return err
			}
			if a.asJSON() {
				return a.printDoc(answer)
			}
			a.showStatus(answer)
			return nil
		},
	}
}

// showStatus shows the cluster on one screen.
func (a *app) showStatus(answer console.Doc[console.Status]) {
	st := answer.Item
	a.printf("%s\n\n", strings.Join([]string{
		a.style.paint(roleBold, clusterName(st)), monitorsLine(st), automationLine(st), indexLine(answer),
	}, " · "))
	sites := table{head: []string{"SITE", "ALIVE", "SUSPECT", "LOST", "OTHER", "WORKLOADS"}}
	for _, site := range st.Sites {
		sites.add(
			cell{text: site.Name}, cell{text: fmt.Sprintf("%d/%d", site.Alive, site.Hosts)},
			counted(site.Suspect, roleWarn), counted(site.Lost, roleError), counted(site.Unknown, roleWarn), running(site),
		)
	}
	if len(st.Sites) > 0 {
		sites.write(a.out, a.style)
		a.printf("\n")
	}
	a.showNeeds(st.Needs)
	a.showSilences(st.Silences)
	if len(st.Runs) > 0 {
		a.showRunTable(st.Runs)
	} else {
		a.printf("no run is open\n")
	}
}

func clusterName(st console.Status) string {
	if st.Cluster == "" {
		return "(no inventory yet)"
	}
	return st.Cluster
}

func monitorsLine(st console.Status) string {
	answering := 0
	for _, m := range st.Monitors {
		if m.Answers {
			answering++
		}
	}
	if st.Leader == "" {
		return fmt.Sprintf("%d/%d monitors, no leader", answering, len(st.Monitors))
	}
	return fmt.Sprintf("%d/%d monitors, leader %s (term %d)", answering, len(st.Monitors), st.Leader, st.Term)
}

func automationLine(st console.Status) string {
	switch {
	case len(st.Armed)+len(st.Disarmed) == 0:
		return "automation OFF (no plan)"
	case len(st.Armed) == 0:
		return fmt.Sprintf("automation OFF (%d disarmed: holter plan arm %s)", len(st.Disarmed), st.Disarmed[0])
	case len(st.Disarmed) == 0:
		return fmt.Sprintf("automation ARMED (%d)", len(st.Armed))
	}
	return fmt.Sprintf("automation ARMED (%d, %d disarmed)", len(st.Armed), len(st.Disarmed))
}

func indexLine(answer console.Doc[console.Status]) string {
	if answer.AgeMs == 0 {
		return fmt.Sprintf("#%d", answer.Index)
	}
	if answer.AgeMs < 0 {
		return fmt.Sprintf("#%d as %s knows it, which has heard of no leader", answer.Index, answer.Item.Self)
	}
	return fmt.Sprintf("#%d as %s knew it %s ago", answer.Index, answer.Item.Self, age(answer.AgeMs))
}

// counted is a number that has a colour when it is not zero.
func counted(n int, r role) cell {
	if n == 0 {
		r = rolePlain
	}
	return cell{fmt.Sprint(n), r}
}

func running(site console.SiteItem) cell {
	if missing := site.Wanted - site.Running; missing > 0 {
		return cell{fmt.Sprintf("%d/%d ✕ %d", site.Running, site.Wanted, missing), roleError}
	}
	return cell{text: fmt.Sprintf("%d/%d", site.Running, site.Wanted)}
}

func (a *app) showNeeds(needs []console.Need) {
	if len(needs) == 0 {
		return
	}
	a.printf("%s\n", a.style.paint(roleBold, "NEEDS YOU"))
	for _, need := range needs {
		icon := cell{"!", roleWarn}
		switch need.Level {
		case console.LevelCritical:
			icon = cell{"✕", roleError}
		case console.LevelPaused:
			icon = cell{"⏸", roleWarn}
		case console.LevelWarning:
		}
		a.printf(" %s %s\n", a.style.paint(icon.role, icon.text), need.Text)
		if need.Command != "" {
			a.printf("     %s\n", need.Command)
		}
	}
	a.printf("\n")
}

// showSilences shows the silences that are wanted, and what they hold back.
func (a *app) showSilences(silences []console.WantedItem) {
	if len(silences) == 0 {
		return
	}
	a.printf("%s\n", a.style.paint(roleBold, "WANTED SILENCE"))
	for _, s := range silences {
		text := fmt.Sprintf("%s %s until %s by %s: %q", s.Kind, s.Name, a.untilTime(s.Until), s.By, s.Reason)
		if s.HeldBack != "" {
			text += "; held back: " + s.HeldBack
		}
		a.printf(" %s %s\n", a.style.paint(roleDim, "◇"), text)
	}
	a.printf("\n")
}

func ago(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return age(ms) + " ago"
}
