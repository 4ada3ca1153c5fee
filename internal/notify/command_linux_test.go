package notify

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// shell is a channel that calls a script of sh, and its log.
func shell(script string, args ...string) (*channel, *bytes.Buffer) {
	log := &bytes.Buffer{}
	c := newChannel(Channel{Name: "page"}, command(append([]string{"/bin/sh", "-c", script, "sh"}, args...)), zerolog.New(log))
	c.pause = time.Millisecond
	return c, log
}

func tell(t *testing.T, c *channel, patience time.Duration) Stats {
	t.Helper()
	c.deliver(t.Context(), letter{message: event(7), until: time.Now().Add(patience), lead: make(chan struct{})})
	return c.stats()
}

// TestCommand: the event comes on standard input, and its name and key in the environment; nothing of the monitor's does.
func TestCommand(t *testing.T) {
	t.Setenv("HOLTER_TEST_SECRET", "hidden")
	file := filepath.Join(t.TempDir(), "told")
	c, log := shell(`{ cat; echo; env | sort; } > "$1"`, file)
	if got, want := tell(t, c, 0), (Stats{Name: "page", Sent: 1}); got != want {
		t.Errorf("stats %+v, want %+v\n%s", got, want, log)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := encode(event(7), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{string(body) + "\n", "HOLTER_EVENT=host.lost\n", "HOLTER_INDEX=7\n", "HOLTER_CLUSTER=shop\n", "HOLTER_CLUSTER_ID=c1a0\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "hidden") {
		t.Errorf("the monitor's environment is there:\n%s", text)
	}
}

// TestCommandFails: it is tried again, and the end of what it said is in the log.
func TestCommandFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tries")
	c, log := shell(`echo x >> "$1"; test $(wc -l < "$1") = 4 && exit; seq 1000 >&2; echo "no pager" >&2; exit 3`, file)
	if got, want := tell(t, c, time.Minute), (Stats{Name: "page", Sent: 1, Failed: 3}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if !strings.Contains(log.String(), "exit status 3: ") || !strings.Contains(log.String(), "1000 no pager") || log.Len() > 3*1000 {
		t.Errorf("the log is\n%s", log)
	}
}

func TestCommandIsMissing(t *testing.T) {
	c := newChannel(Channel{Name: "page"}, command([]string{"/nowhere/pager"}), zerolog.Nop())
	if got, want := tell(t, c, 0), (Stats{Name: "page", Failed: 1, Dropped: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// TestCommandDoesNotRead: whoever does not want to know more is told all the same.
func TestCommandDoesNotRead(t *testing.T) {
	c, log := shell(`exec <&-`)
	if got, want := tell(t, c, 0), (Stats{Name: "page", Sent: 1}); got != want {
		t.Errorf("stats %+v, want %+v\n%s", got, want, log)
	}
}

// TestCommandGroupIsKilled: whether it hangs, or ends and leaves something behind, nothing of its process group is left.
func TestCommandGroupIsKilled(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		limit  time.Duration
		want   Stats
	}{
		"hangs": {`exec 3>"$1"; sh -c 'trap "" TERM; sleep 1000' & sleep 1000`, 300 * time.Millisecond, Stats{Name: "page", Failed: 1, Dropped: 1}},
		"forks": {`exec 3>"$1"; sleep 1000 & exit 0`, time.Minute, Stats{Name: "page", Sent: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "alive")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			over := make(chan error, 1)
			opened := make(chan struct{})
			go func() {
				f, err := os.Open(pipe)
				close(opened)
				if err == nil {
					_, err = io.ReadAll(f) // ends when nobody holds the other end
					_ = f.Close()
				}
				over <- err
			}()
			c, log := shell(test.script, pipe)
			c.limit = test.limit
			got := tell(t, c, 0)
			if got != test.want {
				t.Errorf("stats %+v, want %+v\n%s", got, test.want, log)
			}
			<-opened
			if err := <-over; err != nil {
				t.Error(err)
			}
			if name == "hangs" && !strings.Contains(log.String(), "did not end in time and was killed") {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}
