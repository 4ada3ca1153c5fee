package console_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
)

func apiError(t *testing.T, err error) *console.APIError {
	t.Helper()
	e, ok := errors.AsType[*console.APIError](err)
	if !ok {
		t.Fatalf("the error is %v, want an APIError", err)
	}
	return e
}

// follower is a monitor with the log of another one that leads at an address; empty: nobody is known to lead.
func follower(t *testing.T, leader string) *consoletest.Monitor {
	t.Helper()
	m := consoletest.Shop()
	m.Change(nil, func(look *console.Look) {
		look.Self, look.Leading, look.Leader, look.LeaderAPI, look.LeaderContact = "mon-2", false, "", leader, 3200*time.Millisecond
		if leader != "" {
			look.Leader = "mon-1"
		}
	})
	return m
}

func TestFollowerForwards(t *testing.T) {
	leader := consoletest.Shop()
	c := client(t, serve(t, follower(t, serve(t, leader).URL)).URL)
	if _, err := c.Disarm(t.Context(), "restart-elsewhere", "quiet"); err != nil {
		t.Fatal(err)
	}
	if plan, _ := leader.Look().State.Plans.Get("restart-elsewhere"); plan.Armed {
		t.Error("the leader's plan is armed: the request did not arrive")
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Item.Self != "mon-1" || status.AgeMs != 0 {
		t.Errorf("status of %q, %d ms old, %v; want the leader's", status.Item.Self, status.AgeMs, err)
	}
	events, err := c.Events(t.Context(), nil, 1)
	if err != nil || len(events.Items) != 1 || events.Items[0].By != "local:ada" || events.Items[0].From != "127.0.0.1" {
		t.Errorf("the last event is %+v, %v; want one by local:ada from 127.0.0.1", events.Items, err)
	}
}

func TestStaleAnswersHere(t *testing.T) {
	server := serve(t, follower(t, ""))
	c := console.NewClient([]string{server.URL}, console.ClientOptions{Stale: true})
	defer c.Close()
	status, err := c.Status(t.Context())
	if err != nil || status.Item.Self != "mon-2" || status.AgeMs != 3200 || status.Item.Leader != "" {
		t.Errorf("stale status of %q, %d ms old, %v; want mon-2's, 3200 ms old", status.Item.Self, status.AgeMs, err)
	}
}

func TestNoQuorum(t *testing.T) {
	server := serve(t, follower(t, ""))
	_, err := client(t, server.URL).Status(t.Context())
	e := apiError(t, err)
	if e.Code != console.CodeNoQuorum || e.Exit != console.ExitNoQuorum || e.Self != "mon-2" || e.Index != 18 || e.LeaderContactMs == nil || *e.LeaderContactMs != 3200 {
		t.Errorf("status = %+v, want no_quorum, 7, mon-2, #18, 3200 ms", e)
	}
	if got, want := send(t, "POST", server.URL+"/v1/hosts/ams-1/confirm", `{"reason":"x"}`), (answered{503, "no_quorum", 7}); got != want {
		t.Errorf("confirm = %+v, want %+v", got, want)
	}
}

// TestForwardOnce: two followers that take each other for the leader do not send a request round for ever.
func TestForwardOnce(t *testing.T) {
	deaf := follower(t, "")
	second := serve(t, deaf)
	first := serve(t, follower(t, second.URL))
	deaf.Change(nil, func(look *console.Look) { look.LeaderAPI, look.Self = first.URL, "mon-3" })
	if got, want := send(t, "GET", first.URL+"/v1/status", ""), (answered{503, "no_quorum", 7}); got != want {
		t.Errorf("status = %+v, want %+v", got, want)
	}
}

func TestLeaderGone(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	breaking := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer breaking.Close()
	for name, test := range map[string]struct {
		leader, method, path string
		want                 answered
	}{
		"read, nobody there":   {gone.URL, "GET", "/v1/status", answered{503, "no_quorum", 7}},
		"change, nobody there": {gone.URL, "POST", "/v1/hosts/ams-1/confirm", answered{503, "no_quorum", 7}},
		"read, broken":         {breaking.URL, "GET", "/v1/status", answered{503, "no_quorum", 7}},
		"change, broken":       {breaking.URL, "POST", "/v1/hosts/ams-1/confirm", answered{504, "outcome_unknown", 8}},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, test.method, serve(t, follower(t, test.leader)).URL+test.path, `{"reason":"x"}`)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
			}
		})
	}
}

func TestClientTriesInOrder(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		asked++
		panic(http.ErrAbortHandler)
	}))
	defer other.Close()
	fickle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte("{}"))
			return
		}
		panic(http.ErrAbortHandler)
	}))
	defer fickle.Close()
	m := consoletest.Shop()
	c := client(t, gone.URL, serve(t, follower(t, "")).URL, serve(t, m).URL, other.URL)
	status, err := c.Status(t.Context())
	if err != nil || status.Item.Self != "mon-1" || asked != 0 {
		t.Errorf("status of %q, %v, %d asked after the answer; want mon-1's and nobody", status.Item.Self, err, asked)
	}
	// A change that the first server may have got is not sent to the second one.
	_, err = client(t, fickle.URL, serve(t, m).URL).Disarm(t.Context(), "restart-elsewhere", "x")
	if e := apiError(t, err); e.Code != console.CodeOutcomeUnknown {
		t.Errorf("disarm = %+v, want outcome_unknown", e)
	}
	if plan, _ := m.Look().State.Plans.Get("restart-elsewhere"); !plan.Armed {
		t.Error("the second server got the change as well")
	}
	// A server that does not answer at all cannot have got it.
	if _, err = client(t, other.URL, serve(t, m).URL).Disarm(t.Context(), "restart-elsewhere", "x"); err != nil {
		t.Errorf("disarm behind a server that does not answer = %v", err)
	}
	_, err = client(t, gone.URL, other.URL).Disarm(t.Context(), "restart-elsewhere", "x")
	if e := apiError(t, err); e.Code != console.CodeUnreachable || len(e.Tried) != 2 {
		t.Errorf("disarm without any server = %+v, want unreachable, both tried", e)
	}
	if _, err = client(t, gone.URL).Status(t.Context()); apiError(t, err).Code != console.CodeUnreachable || apiError(t, err).Exit != 7 {
		t.Errorf("status = %v, want unreachable, 7", err)
	}
}

// TestHungServer: a monitor that takes connections and never answers, as one that was stopped, holds nobody up.
func TestHungServer(t *testing.T) {
	release, writes := make(chan struct{}), make(chan string, 8)
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			writes <- r.URL.Path
		}
		<-release
	}))
	defer hung.Close()
	defer close(release)
	m := consoletest.Shop()
	c := console.NewClient([]string{hung.URL, serve(t, m).URL}, console.ClientOptions{User: "ada", Patience: 20 * time.Millisecond})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // less than the 25 s that one server may take
	defer cancel()
	if status, err := c.Status(ctx); err != nil || status.Item.Self != "mon-1" {
		t.Errorf("status of %q, %v; want mon-1's", status.Item.Self, err)
	}
	before := m.Look().State.Index
	if _, err := c.Disarm(ctx, "restart-elsewhere", "x"); err != nil {
		t.Errorf("disarm = %v", err)
	}
	if n := m.Look().State.Index - before; n != 1 || len(writes) != 0 {
		t.Errorf("the change was made %d times and sent to the hung server %d times, want 1 and 0", n, len(writes))
	}
	if err := c.Follow(ctx, before, console.Follower{Event: func(console.EventItem) error { return errEnough }}); !errors.Is(err, errEnough) {
		t.Errorf("Follow = %v, want an event of the second server", err)
	}
}

func TestServeStops(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := consoletest.Shop()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- console.NewServer(m, zerolog.Nop()).Serve(ctx, listener) }()
	c := client(t, listener.Addr().String())
	following := make(chan error)
	started := make(chan struct{}, 20)
	go func() {
		following <- c.Follow(t.Context(), 17, console.Follower{Event: func(console.EventItem) error {
			started <- struct{}{}
			<-ctx.Done()
			return context.Canceled
		}})
	}()
	<-started
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil after its context ended", err)
	}
	if err := <-following; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want the error of the follower", err)
	}
	if n := m.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}
