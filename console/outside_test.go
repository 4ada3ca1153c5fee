package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
)

// TestStreamByAccept: a client that takes a stream of events, as a browser's EventSource says, gets one, from the event after
// the one it had last; others get a list.
func TestStreamByAccept(t *testing.T) {
	for accept, want := range map[string]string{
		"text/event-stream":                   "text/event-stream",
		"text/event-stream, */*;q=0.5":        "text/event-stream",
		"application/json":                    "application/json",
		"*/*":                                 "application/json",
		"":                                    "application/json",
		"application/json, text/event-stream": "application/json",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
		request.Header.Set("Accept", accept)
		request.Header.Set("Last-Event-ID", "17")
		recorder := httptest.NewRecorder()
		cancel() // a stream ends once it has said what there is
		console.NewServer(consoletest.Shop(), zerolog.Nop()).ServeHTTP(recorder, request)
		if got := recorder.Header().Get("Content-Type"); got != want {
			t.Errorf("Accept %q: got %s, want %s", accept, got, want)
		}
		if got := recorder.Body.String(); want == "text/event-stream" && !strings.HasPrefix(got, "id: 18\nevent: event\ndata: {") {
			t.Errorf("Accept %q: got %.60q", accept, got)
		}
	}
}

// TestWordsAreWhatScreensSay: the words for programs are those of the lists.
func TestWordsAreWhatScreensSay(t *testing.T) {
	for _, m := range []*consoletest.Monitor{
		consoletest.Installed(), consoletest.Lost(), consoletest.Moved(), consoletest.Silent(), consoletest.Troubled(),
	} {
		look, c := m.Look(), client(t, serve(t, m).URL)
		hosts, err := c.Hosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range hosts.Items {
			host, _ := look.State.Hosts.Get(item.Name)
			got := console.WordOfHost(look, item.Name, host)
			if got != item.Word || !slices.Contains(console.HostWords(), got) {
				t.Errorf("host %s: got %s, want %s", item.Name, got, item.Word)
			}
		}
		workloads, err := c.Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range workloads.Items {
			w, _ := look.State.Workloads.Get(item.Name)
			got, _ := console.WordOfWorkload(look, item.Name, w)
			if got != item.Word || !slices.Contains(console.WorkloadWords(), got) {
				t.Errorf("workload %s: got %s, want %s", item.Name, got, item.Word)
			}
		}
	}
}
