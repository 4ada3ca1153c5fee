package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
)

// FuzzAPI looks for a request that brings the API down, is answered with something else than JSON, or changes something although it
// was refused, or only asked.
func FuzzAPI(f *testing.F) {
	apply, err := json.Marshal(console.ApplyRequest{Files: []console.File{{Name: "inventory.yaml", Text: consoletest.Inventory}, {Name: "plan.yaml", Text: consoletest.Plan}}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][3]string{
		{"/v1/apply", "", string(apply)},
		{"/v1/apply", "", `{"files":[{"name":"x","text":"a: &a [*a]"}],"if_match":7}`},
		{"/v1/runs", "", `{"kind":"start","workloads":["db","mail"],"with":true,"reason":"why"}`},
		{"/v1/runs", "", `{"kind":"plan","plan":"restart-elsewhere","hosts":["ams-1"]}`},
		{"/v1/runs", "", `{"kind":"stop","all":true}{}`},
		{"/v1/runs/R-0001/abort", "", `{}`},
		{"/v1/runs/R-0001/retry", "", `{"step":"start/db"}`},
		{"/v1/plans/restart-elsewhere/arm", "", `{"reason":"drill"}`},
		{"/v1/hosts/ams-1/confirm", "", `{"reason":"seen it","host_epoch":7}`},
		{"/v1/hosts/ams-1/release", "", `{}`},
		{"/v1/silences/ams-1", "", `{"reason":"work","forMs":60000}`},
		{"/v1/silences/ams-1/end", "", `{}`},
		{"/v1/hosts", "stale=1", ""},
		{"/v1/hosts/ams-1", "", ""},
		{"/v1/runs/R-0001", "stale=0&stale=1", ""},
		{"/v1/events", "after=3&limit=10", ""},
		{"/v1/events", "after=-1&limit=99999999999999999999", ""},
		{"/v1/workloads/db", "", ""},
		{"/v2/../v1/status", "%zz", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, path, query, body string) {
		if values, _ := url.ParseQuery(query); slices.Contains(values["follow"], "1") {
			return // it is answered for as long as the client wants
		}
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		m := consoletest.Installed()
		before := withoutCount(t, m.Look().State)
		request := (&http.Request{
			Method: method, URL: &url.URL{Path: "/" + strings.TrimLeft(path, "/"), RawQuery: query}, Host: "127.0.0.1", RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody,
		}).WithContext(context.WithoutCancel(t.Context()))
		if body != "" {
			request.Body = readCloser{strings.NewReader(body)}
		}
		answer := httptest.NewRecorder()
		newServer(m).ServeHTTP(answer, request)
		if answer.Code >= 300 && answer.Code < 400 {
			return // to the clean path
		}
		if !json.Valid(answer.Body.Bytes()) || answer.Code == http.StatusInternalServerError {
			t.Errorf("%s %s?%s %q: %d %s", method, path, query, body, answer.Code, answer.Body)
		}
		changed := !bytes.Equal(before, withoutCount(t, m.Look().State))
		if changed && (method == http.MethodGet || answer.Code != http.StatusOK) {
			t.Errorf("%s %s?%s %q: answered %d, and something was changed", method, path, query, body, answer.Code)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func newServer(m console.Monitor) http.Handler { return console.NewServer(m, zerolog.Nop()) }

// withoutCount is a state without what a refused entry leaves.
func withoutCount(t *testing.T, s *planner.State) []byte {
	t.Helper()
	bare := *s
	bare.Index, bare.Refused, bare.At, bare.Chain = 0, 0, time.Time{}, ""
	var b bytes.Buffer
	if err := bare.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
