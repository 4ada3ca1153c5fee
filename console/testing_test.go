package console_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
)

var update = flag.Bool("update", false, "write the golden files anew")

// serve serves a monitor's API until the test ends.
func serve(t *testing.T, m console.Monitor) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(console.NewServer(m, zerolog.New(zerolog.NewTestWriter(t))))
	t.Cleanup(server.Close)
	return server
}

// client is a client of servers for the length of a test.
func client(t *testing.T, servers ...string) *console.Client {
	t.Helper()
	c := console.NewClient(servers, console.ClientOptions{User: "ada"})
	t.Cleanup(c.Close)
	return c
}

// golden compares an answer with its golden file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

// fetch sends a request and returns the status and the indented body.
func fetch(t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Holter-User", "ada")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, url, response.StatusCode, text, err)
	}
	return response.StatusCode, indented.Bytes()
}
