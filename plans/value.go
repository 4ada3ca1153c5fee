package plans

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// value is one value of a file with the word that messages call it by. Its methods read it as a type; what is not of that
// type becomes a mistake and reads as the zero value, so that the walk goes on.
type value struct {
	file *file
	name string     // the field's name, or the entry's
	key  *yaml.Node // nil for an entry of a list and for the document
	node *yaml.Node
}

// spot is where the value stands; where it is empty, where its key stands.
func (v value) spot() spot {
	if v.key != nil && v.node.Kind == yaml.ScalarNode && v.node.Value == "" && v.node.Style == 0 {
		return nodeSpot(v.key)
	}
	return nodeSpot(v.node)
}

// asKey is the value's key as a value, for mistakes about the name that it is.
func (v value) asKey() value { return value{file: v.file, name: v.name, node: v.key} }

// mistake notes a mistake about the value.
func (v value) mistake(code, hint, format string, args ...any) {
	v.file.mistake(v.spot(), code, hint, fmt.Sprintf(format, args...))
}

// onKey notes a mistake about the field rather than its value.
func (v value) onKey(code, hint, format string, args ...any) {
	v.file.mistake(nodeSpot(v.key), code, hint, fmt.Sprintf(format, args...))
}

// is says whether the value is of a kind of node, and notes a mistake if not. Aliases were refused before.
func (v value) is(kind yaml.Kind, want, hint string) bool {
	if v.node.Kind != kind && v.node.Kind != yaml.AliasNode {
		v.mistake(codeType, hint, "%s must be %s, not %s", v.name, want, describe(v.node))
	}
	return v.node.Kind == kind
}

// tag says whether the value is a scalar that YAML reads as the type of the tag, and notes a mistake if not.
func (v value) tag(tag, want, hint string) bool {
	if !v.is(yaml.ScalarNode, want, hint) {
		return false
	}
	if v.node.Tag != tag {
		v.mistake(codeType, hint, "%s must be %s, not %s", v.name, want, describe(v.node))
	}
	return v.node.Tag == tag
}

// isScalar says whether the value is a single text, number or truth value.
func (v value) isScalar() bool { return v.node.Kind == yaml.ScalarNode }

// isList says whether the value is a list.
func (v value) isList() bool { return v.node.Kind == yaml.SequenceNode }

// describe names what a node is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int":
		return "a number"
	case "!!float":
		return "a decimal number"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

// maxText is the length of the longest text that a field takes, in bytes.
const maxText = 1024

// line reads one line of text, which may be empty.
func (v value) line() string {
	hint := ""
	if v.isScalar() && v.node.Value != "" && v.node.Tag != "!!null" {
		hint = "write " + quote(v.node.Value)
	}
	if !v.tag("!!str", "text", hint) {
		return ""
	}
	s := v.node.Value
	if len(s) > maxText {
		v.mistake(codeBounds, "", "%s is longer than %d bytes", v.name, maxText)
		return ""
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		v.mistake(codeForm, "write it on one line, without control characters", "%s must be one line of text", v.name)
		return ""
	}
	return s
}

// text reads one line of text that is not empty.
func (v value) text() string {
	s := v.line()
	if s == "" && v.isScalar() && v.node.Tag == "!!str" && v.node.Value == "" {
		v.mistake(codeMissing, "", "%s is empty", v.name)
	}
	return s
}

// boolean reads true or false.
func (v value) boolean() bool {
	return v.tag("!!bool", "true or false", "write true or false") && strings.EqualFold(v.node.Value, "true")
}

// integer reads a whole number from 1 on into to, which stays as it is after a mistake.
func (v value) integer(to *int, most int) {
	if !v.tag("!!int", "a whole number", "") {
		return
	}
	n, err := strconv.Atoi(v.node.Value)
	if err != nil {
		v.mistake(codeType, "write it with decimal digits", "%s must be a whole number", v.name)
		return
	}
	if n < 1 || n > most {
		v.mistake(codeBounds, fmt.Sprintf("write 1 to %d", most), "%s is out of bounds", v.name)
		return
	}
	*to = n
}

// maxDuration is the longest duration that a field takes.
const maxDuration = 7 * 24 * time.Hour

// duration reads a duration of at least so much into to, which stays as it is after a mistake.
func (v value) duration(to *time.Duration, least time.Duration) {
	const example = "write for example 250ms, 90s, 2m or 1h30m"
	if !v.is(yaml.ScalarNode, "a duration", example) {
		return
	}
	s := v.node.Value
	switch v.node.Tag {
	case "!!int", "!!float":
		v.mistake(codeDuration, "write "+s+"s", "%s needs a unit", v.name)
		return
	case "!!str":
	default:
		v.mistake(codeType, example, "%s must be a duration, not %s", v.name, describe(v.node))
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		v.mistake(codeDuration, example, "%s must be a duration, not %s", v.name, quote(s))
	case d < least:
		v.mistake(codeBounds, "", "%s must be at least %s", v.name, short(least))
	case d > maxDuration:
		v.mistake(codeBounds, "", "%s must be at most %s", v.name, short(maxDuration))
	default:
		*to = d
	}
}

// short writes a duration without the zeros that its String ends in: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// entries reads a list.
func (v value) entries(hint string) []value {
	if !v.is(yaml.SequenceNode, "a list", hint) {
		return nil
	}
	entries := make([]value, 0, len(v.node.Content))
	for _, n := range v.node.Content {
		entries = append(entries, value{file: v.file, name: "an entry of " + v.name, node: n})
	}
	return entries
}

// choices are the values that a field takes, and those that it will take in a later version.
type choices struct {
	now, later []string
}

// choice reads one of the choices, and answers empty after a mistake.
func (v value) choice(c choices) string {
	s := v.text()
	switch {
	case s == "":
		return ""
	case contains(c.now, s):
		return s
	case contains(c.later, s):
		v.mistake(codeLater, "write "+alternatives(c.now), "%s %s is not available in this version", v.name, quote(s))
	default:
		v.mistake(codeChoice, "write "+alternatives(c.now), "%s cannot be %s", v.name, quote(s))
	}
	return ""
}

// alternatives writes "a, b or c".
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// part is the spot of a piece of the value's text: so many characters from its beginning.
func (v value) part(text string, from, to int) spot {
	at := v.spot()
	if v.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return at
	}
	at.col += utf8.RuneCountInString(text[:from])
	if v.node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		at.col++
	}
	at.width = utf8.RuneCountInString(text[from:to])
	return at
}
