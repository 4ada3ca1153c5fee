package plans

import "strings"

// The names that stand between {{ and }}: those of the host in the url and addr of ready and in the args of run, those of
// the workload in url and addr only.
const (
	VarHostName     = "host.name"
	VarHostAddress  = "host.address"
	VarWorkloadName = "workload.name"
	VarWorkloadUnit = "workload.unit"
)

// Expand replaces each {{ name }} by the value that vars has for the name. What has no value stays as it is, and values are
// not expanded again. White space inside the braces does not count.
func Expand(text string, vars map[string]string) string {
	var b strings.Builder
	done := 0
	for _, p := range placeholders(text) {
		if v, ok := vars[p.name]; ok && p.closed {
			b.WriteString(text[done:p.from])
			b.WriteString(v)
			done = p.to
		}
	}
	b.WriteString(text[done:])
	return b.String()
}

// placeholder is one {{ name }} of a text.
type placeholder struct {
	name     string
	from, to int // text[from:to] is all of it, braces included
	closed   bool
}

func placeholders(text string) []placeholder {
	var found []placeholder
	for at := 0; ; {
		i := strings.Index(text[at:], "{{")
		if i < 0 {
			return found
		}
		from := at + i
		inside, _, closed := strings.Cut(text[from+2:], "}}")
		if !closed {
			return append(found, placeholder{name: strings.TrimSpace(inside), from: from, to: len(text)})
		}
		at = from + 2 + len(inside) + 2
		found = append(found, placeholder{name: strings.TrimSpace(inside), from: from, to: at, closed: true})
	}
}

// template checks the placeholders of a text: they are closed and of the given names.
func (v value) template(s string, names ...string) {
	for _, p := range placeholders(s) {
		at := v.part(s, p.from, p.to)
		switch {
		case !p.closed:
			v.file.mistake(at, codeBraces, "close it with }}", "{{ without }} in "+v.name)
		case !contains(names, p.name):
			hint := v.file.lint.didYouMean(p.name, names)
			if hint == "" {
				hint = "known here: " + strings.Join(names, ", ")
			}
			v.file.mistake(at, codeBraces, hint, quote(p.name)+" has no value here")
		}
	}
}
