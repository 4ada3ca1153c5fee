package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// TestSafetyScreens: what an operator sees of leases, fencing and evidence.
func TestSafetyScreens(t *testing.T) {
	fencing, failed, expired, mass := consoletest.Lost(), consoletest.Lost(), consoletest.Lost(), consoletest.Guarded()
	moved := consoletest.Moved()
	fencing.Fence("ams-1", "", "")
	failed.Fence("ams-1", wire.Failed, "10.0.0.9 does not answer")
	expired.Expire("ams-1", planner.LeaseExpired)
	mass.Lose("ams-1")
	mass.Lose("ams-2")
	for name, test := range map[string]struct {
		m    *consoletest.Monitor
		line string
	}{
		"safe-status":       {consoletest.Guarded(), "status"},
		"safe-hosts":        {consoletest.Guarded(), "hosts"},
		"safe-host":         {consoletest.Guarded(), "hosts ams-1"},
		"fencing-status":    {fencing, "status"},
		"fencing-hosts":     {fencing, "hosts"},
		"fencing-host":      {fencing, "hosts ams-1"},
		"fence-failed":      {failed, "status"},
		"fence-failed-host": {failed, "hosts ams-1"},
		"expired-status":    {expired, "status"},
		"expired-hosts":     {expired, "hosts"},
		"moved-status":      {moved, "status"},
		"moved-host":        {moved, "hosts ams-1"},
		"moved-workload":    {moved, "workloads db"},
		"moved-run":         {moved, "runs R-0002"},
		"moved-events":      {moved, "events --limit 8"},
		"mass-loss":         {mass, "status"},
		"silent-status":     {consoletest.Silent(), "status"},
		"silent-hosts":      {consoletest.Silent(), "hosts"},
		"silent-host":       {consoletest.Silent(), "hosts ams-1"},
		"troubled-status":   {consoletest.Troubled(), "status"},
		"troubled-hosts":    {consoletest.Troubled(), "hosts"},
		"troubled-workload": {consoletest.Troubled(), "workloads api"},
		"quarantined-host":  {consoletest.Troubled(), "hosts fra-1"},
		"twin-host":         {consoletest.Troubled(), "hosts ams-1"},
		"unguarded-hosts":   {consoletest.Troubled(), "hosts ams-2"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(console.NewServer(test.m, zerolog.Nop()))
			defer server.Close()
			a, out, talk := terminal(server.URL, "")
			code := a.execute(t.Context(), strings.Fields(test.line))
			screen(t, name, fmt.Sprintf("$ holter %s\n%s--- stderr\n%s--- exit %d\n", test.line, out, talk, code))
		})
	}
}

// talker is a terminal's talk that a test reads while it is written.
type talker struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *talker) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *talker) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(scriptTimeout)
	for !holds() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s: not within %s", what, scriptTimeout)
		}
	}
}

// TestBlockedRunIsTold: whoever follows a run is told once what it waits for, and what to type, as soon as it does.
func TestBlockedRunIsTold(t *testing.T) {
	m := consoletest.Installed()
	server := httptest.NewServer(console.NewServer(m, zerolog.Nop()))
	t.Cleanup(server.Close) // after the context of the follower has ended
	a, _, _ := terminal(server.URL, "")
	talk := &talker{}
	a.talk = talk
	code := make(chan console.Exit, 1)
	go func() { code <- a.execute(t.Context(), []string{"start", "mail"}) }()
	await(t, "the run", func() bool { return m.Look().State.LastRun == 1 })
	m.Step(1, "start/mail", "ams-2", wire.Failed)
	const want = "R-0001 is paused and fails by itself at 2026-11-22 13:00:11Z, unless you decide:\n" +
		"  start/mail: failed: exit status 1 (holter run retry|skip R-0001 start/mail)\n" +
		"  or end it: holter run abort R-0001 --reason …\n"
	await(t, "the hint", func() bool { return strings.HasSuffix(talk.String(), want) })
	again := &watcher{a: a, client: a.client(), run: "R-0001"}
	defer again.client.Close()
	before := len(talk.String())
	again.tellBlocked(t.Context())
	once := talk.String()[before:]
	again.tellBlocked(t.Context())
	if got := talk.String()[before:]; once != want || got != once {
		t.Errorf("told\n%s\nand asked again\n%s\nwant once\n%s", once, got, want)
	}
	m.Must(planner.StepRetried{Run: 1, Step: "start/mail"})
	m.Step(1, "start/mail", "ams-2", wire.Done)
	m.Must(planner.RunEnded{Run: 1, Outcome: planner.RunSucceeded})
	if got := <-code; got != console.ExitOK {
		t.Errorf("exit %d, want 0", got)
	}
}

// TestFenceAtTerminal: no power is taken away before the host's name is typed; then the run is followed, with what becomes of
// the host.
func TestFenceAtTerminal(t *testing.T) {
	m := consoletest.Guarded()
	server := httptest.NewServer(console.NewServer(m, zerolog.Nop()))
	t.Cleanup(server.Close) // after the context of the follower has ended
	fence := []string{"fence", "ams-1", "--reason", "it hangs"}
	for _, typed := range []string{"yes\n", "ams-2\n", ""} {
		a, _, talk := terminal(server.URL, typed)
		if code := a.execute(t.Context(), fence); code != console.ExitForbidden {
			t.Errorf("%q typed: exit %d, want 6; said\n%s", typed, code, talk)
		}
		if n := m.Look().State.LastRun; n != 1 {
			t.Fatalf("%q typed: run %d was started", typed, n)
		}
	}
	a, _, _ := terminal(server.URL, "ams-1\n")
	out, talk := &talker{}, &talker{}
	a.raw, a.out, a.talk = out, out, talk
	code := make(chan console.Exit, 1)
	go func() { code <- a.execute(t.Context(), fence) }()
	await(t, "the run", func() bool { return m.Look().State.LastRun == 2 })
	m.SeeOff(2, "ams-1")
	if got := <-code; got != console.ExitOK {
		t.Errorf("exit %d, want 0; said\n%s", got, talk)
	}
	screen(t, "fence", talk.String()+strings.ReplaceAll(out.String(), "local:ada", "ada"))
}
