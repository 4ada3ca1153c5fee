package plans

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mistake is one thing that is wrong or doubtful in a file, where it stands and what to do about it.
type Mistake struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`  // from 1; 0: it is about no line
	Col      int      `json:"col"`   // from 1, in characters
	Width    int      `json:"width"` // of what the caret marks, in characters
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`   // the remedy
	Source   string   `json:"source,omitempty"` // the line; empty when it is too long to show
}

// Mistakes is the error of Decode: everything that is wrong with the files, sorted by file, line and column.
type Mistakes struct {
	List []Mistake
}

// Error renders the mistakes for people: each with its line, a caret and the remedy, and a count at the end.
func (m *Mistakes) Error() string {
	var b strings.Builder
	files := make(map[string]bool)
	errors, warnings := 0, 0
	for _, one := range m.List {
		one.render(&b)
		if one.File != "" {
			files[one.File] = true
		}
		if one.Severity == SeverityError {
			errors++
		} else {
			warnings++
		}
	}
	var counts []string
	if errors > 0 || warnings == 0 {
		counts = append(counts, count(errors, "error"))
	}
	if warnings > 0 {
		counts = append(counts, count(warnings, "warning"))
	}
	fmt.Fprintf(&b, "\n%s", strings.Join(counts, " and "))
	if len(files) > 0 {
		fmt.Fprintf(&b, " in %s", count(len(files), "file"))
	}
	return b.String()
}

func (m Mistake) render(b *strings.Builder) {
	if m.Line == 0 {
		fmt.Fprintf(b, "%s%s %s: %s\n", prefix(m.File), m.Severity, m.Code, m.Message)
	} else {
		fmt.Fprintf(b, "%s:%d:%d: %s %s: %s\n", m.File, m.Line, m.Col, m.Severity, m.Code, m.Message)
	}
	if m.Source == "" {
		if m.Hint != "" {
			fmt.Fprintf(b, "        %s\n", m.Hint)
		}
		return
	}
	fmt.Fprintf(b, "%5d | %s\n", m.Line, m.Source)
	caret := indent(m.Source, m.Col-1) + strings.Repeat("^", max(1, m.Width))
	fmt.Fprintf(b, "      | %s\n", strings.TrimRight(caret+" "+m.Hint, " "))
}

func prefix(file string) string {
	if file == "" {
		return ""
	}
	return file + ": "
}

// indent is white space as wide as the first n characters of the line: tabs stay tabs.
func indent(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxMistakes is how many errors, and how many warnings, are kept; a file with more is not one that somebody reads the end of the list of.
const maxMistakes = 1000

// maxShown is the length of the longest source line that is shown, in bytes.
const maxShown = 240

// spot is a place in a file.
type spot struct {
	line, col, width int
}

// mistake notes a mistake at a place of the file.
func (f *file) mistake(at spot, code, hint, message string) {
	m := Mistake{
		File: f.name, Line: at.line, Col: at.col, Width: at.width,
		Severity: severityOf(code), Code: code, Message: message, Hint: hint,
	}
	if line := f.line(at.line); len(line) <= maxShown {
		m.Source = printable(line)
		m.Width = max(1, min(m.Width, utf8.RuneCountInString(m.Source)-at.col+1))
	}
	f.lint.add(m)
}

func (l *linter) add(m Mistake) {
	number := &l.errors
	if m.Severity == SeverityWarning {
		number = &l.warnings
	}
	if *number++; *number <= maxMistakes {
		l.mistakes = append(l.mistakes, m)
	}
}

// noted counts the mistakes so far: a check that only makes sense of a value without mistakes compares before and after.
func (l *linter) noted() int { return l.errors + l.warnings }

// all returns the mistakes in order, the same for the same files in whatever order they came.
func (l *linter) all() []Mistake {
	slices.SortStableFunc(l.mistakes, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message),
		)
	})
	l.hideSecrets()
	l.more(l.errors, SeverityError)
	l.more(l.warnings, SeverityWarning)
	return l.mistakes
}

// more says how many mistakes there are beside those that were kept.
func (l *linter) more(n int, s Severity) {
	if n -= maxMistakes; n > 0 {
		l.mistakes = append(l.mistakes, Mistake{Severity: s, Code: codeTooBig, Message: count(n, "more "+string(s)), Hint: "correct the ones above first"})
	}
}

// hideSecrets takes lines with a secret out of what is shown, which may end up in somebody's log.
func (l *linter) hideSecrets() {
	type line struct {
		file   string
		number int
	}
	secret := make(map[line]bool)
	for _, m := range l.mistakes {
		if m.Code == codeSecret {
			secret[line{m.File, m.Line}] = true
		}
	}
	for i, m := range l.mistakes {
		if secret[line{m.File, m.Line}] {
			l.mistakes[i].Source = ""
		}
	}
}

// printable makes a line safe to print on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// maxQuoted is how much of a text a message repeats, in characters.
const maxQuoted = 60

// quote repeats what a file says inside a message.
func quote(s string) string {
	if runes := []rune(s); len(runes) > maxQuoted {
		s = string(runes[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
