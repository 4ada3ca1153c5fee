package console_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
)

// TestAnswers holds the API to its contract: nothing is removed from these answers within v1, and no list is null.
func TestAnswers(t *testing.T) {
	server := serve(t, consoletest.Shop())
	for name, path := range map[string]string{
		"status.json":    "/v1/status",
		"hosts.json":     "/v1/hosts",
		"host.json":      "/v1/hosts/ams-1",
		"workloads.json": "/v1/workloads",
		"workload.json":  "/v1/workloads/db",
		"plans.json":     "/v1/plans",
		"plan.json":      "/v1/plans/restart-elsewhere",
		"runs.json":      "/v1/runs",
		"run.json":       "/v1/runs/R-0002",
		"events.json":    "/v1/events",
	} {
		t.Run(name, func(t *testing.T) {
			status, got := fetch(t, http.MethodGet, server.URL+path, "")
			if status != http.StatusOK {
				t.Errorf("GET %s = %d, want 200", path, status)
			}
			golden(t, name, got)
			if bytes.Contains(got, []byte("null")) {
				t.Errorf("GET %s holds a null:\n%s", path, got)
			}
		})
	}
}

// TestEventsHoldNoNull: whatever an event's maker left out is left out of its detail.
func TestEventsHoldNoNull(t *testing.T) {
	m := consoletest.Installed()
	m.Must(planner.HostJoined{Host: "ams-1", Boot: "b00t", Inc: 9})
	_, got := fetch(t, http.MethodGet, serve(t, m).URL+"/v1/events?limit=1", "")
	if bytes.Contains(got, []byte("null")) || !bytes.Contains(got, []byte(`"inc": 9`)) {
		t.Errorf("the newest event is\n%s", got)
	}
}
