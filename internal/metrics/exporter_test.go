package metrics_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/internal/metrics"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// full is a monitor with every source.
func full(m metrics.Monitor) metrics.Sources {
	return metrics.Sources{
		Monitor: m,
		Alive:   func(context.Context) error { return nil },
		Raft: func() metrics.Raft {
			return metrics.Raft{Last: 30, Committed: 29, Applied: 28, Snapshot: time.Now().Add(-time.Hour)}
		},
		Bus:     func() metrics.Bus { return metrics.Bus{Connected: true, Dropped: 3} },
		Dropped: func() uint64 { return 5 },
		Certificates: func() []metrics.Certificate {
			return []metrics.Certificate{{Holder: "monitor", Expires: time.Now().Add(24 * time.Hour)}}
		},
		Channels: func() []metrics.Channel {
			return []metrics.Channel{{Name: "ops", Waiting: 1, Sent: 7, Failed: 2, Dropped: 4}}
		},
		Published: func() uint64 { return 27 },
	}
}

// text is what a scrape shows of Holter's own metrics, without the version of Go.
func text(t *testing.T, e *metrics.Exporter) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	e.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("GET /metrics = %d %s", recorder.Code, recorder.Body)
	}
	var kept []string
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.HasPrefix(line, "holter_") && !strings.HasPrefix(line, "holter_build_info") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// TestWorlds shows whole clusters.
func TestWorlds(t *testing.T) {
	for name, m := range map[string]*consoletest.Monitor{
		"empty": consoletest.New("mon-1"), "guarded": consoletest.Guarded(), "lost": consoletest.Lost(), "moved": consoletest.Moved(),
		"silent": consoletest.Silent(), "troubled": consoletest.Troubled(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that ages are exact
				got := text(t, metrics.New(full(m)))
				path := filepath.Join("testdata", name+".prom")
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s differs (-want +got):\n%s", path, diff)
				}
			})
		})
	}
}

func TestLint(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics.New(full(consoletest.Lost())))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestProcessMetrics: Go's own and the process's are there as well.
func TestProcessMetrics(t *testing.T) {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	metrics.New(full(consoletest.Shop())).Handler().ServeHTTP(recorder, request)
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_open_fds ", `holter_build_info{goversion="go1`} {
		if !strings.Contains(recorder.Body.String(), want) {
			t.Errorf("there is no %q", want)
		}
	}
}

// TestCountsOutliveTheTables: counters of the log do not fall when runs and events are forgotten, or a snapshot is read.
func TestCountsOutliveTheTables(t *testing.T) {
	m := consoletest.Moved()
	m.Change(nil, func(look *console.Look) {
		var buffer strings.Builder
		if err := look.State.Encode(&buffer); err != nil {
			t.Fatal(err)
		}
		state, err := planner.DecodeState(strings.NewReader(buffer.String()))
		if err != nil {
			t.Fatal(err)
		}
		state.Runs, state.Events = planner.Table[*planner.Run]{}, planner.Table[planner.Logged]{}
		look.State = state
	})
	got := text(t, metrics.New(full(m)))
	for _, want := range []string{
		"holter_runs_started_total 2\n", "holter_host_losses_total 1\n", `holter_runs_ended_total{outcome="succeeded"} 2` + "\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

// TestStepsAreCountedOnce: each end of an attempt counts once, however often it is scraped, and not at all if it was before
// this process.
func TestStepsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := consoletest.Guarded()
		sources := full(m)
		sources.Since = m.Look().Now.Add(time.Nanosecond) // the two starts are of a former process
		e := metrics.New(sources)
		starts := `holter_step_duration_seconds_count{kind="start",outcome="done"} `
		if got := text(t, e); strings.Contains(got, starts) {
			t.Errorf("steps of a former process were counted:\n%s", got)
		}
		run, err := planner.NewStart(m.Look().State, planner.Request{Workloads: []string{"mail"}})
		if err != nil {
			t.Fatal(err)
		}
		m.Must(run)
		m.Step(2, "start/mail", "ams-2", wire.Done)
		for range 3 {
			time.Sleep(2 * time.Second) // of the bubble: past the look that was kept
			if got := text(t, e); !strings.Contains(got, starts+"1\n") {
				t.Errorf("want one start, got\n%s", got)
			}
		}
	})
}

// counting counts the looks that are taken.
type counting struct {
	metrics.Monitor

	mu    sync.Mutex
	looks int
}

func (c *counting) Look() console.Look {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return c.Monitor.Look()
}

// TestLooksAreShared: however many scrape and ask, the monitor's loop is asked once a second at most.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counting{Monitor: consoletest.Shop()}
		e := metrics.New(full(m))
		registry := prometheus.NewRegistry()
		registry.MustRegister(e)
		for round := range 3 {
			var scrapes sync.WaitGroup
			for range 20 {
				scrapes.Go(func() {
					if _, err := registry.Gather(); err != nil {
						t.Error(err)
					}
					e.Unready()
				})
			}
			scrapes.Wait()
			if m.looks != round+1 {
				t.Errorf("%d looks after %d rounds", m.looks, round+1)
			}
			time.Sleep(time.Second) // of the bubble
		}
	})
}

// large is a cluster of n hosts that have joined and fence themselves.
func large(tb testing.TB, n int) *consoletest.Monitor {
	tb.Helper()
	m := consoletest.Guarded()
	m.Change(nil, func(look *console.Look) {
		state := *look.State
		inventory := *state.Inventory
		one := m1(state.Hosts, "ams-1")
		spec := inventory.Hosts["ams-1"]
		hosts := map[string]plans.Host{}
		heard := map[string]planner.HostPicture{}
		for i := range n {
			name := fmt.Sprintf("h-%05d", i)
			state.Hosts = state.Hosts.With(name, one)
			hosts[name], heard[name] = spec, look.Picture.Hosts["ams-1"]
		}
		inventory.Hosts = hosts
		state.Inventory = &inventory
		look.State = &state
		look.Picture = &planner.Picture{At: look.Now, Hosts: heard, Workloads: look.Picture.Workloads, Monitors: look.Picture.Monitors}
	})
	return m
}

func m1(hosts planner.Table[planner.Host], name string) planner.Host {
	host, _ := hosts.Get(name)
	return host
}

// TestSeriesAreBounded: from 501 hosts on nothing is shown host by host, and the sums still are.
func TestSeriesAreBounded(t *testing.T) {
	few, many := text(t, metrics.New(full(large(t, 497)))), text(t, metrics.New(full(large(t, 10_000))))
	for _, name := range []string{
		"holter_host_age_seconds", "holter_host_lease_left_seconds", "holter_fence_test_age_seconds", "holter_fence_test_ok",
	} {
		if n := strings.Count(few, name+"{"); n < 497 {
			t.Errorf("%d series of %s for 500 hosts", n, name)
		}
		if n := strings.Count(many, name+"{"); n != 0 {
			t.Errorf("%d series of %s for 10,003 hosts", n, name)
		}
	}
	if n := strings.Count(many, "\n"); n > 150 {
		t.Errorf("%d series for 10,003 hosts", n)
	}
	for _, want := range []string{
		`holter_hosts{word="alive"} 10000`, `holter_hosts{word="unknown"} 3`, `holter_detector_age_seconds{stat="max"} 0.12`, "holter_lease_left_min_seconds 5.2",
		`holter_fence_devices{result="ok"} 10000`,
	} {
		if !strings.Contains(many, want+"\n") {
			t.Errorf("there is no %q in\n%s", want, many)
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n, "-hosts"), func(b *testing.B) {
			handler := metrics.New(full(large(b, n))).Handler()
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
	}
}

// ask asks a handler and returns the status and the text.
func ask(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return fmt.Sprint(recorder.Code, " ", recorder.Body.String())
}

func TestHealthz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sources := full(consoletest.Shop())
		if got := ask(t, metrics.New(sources).Healthz(), "/healthz"); got != "200 ok\n" {
			t.Errorf("of a monitor that lives: %q", got)
		}
		sources.Alive = func(ctx context.Context) error { // a loop that hangs
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		if got := ask(t, metrics.New(sources).Healthz(), "/healthz"); got != "503 not alive: the monitor's loop does not answer\n" {
			t.Errorf("of a monitor that hangs: %q", got)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v to find out", took)
		}
	})
}

func TestReadyz(t *testing.T) {
	ready := metrics.Raft{Committed: 1000, Applied: 1000}
	for _, test := range []struct {
		name   string
		change func(*console.Look)
		raft   metrics.Raft
		cutOff bool
		want   []string
	}{
		{name: "leader", raft: ready},
		{name: "follower", raft: ready, change: func(l *console.Look) {
			l.Leader, l.Leading, l.LeaderContact = "mon-secret", false, 300*time.Millisecond
		}},
		{name: "no leader", raft: ready, change: func(l *console.Look) { l.Leader, l.Leading = "", false }, want: []string{"no leader is known"}},
		{name: "new leader", raft: ready, change: func(l *console.Look) { l.Leading = false }, want: []string{
			"it leads, and has not applied yet what was committed before",
		}},
		{name: "silent leader", raft: ready, change: func(l *console.Look) {
			l.Leader, l.Leading, l.LeaderContact = "mon-secret", false, 2500*time.Millisecond
		}, want: []string{"the leader is not heard"}},
		{name: "never heard", raft: ready, change: func(l *console.Look) {
			l.Leader, l.Leading, l.LeaderContact = "mon-secret", false, -1
		}, want: []string{"the leader is not heard"}},
		{name: "a moment behind", raft: metrics.Raft{Committed: 1064, Applied: 1000}},
		{name: "behind and cut off", raft: metrics.Raft{Committed: 1065, Applied: 1000}, cutOff: true, want: []string{
			"it has not applied the log yet", "NATS is not reached",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := consoletest.Shop()
			if test.change != nil {
				m.Change(nil, test.change)
			}
			sources := full(m)
			sources.Raft = func() metrics.Raft { return test.raft }
			sources.Bus = func() metrics.Bus { return metrics.Bus{Connected: !test.cutOff} }
			want := "200 ok\n"
			if len(test.want) > 0 {
				want = "503 not ready: " + strings.Join(test.want, "\nnot ready: ") + "\n"
			}
			if got := ask(t, metrics.New(sources).Readyz(), "/readyz"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestMounted: the handlers answer in the API's server, and nothing else does in their place.
func TestMounted(t *testing.T) {
	m := consoletest.Shop()
	sources := full(m)
	sources.Alive = func(context.Context) error { return errors.New("no") }
	e := metrics.New(sources)
	server := console.NewServer(m, zerolog.Nop())
	if got := ask(t, server, "/metrics"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("before it was mounted: %s", got)
	}
	server.Mount("/healthz", e.Healthz())
	server.Mount("/readyz", e.Readyz())
	server.Mount("/metrics", e.Handler())
	for path, want := range map[string]string{
		"/healthz": "503 not alive", "/readyz": "200 ok", "/metrics": "200 # HELP", "/other": "404 {", "/metrics/x": "404 {", "/v1/status": "200 {",
	} {
		if got := ask(t, server, path); !strings.HasPrefix(got, want) {
			t.Errorf("GET %s = %.80s, want %s…", path, got, want)
		}
	}
}

// TestNothingIsDeclaredInVain: every metric that is declared is shown when its source is there.
func TestNothingIsDeclaredInVain(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := metrics.New(full(consoletest.Moved()))
	registry.MustRegister(e)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, f := range families {
		shown = append(shown, f.GetName())
	}
	declared := make(chan *prometheus.Desc, 1000)
	e.Describe(declared)
	close(declared)
	for desc := range declared {
		if !slices.ContainsFunc(shown, func(name string) bool { return strings.Contains(desc.String(), `fqName: "`+name+`"`) }) {
			t.Errorf("%s is never shown", desc)
		}
	}
}
