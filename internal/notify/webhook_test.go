package notify

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
)

const secret = "0123456789abcdef0123456789abcdef"

// hook is a notifier's webhook for a real server, and what its channel logged.
type hook struct {
	*channel

	log    *bytes.Buffer
	config Webhook
}

func newHook(t *testing.T, config Webhook) hook {
	t.Helper()
	config.SecretFile = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(config.SecretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	send, err := newWebhook(config)
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	c := newChannel(Channel{Name: "ops", Webhook: &config}, send, zerolog.New(log))
	c.pause = time.Millisecond
	return hook{channel: c, log: log, config: config}
}

// tell delivers one event and says how the channel stands.
func (h hook) tell(t *testing.T, patience time.Duration) Stats {
	t.Helper()
	h.deliver(t.Context(), letter{message: event(7), until: time.Now().Add(patience), lead: make(chan struct{})})
	for _, hidden := range []string{secret, "hook-token"} {
		if strings.Contains(h.log.String(), hidden) {
			t.Errorf("the log holds %q:\n%s", hidden, h.log)
		}
	}
	return h.stats()
}

func event(index uint64) Message {
	return Message{
		APIVersion: console.APIVersion, Kind: "Event", Cluster: "shop", ClusterID: "c1a0", Monitor: "mon-1",
		Item: console.EventItem{EventLine: console.EventLine{Index: index, Name: "host.lost", Subject: "ams-1"}, Detail: json.RawMessage(`{"host":"ams-1"}`)},
	}
}

// TestWebhook: a receiver that fails three times and then takes the event gets the same event four times, signed anew each
// time, under one key.
func TestWebhook(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := Verify([]byte(secret), r.Header.Get(SignatureHeader), body, time.Now(), time.Minute); err != nil {
			t.Errorf("signature %q: %v", r.Header.Get(SignatureHeader), err)
		}
		var m Message
		if err := json.Unmarshal(body, &m); err != nil || m.Item.Name != "host.lost" || string(m.Item.Detail) != `{"host":"ams-1"}` {
			t.Errorf("body %s: %v", body, err)
		}
		if got := r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + r.Header.Get(KeyHeader); got != "POST /hook-token application/json c1a0-7" {
			t.Errorf("got %s", got)
		}
		if asked.Add(1) <= 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	h := newHook(t, Webhook{URL: server.URL + "/hook-token", CAFile: authority(t, server)})
	if got, want := h.tell(t, time.Minute), (Stats{Name: "ops", Sent: 1, Failed: 3}); got != want || asked.Load() != 4 {
		t.Errorf("stats %+v after %d requests, want %+v\n%s", got, asked.Load(), want, h.log)
	}
}

// authority writes down whom to trust for a server.
func authority(t *testing.T, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWebhookWrongTLS: a receiver that nobody vouches for, or under another name, gets nothing.
func TestWebhookWrongTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the event was told") }))
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	for name, config := range map[string]Webhook{
		"unknown authority": {URL: server.URL + "/hook-token"},
		"another name":      {URL: strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/hook-token", CAFile: authority(t, server)},
	} {
		h := newHook(t, config)
		if got, want := h.tell(t, 0), (Stats{Name: "ops", Failed: 1, Dropped: 1}); got != want {
			t.Errorf("%s: stats %+v, want %+v", name, got, want)
		}
		if !strings.Contains(h.log.String(), "certificate") {
			t.Errorf("%s: the log does not say why:\n%s", name, h.log)
		}
	}
}

// TestWebhookRedirect: the event goes nowhere but where it was configured to go.
func TestWebhookRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, code)
		}))
		h := newHook(t, Webhook{URL: server.URL})
		if got, want := h.tell(t, time.Minute), (Stats{Name: "ops", Failed: 1, Dropped: 1}); got != want {
			t.Errorf("%d: stats %+v, want %+v", code, got, want)
		}
		server.Close()
	}
}

// TestWebhookHangs: a receiver that does not answer, or not to its end, costs a try and no more.
func TestWebhookHangs(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"silent": func(http.ResponseWriter) {},
		"slow": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		release := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			<-release
		}))
		h := newHook(t, Webhook{URL: server.URL + "/hook-token"})
		h.limit = 50 * time.Millisecond
		if got, want := h.tell(t, 0), (Stats{Name: "ops", Failed: 1, Dropped: 1}); got != want {
			t.Errorf("%s: stats %+v, want %+v", name, got, want)
		}
		close(release)
		server.Close()
	}
}

// TestWebhookAnswers: which answers are tried again.
func TestWebhookAnswers(t *testing.T) {
	for code, again := range map[int]bool{400: false, 401: false, 404: false, 408: true, 410: false, 425: true, 429: true, 500: true, 503: true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		h := newHook(t, Webhook{URL: server.URL})
		got := h.tell(t, 20*time.Millisecond)
		if got.Dropped != 1 || got.Sent != 0 || (got.Failed > 1) != again {
			t.Errorf("%d: stats %+v, want another try: %v", code, got, again)
		}
		server.Close()
	}
}

func TestVerify(t *testing.T) {
	at, body := time.Unix(1_800_000_000, 0), []byte(`{"kind":"Event"}`)
	good := Sign([]byte(secret), at, body)
	if want := "t=1800000000,v1="; !strings.HasPrefix(good, want) {
		t.Errorf("Sign = %s, want %s…", good, want)
	}
	for name, test := range map[string]struct {
		secret, signature, body string
		now                     time.Time
		ok                      bool
	}{
		"good":           {secret, good, string(body), at.Add(time.Minute), true},
		"another secret": {secret + "0", good, string(body), at, false},
		"another body":   {secret, good, string(body) + " ", at, false},
		"another time":   {secret, strings.Replace(good, "t=18", "t=19", 1), string(body), at, false},
		"replayed":       {secret, good, string(body), at.Add(time.Minute + time.Second), false},
		"of the future":  {secret, good, string(body), at.Add(-time.Minute - time.Second), false},
		"none":           {secret, "", string(body), at, false},
		"empty":          {secret, "t=1800000000,v1=", string(body), at, false},
	} {
		if err := Verify([]byte(test.secret), test.signature, []byte(test.body), test.now, time.Minute); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzVerify: what nobody signed is never taken for signed.
func FuzzVerify(f *testing.F) {
	f.Add("t=1800000000,v1=00", []byte("{}"))
	f.Add(Sign([]byte("other"), time.Unix(1_800_000_000, 0), []byte("{}")), []byte("{}"))
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		if Verify([]byte(secret), signature, body, time.Unix(1_800_000_000, 0), time.Hour) == nil {
			t.Errorf("%q passes", signature)
		}
	})
}

// TestSecretFile: the secret is read anew for each try, and one that everybody can read is none.
func TestSecretFile(t *testing.T) {
	var seen atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen.Store(Verify([]byte("fedcba9876543210"), r.Header.Get(SignatureHeader), body, time.Now(), time.Minute) == nil)
	}))
	defer server.Close()
	h := newHook(t, Webhook{URL: server.URL})
	if err := os.WriteFile(h.config.SecretFile, []byte("fedcba9876543210"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h.tell(t, 0); seen.Load() != true {
		t.Error("the new secret is not used")
	}
	if err := os.Chmod(h.config.SecretFile, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := newWebhook(h.config); err == nil || strings.Contains(err.Error(), "fedcba") {
		t.Errorf("a secret that everybody can read: %v", err)
	}
	if err := os.WriteFile(h.config.SecretFile, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.config.SecretFile, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newWebhook(h.config); err == nil || strings.Contains(err.Error(), `"short"`) {
		t.Errorf("a short secret: %v", err)
	}
}
