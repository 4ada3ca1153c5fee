package fence_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/actions/fence"
)

const secret = `Tr0ub4dor&3 'x"\`

// noSecret checks that neither a secret nor a tell-tale part of it is in a text.
func noSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, part := range []string{secret, "Tr0ub4", "ub4dor", url.QueryEscape(secret), "cm9vdDpUcjB1", "VHIwdWI0"} {
		if strings.Contains(text, part) {
			t.Errorf("%s holds the secret (%q): %s", where, part, text)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	tell := `sed -n 's/^[a-z_]*passw[a-z]*=//p' $D/input | head -n1 >$D/secret; `
	for name, say := range map[string]string{
		"stdout":   `cat $D/secret; exit 1`,
		"stderr":   `echo "ERROR: login root/$(cat $D/secret) denied" >&2; exit 1`,
		"url":      `echo 'https://bmc/?p=` + url.QueryEscape(secret) + `'; echo '` + url.PathEscape(secret) + `' >&2; exit 1`,
		"base64":   `{ printf %s "root:$(cat $D/secret)" | base64 -w0; echo; printf %s "$(cat $D/secret)" | base64 -w0; } >&2; exit 1`,
		"cut":      `{ printf %s "$(cat $D/secret)"; yes '' | head -c 65523; } >&2; exit 1`,
		"cut out":  `yes '' | head -c 65530; cat $D/secret; exit 1`,
		"traced":   `set -x; echo "$(cat $D/secret)"; exit 1`,
		"no error": `cat $D/secret`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			d := b.device("bmc", script{off: tell + say, status: tell + say, parameters: `<parameter name="username"><content type="string" /></parameter>`})
			for _, option := range []string{"password", "password_file", "passwrd"} { // the last is a slip
				d.Options = map[string]string{"username": "root", option: secret}
				if option == "password_file" {
					d.Options[option] = b.write("secret", secret+"\n", 0o600)
				}
				rep, err := b.off(allowed, level(d))
				text, jsonErr := json.Marshal(rep)
				if err == nil || jsonErr != nil {
					t.Fatalf("got %v, %v", err, jsonErr)
				}
				noSecret(t, "the error with "+option, err.Error())
				noSecret(t, "the report with "+option, string(text))
				noSecret(t, "the test with "+option, b.runner.Test(t.Context(), d).Error())
			}
			if told, err := os.ReadFile(filepath.Join(b.dir, "bmc/secret")); err != nil || string(told) != secret+"\n" {
				t.Errorf("the agent was told %q, %v", told, err)
			}
		})
	}
}

func TestOptionsAreNotInArgumentsOrEnvironment(t *testing.T) {
	b := newBed(t)
	d := b.device("bmc", script{off: "cat /proc/$$/cmdline >$D/cmdline; cat /proc/$$/environ >$D/environ; switch_off"})
	d.Options = map[string]string{"password": secret, "plug": "Plug-Number-7"}
	t.Setenv("MONITORS_OWN_TOKEN", secret)
	if _, err := b.off(allowed, level(d)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cmdline", "environ"} {
		text := strings.Join(b.read("bmc/"+name), "\n")
		noSecret(t, name, text)
		if text == "" || strings.Contains(text, "Plug-Number-7") {
			t.Errorf("%s: %q", name, text)
		}
	}
	want := []string{"action=off", "password=" + secret, "plug=Plug-Number-7"}
	if diff := cmp.Diff(want, b.read("bmc/input")[:3]); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func TestFileOptions(t *testing.T) {
	b := newBed(t)
	path := b.write("token", "abc\n", 0o600)
	parameter := func(name string) string {
		return `<parameter name="` + name + `"><content type="string" /></parameter>`
	}
	for name, c := range map[string]struct {
		parameters string
		want       string
	}{
		"reads":   {parameter("token"), "token=abc"},
		"knows":   {parameter("token") + parameter("token_file"), "token_file=" + path},
		"ignores": {"", "token_file=" + path},
	} {
		d := b.device(name, script{parameters: c.parameters})
		d.Options = map[string]string{"token_file": path}
		if _, err := b.off(allowed, level(d)); err != nil {
			t.Error(err)
		}
		if got := b.read(name + "/input")[1]; got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	d := b.device("both", script{parameters: parameter("token")})
	d.Options = map[string]string{"token_file": path, "token": "abc"}
	if _, err := b.off(allowed, level(d)); err == nil || !strings.Contains(err.Error(), "options token and token_file are the same") {
		t.Errorf("both: got %v", err)
	}
}

// TestNothingOutlivesItsRun covers what an agent starts in its group, in sessions of its own, and leaves behind when it ends
// well.
func TestNothingOutlivesItsRun(t *testing.T) {
	t.Parallel()
	children := "sleep 1000 & echo $! >>$D/pids; setsid sleep 1000 & echo $! >>$D/pids; setsid sh -c 'trap \"\" TERM HUP; echo $$ >>$0/pids; sleep 1000' $D & "
	await := "while [ $(wc -l <$D/pids) -lt 3 ]; do sleep 0.01; done; "
	for name, off := range map[string]string{
		"hangs": children + await + "wait",
		"ends":  children + await + "switch_off",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			d := b.device("bmc", script{off: off})
			ctx, cancel := context.WithCancel(t.Context())
			var watch sync.WaitGroup
			defer watch.Wait()
			defer cancel()
			if name == "hangs" {
				watch.Go(func() {
					for len(b.read("bmc/pids")) < 3 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
					cancel()
				})
			}
			if _, err := b.runner.Off(ctx, "db-1", []fence.Level{level(d)}, allowed); (err == nil) != (name == "ends") {
				t.Errorf("off: %v", err)
			}
			pids := b.read("bmc/pids")
			if len(pids) != 3 {
				t.Fatalf("children: got %v, want 3", pids)
			}
			for _, pid := range pids {
				if n, err := strconv.Atoi(pid); err != nil || alive(t, n) {
					t.Errorf("process %s is left (%v)", pid, err)
				}
			}
		})
	}
}

// alive says whether a process runs. One that has ended may be there until somebody waits for it.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	state := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[0]
	return state != "Z" && state != "X"
}

func TestMetadataIsKeptUntilTheAgentChanges(t *testing.T) {
	b := newBed(t)
	d := b.device("bmc", script{})
	for range 3 {
		if err := b.runner.Test(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.read("bmc/asked")); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(b.dir, "fence_bmc"), later, later); err != nil {
		t.Fatal(err)
	}
	m, err := b.runner.Metadata(t.Context(), "fence_bmc")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.read("bmc/asked")); n != 2 {
		t.Errorf("asked %d times after a change, want twice", n)
	}
	want := fence.Metadata{
		Agent: "fence_bmc", Summary: "an agent of a test",
		Parameters: []fence.Parameter{
			{Name: "action", Type: "string", Default: "reboot", Required: true},
			{Name: "password", Type: "string", Secret: true},
		},
		Actions: []string{"off", "status", "monitor"},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}
