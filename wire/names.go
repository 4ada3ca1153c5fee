package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// checkNames refuses a message with a field that is there twice, in which two decoders could read two values, and one with a
// field of the message itself that encoding/json would take for another for want of a difference but upper case. The message
// must be valid JSON.
func checkNames(b []byte) error {
	type object struct {
		names map[string]bool
		list  bool
		value bool // of an object: the next token is a value
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var open []object
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		top := len(open) - 1
		if top >= 0 && !open[top].list && !open[top].value && token != json.Delim('}') {
			name := token.(string) // JSON allows nothing else
			if open[top].names[name] {
				return fmt.Errorf("the field %q is there twice", name)
			}
			if top == 0 && !plain(name) {
				return fmt.Errorf("%q is no name of a field", name)
			}
			open[top].names[name], open[top].value = true, true
			continue
		}
		if top >= 0 {
			open[top].value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, object{list: true})
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
		}
		if len(open) == 0 {
			return nil
		}
	}
}

// plain says that a name is of a–z, 0–9 and _.
func plain(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
