package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
)

// TestDoctorScreens: what the doctor says of a cluster in which all is well, of one with troubles, without a leader, and without
// any monitor; and how it ends.
func TestDoctorScreens(t *testing.T) {
	for name, c := range map[string]struct {
		cluster *consoletest.Monitor
		line    string
		exit    console.Exit
	}{
		"doctor":          {consoletest.Sound(), "doctor", console.ExitOK},
		"doctor-json":     {consoletest.Sound(), "doctor -o json", console.ExitOK},
		"doctor-troubled": {consoletest.Troubled(), "doctor", console.ExitUnwell},
		"doctor-lost":     {consoletest.Shop(), "doctor --ascii", console.ExitUnwell},
		"doctor-noleader": {leaderless(consoletest.Sound()), "doctor", console.ExitNoQuorum},
		"doctor-nobody":   {consoletest.Sound(), "doctor -s 127.0.0.1:1", console.ExitNoQuorum},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(console.NewServer(c.cluster, zerolog.Nop()))
			defer server.Close()
			a, out, talk := terminal(server.URL, "")
			now := c.cluster.Look().Now
			a.now = func() time.Time { return now }
			code := a.execute(t.Context(), strings.Fields(c.line))
			if code != c.exit {
				t.Errorf("exit %d, want %d", code, c.exit)
			}
			screen(t, name, fmt.Sprintf("$ holter %s\n%s--- stderr\n%s--- exit %d\n", c.line, out, talk, code))
		})
	}
}

func leaderless(m *consoletest.Monitor) *consoletest.Monitor {
	m.Change(nil, func(look *console.Look) { look.Leading, look.Leader, look.LeaderContact = false, "", time.Minute })
	return m
}
