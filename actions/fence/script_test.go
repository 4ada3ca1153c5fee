package fence_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holter-ha/holter/actions/fence"
)

// timeout is that of devices which are expected to answer.
const timeout = 20 * time.Second

// script is an agent of a test's own: what it does in shell when it is told to switch off, and when it is asked. In these $D is
// a directory of the agent's own, switch_off does it, and say_status answers.
type script struct {
	off        string // default: switch_off
	status     string // default: say_status
	monitor    string
	parameters string // XML, beside action and password
	actions    string // XML; default: off, status, monitor
}

const agentText = `#!/bin/sh
D=%s
if [ "$1" = -o ]; then
	echo metadata >>$D/asked
	cat $D/metadata
	exit
fi
while read -r line; do
	echo "$line" >>$D/input
	case $line in action=*) action=${line#action=} ;; esac
done
echo "%s $action" >>$D/../calls
switch_off() { echo off >$D/power; }
say_status() {
	if [ "$(cat $D/power)" = off ]; then echo Status: OFF; exit 2; fi
	echo Status: ON
	exit 0
}
case $action in
off) %s ;;
status) %s ;;
monitor) %s ;;
esac
`

const metadataText = `<?xml version="1.0" ?>
<resource-agent name="x" shortdesc="an agent of a test" >
<parameters>
	<parameter name="action" unique="0" required="1"><content type="string" default="reboot" /></parameter>
	<parameter name="password" unique="0" required="0"><content type="string" /></parameter>
	%s
</parameters>
<actions>%s</actions>
</resource-agent>
`

// bed is a directory of scripted agents.
type bed struct {
	t      *testing.T
	dir    string
	runner *fence.Runner
}

func newBed(t *testing.T) *bed {
	dir := t.TempDir()
	return &bed{t: t, dir: dir, runner: fence.New(fence.Options{Dirs: []string{dir}, Pause: 10 * time.Millisecond, Settle: 30 * time.Millisecond})}
}

// device writes an agent and returns a device that it serves, which is on.
func (b *bed) device(name string, s script) fence.Device {
	b.t.Helper()
	for text, otherwise := range map[*string]string{
		&s.off: "switch_off", &s.status: "say_status", &s.monitor: "exit 0",
		&s.actions: `<action name="off" /><action name="status" /><action name="monitor" />`,
	} {
		if *text == "" {
			*text = otherwise
		}
	}
	own := filepath.Join(b.dir, name)
	if err := os.Mkdir(own, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.write(name+"/power", "on\n", 0o644)
	b.write(name+"/metadata", fmt.Sprintf(metadataText, s.parameters, s.actions), 0o644)
	b.write("fence_"+name, fmt.Sprintf(agentText, own, name, s.off, s.status, s.monitor), 0o755)
	return fence.Device{Name: name, Agent: "fence_" + name, Timeout: timeout, Attempts: 1}
}

func (b *bed) write(name, text string, mode os.FileMode) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// read returns the lines of a file; none if it is not there.
func (b *bed) read(name string) []string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return slices.Collect(strings.FieldsFuncSeq(string(text), func(c rune) bool { return c == '\n' }))
}

// wantCalls checks what the agents were told, in order.
func (b *bed) wantCalls(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.read("calls"), cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("calls of agents (-want +got):\n%s", diff)
	}
}

// off fences the host and returns the report with what is not the same each time left out.
func (b *bed) off(may func() error, levels ...fence.Level) (fence.Report, error) {
	b.t.Helper()
	rep, err := b.runner.Off(b.t.Context(), "db-1", levels, may)
	if rep.Took <= 0 || rep.Host != "db-1" || rep.Off != (err == nil) {
		b.t.Errorf("report: took %v, host %s, off %t with the error %v", rep.Took, rep.Host, rep.Off, err)
	}
	return rep, err
}

func level(devices ...fence.Device) fence.Level { return fence.Level{Devices: devices} }

func allowed() error { return nil }

// outcomes shortens a report to lines: level, device, attempt, outcome.
func outcomes(rep fence.Report) []string {
	var all []string
	for _, a := range rep.Attempts {
		all = append(all, fmt.Sprintf("%d %s %d %s", a.Level, a.Device, a.Number, a.Outcome))
	}
	return all
}

func wantOutcomes(t *testing.T, rep fence.Report, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(rep), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s\nof %+v", diff, rep.Attempts)
	}
}
