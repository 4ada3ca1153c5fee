package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// terminal is an app at a terminal where a person types.
func terminal(server, typed string) (a *app, out, talk *bytes.Buffer) {
	out, talk = &bytes.Buffer{}, &bytes.Buffer{}
	env := map[string]string{"HOLTER_SERVER": server, "LANG": "C.UTF-8"}
	return &app{
		in: strings.NewReader(typed), raw: out, out: out, talk: talk, inTTY: true, user: "ada",
		env: func(name string) string { return env[name] },
		now: func() time.Time { return time.Date(2026, 11, 22, 12, 1, 0, 0, time.UTC) },
	}, out, talk
}

func TestScreens(t *testing.T) {
	server := httptest.NewServer(console.NewServer(consoletest.Shop(), zerolog.Nop()))
	defer server.Close()
	for name, line := range map[string]string{
		"status":       "status",
		"status-ascii": "status --ascii",
		"status-color": "status --color always",
		"hosts":        "hosts",
		"host":         "hosts ams-1",
		"workloads":    "workloads",
		"workload":     "workloads db",
		"runs":         "runs",
		"run":          "runs R-0002",
		"events":       "events",
		"events-after": "events --after 15 --limit 2",
		"plans":        "plan list",
		"names":        "hosts -o name",
	} {
		t.Run(name, func(t *testing.T) {
			a, out, talk := terminal(server.URL, "")
			code := a.execute(t.Context(), strings.Fields(line))
			screen(t, name, fmt.Sprintf("$ holter %s\n%s--- stderr\n%s--- exit %d\n", line, out, talk, code))
		})
	}
}

// screen compares a screen with its golden file.
func screen(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "screens", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("screen %s (-want +got):\n%s", name, diff)
	}
}

// TestConfirmAtTerminal: nothing is confirmed before the host's name is typed.
func TestConfirmAtTerminal(t *testing.T) {
	m := consoletest.Shop()
	server := httptest.NewServer(console.NewServer(m, zerolog.Nop()))
	defer server.Close()
	confirm := []string{"fence", "confirm", "ams-1", "--reason", "unplugged"}
	for _, typed := range []string{"yes\n", ""} {
		a, _, talk := terminal(server.URL, typed)
		if code := a.execute(t.Context(), confirm); code != console.ExitForbidden {
			t.Errorf("%q typed: exit %d, want 6; said\n%s", typed, code, talk)
		}
		if host := m.Host("ams-1"); host.Evidence != nil {
			t.Fatalf("%q typed: confirmed", typed)
		}
	}
	a, out, talk := terminal(server.URL, "ams-1\n")
	if code := a.execute(t.Context(), confirm); code != console.ExitOK {
		t.Errorf("the name typed: exit %d, want 0; said\n%s", code, talk)
	}
	if host := m.Host("ams-1"); host.Evidence == nil || host.Evidence.Reason != "unplugged" {
		t.Errorf("the name typed: evidence %+v", host.Evidence)
	}
	screen(t, "confirm", talk.String()+out.String())
}

// hangUp is a writer that cancels when it is written to, as a person does who has seen enough.
type hangUp struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (h *hangUp) Write(p []byte) (int, error) {
	h.cancel()
	return h.Buffer.Write(p)
}

// TestInterrupted: Ctrl-C while following is 130 and says how to go on.
func TestInterrupted(t *testing.T) {
	for line, want := range map[string]string{
		"events --follow":  "go on later: holter events --follow --after 18\n",
		"run watch R-0002": "R-0002 goes on; follow it: holter run watch R-0002\n",
		"start mail":       "R-0003 goes on; follow it: holter run watch R-0003\n",
	} {
		t.Run(line, func(t *testing.T) {
			server := httptest.NewServer(console.NewServer(consoletest.Shop(), zerolog.Nop()))
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a, _, talk := terminal(server.URL, "")
			out := &hangUp{cancel: cancel}
			a.raw, a.out = out, out
			if code := a.execute(ctx, strings.Fields(line)); code != console.ExitInterrupt {
				t.Errorf("exit %d, want 130; said\n%s", code, talk)
			}
			if !strings.HasSuffix(talk.String(), want) {
				t.Errorf("said\n%s\nwant at the end\n%s", talk, want)
			}
		})
	}
}

// TestStill: while nothing changes the watcher names the cause and the deadline.
func TestStill(t *testing.T) {
	m := consoletest.Shop()
	server := httptest.NewServer(console.NewServer(m, zerolog.Nop()))
	defer server.Close()
	a, out, _ := terminal(server.URL, "")
	a.flags.output, a.flags.timeout = outTable, time.Minute
	client := a.client()
	defer client.Close()
	w := &watcher{a: a, client: client, run: "R-0002", total: 2, quietFor: stillEvery}
	if _, err := w.tellStill(t.Context()); err != nil {
		t.Error(err)
	}
	m.Change(nil, func(look *console.Look) { look.Leading, look.Leader = false, "" })
	if _, err := w.tellStill(t.Context()); err == nil {
		t.Error("no error without quorum")
	}
	screen(t, "still", out.String())
}
