package plans

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

func contains(words []string, word string) bool { return slices.Contains(words, word) }

// table is a mapping: its entries in the order of the file, each key once.
type table struct {
	value
	entries []value // nil after a mistake; else not nil
	strange bool    // it had fields that nobody knows or that come later, or keys that are no words
}

// open reads a mapping, whatever its keys are.
func (v value) open() table {
	t := table{value: v}
	if !v.is(yaml.MappingNode, "a mapping", "") {
		return t
	}
	t.entries = make([]value, 0, len(v.node.Content)/2)
	seen := make(map[string]int)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		entry := value{file: v.file, key: v.node.Content[i], node: v.node.Content[i+1]}
		if !entry.keyed() {
			t.strange = true
			continue
		}
		entry.name = entry.key.Value
		if line, twice := seen[entry.name]; twice {
			entry.onKey(codeTwice, "the first one is in line "+strconv.Itoa(line), "%s is given twice", quote(entry.name))
			continue
		}
		seen[entry.name] = entry.key.Line
		t.entries = append(t.entries, entry)
	}
	return t
}

// keyed says whether the key of an entry is a text, and notes a mistake if not.
func (v value) keyed() bool {
	if v.key.Kind == yaml.AliasNode || v.key.Tag == "!!merge" {
		return false // noted by inspect
	}
	if v.key.Kind == yaml.ScalarNode && v.key.Tag == "!!str" {
		return true
	}
	hint := ""
	if v.key.Kind == yaml.ScalarNode && v.key.Value != "" {
		hint = "write " + quote(v.key.Value)
	}
	v.onKey(codeType, hint, "a key must be text, not %s", describe(v.key))
	return false
}

// shape is what a mapping may hold.
type shape struct {
	fields []string
	later  []string // of the language, but not of this version
}

// table reads a mapping whose fields are known.
func (v value) table(s shape) table {
	t := v.open()
	t.known(s)
	return t
}

// known notes the fields that are not of the shape.
func (t *table) known(s shape) {
	for _, v := range t.entries {
		switch {
		case contains(s.fields, v.name):
		case contains(s.later, v.name):
			t.strange = true
			v.onKey(codeLater, "leave it out", "%s is not available in this version", quote(v.name))
		default:
			t.strange = true
			hint := v.file.lint.didYouMean(v.name, s.fields)
			if hint == "" && len(s.fields) == 0 {
				hint = "leave it out"
			} else if hint == "" {
				hint = "known here: " + strings.Join(s.fields, ", ")
			}
			v.onKey(codeUnknown, hint, "unknown field %s", quote(v.name))
		}
	}
}

// opt hands a field over if it is there, and says whether it is.
func (t table) opt(name string, read func(value)) bool {
	for _, v := range t.entries {
		if v.name == name {
			read(v)
			return true
		}
	}
	return false
}

// need hands a field over, or notes that it is missing.
func (t table) need(name string, read func(value)) {
	if t.entries == nil || t.opt(name, read) {
		return
	}
	at := t.value
	if at.key != nil {
		at.onKey(codeMissing, "add "+name+":", "%s is missing in %s", quote(name), at.name)
		return
	}
	t.file.mistake(spot{line: at.node.Line, col: at.node.Column, width: 1}, codeMissing, "add "+name+":", quote(name)+" is missing in "+at.name)
}

// has says whether a field is given.
func (t table) has(name string) bool {
	return t.opt(name, func(value) {})
}
