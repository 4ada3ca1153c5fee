package planner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holter-ha/holter/wire"
)

// TestUnderstood: what is newer than the first version of the log is let in when all configured monitors say that they
// understand it, or when it has been before.
func TestUnderstood(t *testing.T) {
	type said struct {
		monitor string
		log     int
		ago     time.Duration
	}
	old := doorway(t)
	raised := through(t, old, UserSet{User: "ann"})
	for _, c := range []struct {
		name    string
		state   *State
		event   Event
		said    []said
		refused string // the monitor in question
	}{
		{"nobody says anything, version 1", old, PlanArmed{Plan: "elsewhere"}, nil, ""},
		{"nobody says anything, version 2", old, UserSet{User: "ann"}, nil, "m2"},
		{"one is older", old, UserSet{User: "ann"}, []said{{"m2", 2, 0}, {"m3", 1, 0}}, "m3"},
		{"one says nothing", old, UserSet{User: "ann"}, []said{{"m2", 2, 0}}, "m3"},
		{"one said so long ago", old, UserSet{User: "ann"}, []said{{"m2", 2, levelFresh + 1}, {"m3", 2, 0}}, "m2"},
		{"one is older again", old, UserSet{User: "ann"}, []said{{"m2", 2, 2 * time.Second}, {"m2", 1, time.Second}, {"m3", 2, 0}}, "m2"},
		{"somebody else says it", old, UserSet{User: "ann"}, []said{{"m2", 2, 0}, {"m4", 2, 0}}, "m3"},
		{"all say so", old, UserSet{User: "ann"}, []said{{"m2", 2, levelFresh}, {"m3", 3, 0}}, ""},
		{"a field of version 2", old, ClusterFormed{Cluster: "c", Admin: "ann"}, nil, "m2"},
		{"without the field", old, ClusterFormed{Cluster: "c"}, nil, ""},
		{"it was understood before", raised, HostBarred{Host: "h1"}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			view, now := NewView("m1", []string{"m1", "m2", "m3"}), time.Minute
			for _, s := range c.said {
				view.ObserveLevel(wire.Level{Monitor: s.monitor, Log: s.log}, Now{Watch: now - s.ago})
			}
			err := view.Understood(c.state, c.event, Now{Watch: now})
			refusal, refused := errors.AsType[*Refusal](err)
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refused != "" && !refused:
				t.Errorf("got %v, want a refusal because of %s", err, c.refused)
			case refused && (refusal.Code != CodeState || !strings.Contains(refusal.Message, "monitor "+c.refused+" ") || refusal.Hint == ""):
				t.Errorf("got %s: %s (%s), want %s because of %s and what to do", refusal.Code, refusal.Message, refusal.Hint, CodeState, c.refused)
			}
		})
	}
}

// TestStateOfAVersion: a state that holds nothing newer is written as the first version of the log was, for those who know no
// other; one that does, nobody reads who would drop it.
func TestStateOfAVersion(t *testing.T) {
	old := doorway(t)
	raised := through(t, old, UserSet{User: "ann"})
	var first struct {
		Index uint64 `json:"index"`
	}
	if err := json.NewDecoder(bytes.NewReader(encoded(t, old))).Decode(&first); err != nil || first.Index != old.Index {
		t.Errorf("got index %d (%v), want %d", first.Index, err, old.Index)
	}
	if err := json.NewDecoder(bytes.NewReader(encoded(t, raised))).Decode(&first); err == nil {
		t.Error("a program without users reads a state with them")
	}
	again, err := DecodeState(bytes.NewReader(encoded(t, raised)))
	if err != nil || again.Log != 2 || again.Users.Len() != 1 {
		t.Errorf("got %+v (%v), want the state of version 2 with its user", again, err)
	}
	body := strings.SplitAfterN(string(encoded(t, raised)), "\n", 2)[1]
	for name, c := range map[string]struct {
		text    string
		unknown bool
	}{
		"newer":                 {"\"holter state 3\"\n" + strings.Replace(body, `"log":2`, `"log":3`, 1), true},
		"newer, of other shape": {"\"holter state 3\"\n[]", true},
		"no header":             {body, false},
		"another header":        {"\"holter state 1\"\n" + body, false},
		"padded":                {"\"holter state 02\"\n" + body, false},
		"negative":              {"\"holter state -2\"\n" + body, false},
		"other words":           {"\"a text\"\n" + body, false},
		"no end of the line":    {"\"holter state 2\"" + strings.Repeat(" ", 1<<20), false},
		"two":                   {string(encoded(t, raised)) + body, false},
		"nothing":               {"", false},
	} {
		if _, err := DecodeState(strings.NewReader(c.text)); err == nil || errors.Is(err, ErrUnknownEvent) != c.unknown {
			t.Errorf("%s: error %v, want ErrUnknownEvent: %t", name, err, c.unknown)
		}
	}
}

// TestShape holds State and events to the fields that testdata/shape.txt lists, each with the version of the log that it came
// with. A monitor that does not know a field drops it, and its state is not the others' any more: so a new field needs a new
// LogVersion, unless the present one was in no release, and an event with it says so by level(). -update lists what is new.
func TestShape(t *testing.T) {
	path := filepath.Join("testdata", "shape.txt")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	since := map[string]int{}
	for line := range strings.Lines(string(text)) {
		version, field, _ := strings.Cut(strings.TrimSpace(line), " ")
		if since[field], err = strconv.Atoi(version); err != nil || since[field] > LogVersion {
			t.Errorf("%s: %q has no version, or one that is newer than LogVersion", path, line)
		}
	}
	got := map[string]bool{}
	shapeOf(reflect.TypeFor[State](), got)
	shapeOf(reflect.TypeFor[Entry](), got)
	for _, event := range events {
		shapeOf(reflect.TypeOf(event), got)
		got["event "+event.Name()] = true
		if line := "event " + event.Name(); since[line] != levels[event.Name()] && since[line] != 0 {
			t.Errorf("%s is registered for version %d of the log, and listed for %d", event.Name(), levels[event.Name()], since[line])
		}
	}
	for field := range since {
		if !got[field] {
			t.Errorf("%s is gone: what was written into a log must be read for ever", field)
		}
	}
	var lines []string
	for field := range got {
		if since[field] == 0 && !*update {
			t.Errorf("%s is new: does an older monitor lose something that matters? See the comment of this test", field)
		} else if since[field] == 0 {
			since[field] = LogVersion
		}
		lines = append(lines, fmt.Sprintf("%d %s\n", since[field], field))
	}
	slices.Sort(lines)
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shapeOf lists the fields of a type as they are stored, and of all types in it.
func shapeOf(of reflect.Type, into map[string]bool) {
	if get, isTable := of.MethodByName("Get"); isTable {
		shapeOf(get.Type.Out(0), into)
		return
	}
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		shapeOf(of.Elem(), into)
	case reflect.Struct:
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			line := fmt.Sprintf("%s %s %s", of, name, field.Type)
			if !field.IsExported() || name == "-" || into[line] {
				continue
			}
			into[line] = true
			shapeOf(field.Type, into)
		}
	default:
	}
}
