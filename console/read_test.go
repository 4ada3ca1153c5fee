package console_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/wire"
)

// TestAnswers holds the API to its contract: nothing is removed from these answers within v1, and no list is null.
func TestAnswers(t *testing.T) {
	failed := consoletest.Lost()
	failed.Fence("ams-1", wire.Failed, "no answer from 10.0.0.9")
	shop, guarded, fenced := serve(t, consoletest.Shop()).URL, serve(t, failed).URL, serve(t, consoletest.Moved()).URL
	silent, troubled := serve(t, consoletest.Silent()).URL, serve(t, consoletest.Troubled()).URL
	for name, url := range map[string]string{
		"status.json":    shop + "/v1/status",
		"hosts.json":     shop + "/v1/hosts",
		"host.json":      shop + "/v1/hosts/ams-1",
		"workloads.json": shop + "/v1/workloads",
		"workload.json":  shop + "/v1/workloads/db",
		"plans.json":     shop + "/v1/plans",
		"plan.json":      shop + "/v1/plans/restart-elsewhere",
		"runs.json":      shop + "/v1/runs",
		"run.json":       shop + "/v1/runs/R-0002",
		"events.json":    shop + "/v1/events",
		// The same of a cluster with leases and fence devices.
		"safe-status.json":       guarded + "/v1/status",
		"safe-hosts.json":        guarded + "/v1/hosts",
		"silent-status.json":     silent + "/v1/status",
		"silent-host.json":       silent + "/v1/hosts/ams-1",
		"troubled-status.json":   troubled + "/v1/status",
		"troubled-hosts.json":    troubled + "/v1/hosts",
		"troubled-workload.json": troubled + "/v1/workloads/api",
		"moved-run.json":         fenced + "/v1/runs/R-0002",
		"moved-workload.json":    fenced + "/v1/workloads/db",
		"moved-events.json":      fenced + "/v1/events?limit=8",
	} {
		t.Run(name, func(t *testing.T) {
			status, got := fetch(t, http.MethodGet, url, "")
			if status != http.StatusOK {
				t.Errorf("GET %s = %d, want 200", url, status)
			}
			golden(t, name, got)
			if bytes.Contains(got, []byte("null")) {
				t.Errorf("GET %s holds a null:\n%s", url, got)
			}
		})
	}
}

// TestEventsHoldNoNull: whatever an event's maker left out is left out of its detail.
func TestEventsHoldNoNull(t *testing.T) {
	m := consoletest.Installed()
	nonce := m.Must(planner.JoinOffered{Host: "ams-1", Inc: 9})
	m.Must(planner.HostJoined{Host: "ams-1", Boot: "b00t", Inc: 9, Nonce: nonce, Former: 1, Last: m.Host("ams-1").Epoch})
	_, got := fetch(t, http.MethodGet, serve(t, m).URL+"/v1/events?limit=1", "")
	if bytes.Contains(got, []byte("null")) || !bytes.Contains(got, []byte(`"inc": 9`)) {
		t.Errorf("the newest event is\n%s", got)
	}
}
