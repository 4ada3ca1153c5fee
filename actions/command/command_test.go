package command

import (
	"strings"
	"testing"
)

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := New(Options{Commands: map[string]Command{
		"../up":  {Run: []string{"/bin/true"}},
		"both":   {Run: []string{"/bin/true"}, Exec: []string{"/bin/true"}},
		"half":   {Start: []string{"/bin/true"}, Stop: []string{"/bin/true"}},
		"none":   {},
		"path":   {Exec: []string{"true"}},
		"repeat": {Run: []string{"/bin/true"}, Idempotent: true},
		"right":  {Start: []string{"/a"}, Stop: []string{"/b"}, Status: []string{"/c"}},
	}})
	want := []string{
		`commands need a state directory`,
		`command "../up": a name is letters, digits and . _ @ -, at most 64`,
		`command both: give one of: run; exec; start, stop and status`,
		`command half: start, stop and status are given together or not at all`,
		`command none: give one of: run; exec; start, stop and status`,
		`command path: exec: "true" is not an absolute path`,
		`command repeat: idempotent goes with exec only`,
	}
	if err == nil || !strings.HasPrefix(err.Error()+"\n", strings.Join(want, "\n")+"\n") {
		t.Errorf("got:\n%v\nwant:\n%s", err, strings.Join(want, "\n"))
	}
}
