package notify

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const sample = `
- {name: ops, on: [host.lost, run.*], webhook: {url: "https://example.com/hook", secret_file: /etc/holter/ops.secret, ca_file: /etc/holter/ops.pem}}
- {name: page, on: ['*'], command: [/usr/local/bin/page, --urgent]}
- {name: local, on: [cluster.formed], webhook: {url: "http://127.0.0.1:8080/"}}
`

func decode(t *testing.T, text string) []Channel {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	var channels []Channel
	if err := d.Decode(&channels); err != nil {
		t.Fatal(err)
	}
	return channels
}

func TestConfig(t *testing.T) {
	got := decode(t, sample)
	want := []Channel{
		{Name: "ops", On: []string{"host.lost", "run.*"}, Webhook: &Webhook{
			URL: "https://example.com/hook", SecretFile: "/etc/holter/ops.secret", CAFile: "/etc/holter/ops.pem",
		}},
		{Name: "page", On: []string{"*"}, Command: []string{"/usr/local/bin/page", "--urgent"}},
		{Name: "local", On: []string{"cluster.formed"}, Webhook: &Webhook{URL: "http://127.0.0.1:8080/"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if err := Check(got); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestConfigMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`[{name: Ops, on: ['*'], command: [/bin/true]}]`:                                     `notify[0].name "Ops": use lower-case`,
		`[{name: a, on: ['*'], command: [/bin/a]}, {name: a, on: ['*'], command: [/bin/a]}]`: `notify[1].name "a" is another channel's already`,
		`[{name: a, command: [/bin/a]}]`:                                                     `notify[0].on is missing`,
		`[{name: a, on: [host_lost], command: [/bin/a]}]`:                                    `notify[0].on: there is no event "host_lost"; there are cluster.formed `,
		`[{name: a, on: ['hos*'], command: [/bin/a]}]`:                                       `there is no event "hos*"`,
		`[{name: a, on: ['moon.*'], command: [/bin/a]}]`:                                     `there is no event "moon.*"`,
		`[{name: a, on: ['*']}]`:                                                             `notify[0]: give either webhook or command`,
		`[{name: a, on: ['*'], command: [/bin/a], webhook: {url: "https://x/"}}]`:            `notify[0]: give either webhook or command`,
		`[{name: a, on: ['*'], command: [page]}]`:                                            `notify[0].command: "page" is not an absolute path`,
		`[{name: a, on: ['*'], webhook: {url: "http://example.com/hook-token"}}]`:            `without TLS only a loopback address is safe`,
		`[{name: a, on: ['*'], webhook: {url: "ftp://example.com/hook-token"}}]`:             `notify[0].webhook.url is not a URL`,
		`[{name: a, on: ['*'], webhook: {url: "https://[hook-token"}}]`:                      `notify[0].webhook.url is not a URL`,
		`[{name: a, on: ['*'], webhook: {url: "https://x/hook-token", secret_file: s}}]`:     `notify[0].webhook.secret_file "s" is not an absolute path`,
		`[` + strings.Repeat(`{name: a, on: ['*'], command: [/bin/a]},`, 17) + `]`:           `notify: 17 channels are too many`,
	} {
		err := Check(decode(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hook-token") {
			t.Errorf("%s: got %v, want %s…", text, err, want)
		}
	}
}

// TestNewReadsTheFiles: a file that is missing or wrong is told at the start, not with the first event.
func TestNewReadsTheFiles(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(wrong, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, webhook := range map[string]Webhook{
		"notify channel ops: read the secret: ":                   {URL: "https://example.com/", SecretFile: "/nowhere/secret"},
		"notify channel ops: read the authorities: ":              {URL: "https://example.com/", CAFile: "/nowhere/ca.pem"},
		"notify channel ops: there is no certificate in " + wrong: {URL: "https://example.com/", CAFile: wrong},
	} {
		_, err := New(nil, Options{Channels: []Channel{{Name: "ops", On: []string{"*"}, Webhook: &webhook}}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

// TestPageExample: the channels on the page pass, and its example of a signature check does what Verify does.
func TestPageExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\nnotify:\n")
	example, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("the page has no example")
	}
	channels := decode(t, example)
	if err := Check(channels); err != nil || len(channels) != 2 {
		t.Errorf("the page's %d channels: %v", len(channels), err)
	}
}

// TestPageSignatureCheck runs the page's Python, where there is one, on what Sign makes.
func TestPageSignatureCheck(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the page's example is not run")
	}
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```python\n")
	example, _, _ := strings.Cut(rest, "```")
	body := []byte(`{"kind":"Event"}`)
	for name, test := range map[string]struct {
		at   time.Time
		body string
		want string
	}{
		"good":         {time.Now(), string(body), "True"},
		"another body": {time.Now(), string(body) + " ", "False"},
		"replayed":     {time.Now().Add(-time.Hour), string(body), "False"},
	} {
		script := example + "\nimport sys\nprint(check(sys.argv[1].encode(), sys.argv[2], sys.argv[3].encode()))\n"
		out, err := exec.CommandContext(t.Context(), python, "-c", script, secret, Sign([]byte(secret), test.at, body), test.body).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != test.want {
			t.Errorf("%s: %s %v, want %s", name, out, err, test.want)
		}
	}
}
