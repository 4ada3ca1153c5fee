package probe_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holter-ha/holter/actions"
	"github.com/holter-ha/holter/actions/memory"
	"github.com/holter-ha/holter/actions/probe"
)

var db = actions.Target{Workload: "db", Kind: memory.Kind, Unit: "db"}

func TestReadyWhenActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := memory.NewWorld()
		w.Script("h1", "db", memory.Script{Start: memory.Behaviour{Takes: 3 * time.Second}})
		d := w.Driver("h1")
		started := make(chan error, 1)
		go func() { started <- d.Do(t.Context(), actions.Action{Verb: actions.Start, Target: db}) }()
		begun := time.Now()
		r := actions.Ready{When: actions.ReadyActive, Settle: 2 * time.Second, Timeout: time.Minute}
		if err := probe.Ready(t.Context(), r, probe.Subject{Driver: d, Target: db}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < 5*time.Second || took > 5200*time.Millisecond {
			t.Errorf("ready after %v, want 3s to start and 2s to settle", took)
		}
		if err := <-started; err != nil {
			t.Error(err)
		}
	})
}

func TestABreakBeginsTheSettlingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		run := func(context.Context, string) error {
			if at := time.Since(begun); at > 900*time.Millisecond && at < 1100*time.Millisecond {
				return errors.New("exit status 1")
			}
			return nil
		}
		r := actions.Ready{When: actions.ReadyCommand, Command: "check", Settle: 2 * time.Second, Timeout: time.Minute}
		if err := probe.Ready(t.Context(), r, probe.Subject{Run: run}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < 3*time.Second || took > 3200*time.Millisecond {
			t.Errorf("ready after %v, want 2s after the break at 1s", took)
		}
	})
}

func TestNotReadyNamesTheLastReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.NewWorld().Driver("h1")
		run := func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}
		for name, c := range map[string]struct {
			ready actions.Ready
			took  time.Duration
			want  string
		}{
			"stopped":       {actions.Ready{When: actions.ReadyActive, Timeout: 7 * time.Second}, 7 * time.Second, "not ready: db is stopped"},
			"hangs":         {actions.Ready{When: actions.ReadyCommand, Command: "check", Timeout: 12 * time.Second}, 12 * time.Second, "not ready: command check: context deadline exceeded"},
			"no such thing": {actions.Ready{When: "blue", Timeout: time.Second}, time.Second, `not ready: no such condition: "blue"`},
		} {
			begun := time.Now()
			err := probe.Ready(t.Context(), c.ready, probe.Subject{Driver: d, Target: db, Run: run})
			if err == nil || err.Error() != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: took %v, want %v", name, took, c.took)
			}
		}
	})
}

func TestSettlingIsCutShortByTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := actions.Ready{When: actions.ReadyCommand, Command: "check", Settle: 3 * time.Second, Timeout: 2 * time.Second}
		err := probe.Ready(t.Context(), r, probe.Subject{Run: func(context.Context, string) error { return nil }})
		if want := "not ready: ready, but not yet for 3s"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestReadyWhenHTTPAnswers(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	r := actions.Ready{When: actions.ReadyHTTP, URL: srv.URL, Timeout: 10 * time.Second}
	if err := probe.Ready(t.Context(), r, probe.Subject{}); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3: two answers of 503, one of 200", n)
	}
}

func TestCheckHTTP(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/sick", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.Handle("/here", http.RedirectHandler("/ok", http.StatusFound))
	mux.Handle("/there", http.RedirectHandler(other.URL, http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]string{
		"/ok":    "",
		"/here":  "",
		"/sick":  srv.URL + "/sick: 503",
		"/there": "redirected to another host",
		"/round": "redirected more than 5 times",
	} {
		err := probe.Check(t.Context(), actions.Ready{When: actions.ReadyHTTP, URL: srv.URL + path}, probe.Subject{})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestCheckTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := actions.Ready{When: actions.ReadyTCP, Addr: l.Addr().String()}
	if err := probe.Check(t.Context(), r, probe.Subject{}); err != nil {
		t.Errorf("while it listens: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := probe.Check(t.Context(), r, probe.Subject{}); err == nil || !strings.Contains(err.Error(), r.Addr) {
		t.Errorf("after it was closed: got %v, want an error with %s", err, r.Addr)
	}
}
