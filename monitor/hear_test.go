package monitor

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// TestNobodySpeaksForAnother sends each kind of message on the subject of its host or monitor and on that of another: the bus
// holds an agent to its own subjects, and the monitor to what is in the message.
func TestNobodySpeaksForAnother(t *testing.T) {
	heartbeat := wire.AppendBeat(nil, &wire.Beat{Host: []byte("east-1"), Inc: 1, Seq: 1})
	for name, test := range map[string]struct {
		subject func(string) string
		data    []byte
		all     string
	}{
		"beat": {wire.BeatSubject, heartbeat, wire.AllBeats()},
		"join": {wire.JoinSubject, encode(t, wire.Join{V: wire.Version, Host: "east-1"}), wire.AllJoins()},
		"status": {
			wire.StatusSubject, encode(t, wire.Status{V: wire.Version, Host: "east-1"}), wire.AllStatuses(),
		},
		"clock": {wire.ClockSubject, encode(t, wire.Clock{V: wire.Version, Host: "east-1"}), wire.AllClocks()},
		"result": {
			wire.ResultSubject, encode(t, wire.Result{V: wire.Version, Host: "east-1", Outcome: wire.Done}), wire.AllResults(),
		},
		"renew":  {wire.RenewSubject, encode(t, wire.Renew{V: wire.Version, Host: "east-1"}), wire.AllRenews()},
		"view":   {wire.ViewSubject, encode(t, wire.View{V: wire.Version, Monitor: "east-1"}), wire.AllViews()},
		"report": {wire.ReportSubject, encode(t, wire.Report{V: wire.Version, Monitor: "east-1", Host: "x"}), wire.AllReports()},
		"fenced": {
			wire.FencedSubject, encode(t, wire.Fenced{V: wire.Version, Monitor: "east-1", Outcome: wire.Done}), wire.AllFenced(),
		},
		"readindex": {wire.ReadIndexSubject, encode(t, wire.ReadIndex{V: wire.Version, Monitor: "east-1"}), wire.AllReadIndexes()},
	} {
		var log bytes.Buffer
		m := &Monitor{
			opts: Options{Logger: zerolog.New(&log)}, beats: make(chan beat, 1), mail: make(chan func(planner.Now), 1),
		}
		hear := m.handlers()[test.all]
		hear(test.subject("east-2"), test.data)
		if len(m.beats)+len(m.mail) != 0 || m.dropped.Load() != 1 {
			t.Errorf("%s: a message in another's name was taken", name)
		}
		if line := log.String(); !strings.Contains(line, `"warn"`) || !strings.Contains(line, test.subject("east-2")) || !strings.Contains(line, `"name":"east-1"`) {
			t.Errorf("%s: the log says %q, want who spoke for whom", name, line)
		}
		hear(test.subject("east-1"), test.data)
		if len(m.beats)+len(m.mail) != 1 {
			t.Errorf("%s: a message in its own name was dropped: %s", name, log.String())
		}
	}
}

func encode[M wire.Message, P wire.Fields[M]](t *testing.T, m M) []byte {
	t.Helper()
	data, err := wire.Marshal[M, P](m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
