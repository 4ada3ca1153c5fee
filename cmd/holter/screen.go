package main

import (
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/planner"
)

// role says what a colour means.
type role string

// The roles and their ANSI codes.
const (
	rolePlain role = ""
	roleOK    role = "32"
	roleWarn  role = "33"
	roleError role = "31"
	roleDim   role = "2"
	roleBold  role = "1"
)

// style writes text with or without colour.
type style struct{ color bool }

func (s style) paint(r role, text string) string {
	if !s.color || r == rolePlain || text == "" {
		return text
	}
	return "\x1b[" + string(r) + "m" + text + "\x1b[0m"
}

// cell is one field of a table.
type cell struct {
	text string
	role role
}

// plain makes cells without colour.
func plain(texts ...string) []cell {
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i].text = text
	}
	return cells
}

// table is rows under a head, in columns as wide as they need be.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// write writes the table. The last column is never padded.
func (t *table) write(w io.Writer, s style) {
	head := make([]cell, len(t.head))
	for i, text := range t.head {
		head[i] = cell{text, roleDim}
	}
	all := append([][]cell{head}, t.rows...)
	width := make([]int, len(t.head))
	for _, row := range all {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range all {
		for i, c := range row {
			pad := 0
			if i < len(row)-1 {
				pad = width[i] - utf8.RuneCountInString(c.text) + 1
			}
			b.WriteString(" " + s.paint(c.role, c.text) + strings.Repeat(" ", pad))
		}
		b.WriteString("\n")
	}
	_, _ = io.WriteString(w, trimLines(b.String()))
}

// trimLines removes blanks at the ends of lines.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// ascii is what stands for a character where a terminal has none but ASCII.
var ascii = strings.NewReplacer(
	"●", "+", "◐", "~", "✕", "X", "◇", "o", "○", ".", "✓", "+", "▶", ">", "■", "#", "⏸", "|", "·", "-", "…", "...", "←", "<-", "→", "->", "“", `"`, "”", `"`,
)

// asciiWriter writes nothing but ASCII for what Holter says itself.
type asciiWriter struct{ w io.Writer }

func (a asciiWriter) Write(p []byte) (int, error) {
	if _, err := ascii.WriteString(a.w, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// hostCell is a host's word with its icon.
func hostCell(word console.HostWord) cell {
	switch word {
	case console.HostAlive:
		return cell{"● " + string(word), roleOK}
	case console.HostSuspect:
		return cell{"◐ " + string(word), roleWarn}
	case console.HostLost:
		return cell{"✕ " + string(word), roleError}
	case console.HostFencing:
		return cell{"▶ " + string(word), roleWarn}
	case console.HostFenced, console.HostExpired, console.HostConfirmed:
		return cell{"■ " + string(word), roleError}
	case console.HostSilent:
		return cell{"◇ " + string(word), roleDim}
	case console.HostReturning:
		return cell{"◇ " + string(word), roleWarn}
	case console.HostUnseen:
		return cell{"○ " + string(word), roleDim}
	case console.HostUnknown:
	}
	return cell{"? " + string(word), roleWarn}
}

// workloadCell is a workload's word with its icon.
func workloadCell(word console.WorkloadWord) cell {
	switch word {
	case console.WorkloadReady:
		return cell{"● " + string(word), roleOK}
	case console.WorkloadStarting, console.WorkloadStopping, console.WorkloadFound:
		return cell{"◇ " + string(word), roleWarn}
	case console.WorkloadUnready:
		return cell{"◐ " + string(word), roleWarn}
	case console.WorkloadDown, console.WorkloadLost, console.WorkloadHomeless, console.WorkloadTwice:
		return cell{"✕ " + string(word), roleError}
	case console.WorkloadStopped, console.WorkloadIdle:
		return cell{"○ " + string(word), roleDim}
	case console.WorkloadUnknown:
	}
	return cell{"? " + string(word), roleWarn}
}

// runCell is a run's state with its icon.
func runCell(state string) cell {
	switch planner.RunState(state) {
	case planner.RunRunning, planner.RunAborting:
		return cell{"▶ " + state, rolePlain}
	case planner.RunWaiting, planner.RunPaused:
		return cell{"⏸ " + state, roleWarn}
	case planner.RunSucceeded:
		return cell{"✓ " + state, roleOK}
	case planner.RunFailed, planner.RunWasAborted:
	}
	return cell{"✕ " + state, roleError}
}

// stepCell is a step's state with its icon.
func stepCell(state string) cell {
	switch planner.StepState(state) {
	case planner.StatePending:
		return cell{"○ " + state, roleDim}
	case planner.StateStarted:
		return cell{"▶ " + state, rolePlain}
	case planner.StateDone:
		return cell{"✓ " + state, roleOK}
	case planner.StateFailed:
		return cell{"✕ " + state, roleError}
	case planner.StateSkipped:
		return cell{"- " + state, roleWarn}
	case planner.StateUnknown:
	}
	return cell{"? " + state, roleWarn}
}

// age is an age in milliseconds for people.
func age(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return console.Duration(time.Duration(ms) * time.Millisecond)
}

// orDash is a text that is never empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// clockTime is a moment of a screen: UTC, to the second.
func clockTime(t console.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
