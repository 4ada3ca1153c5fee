package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
)

var errEnough = errors.New("enough")

// TestFollow: the events after an index arrive once each and in order, those to come as well, from whichever server lives.
func TestFollow(t *testing.T) {
	m := consoletest.Shop()
	first, second := serve(t, m), serve(t, m)
	var got []uint64
	err := client(t, first.URL, second.URL).Follow(t.Context(), 13, console.Follower{Event: func(e console.EventItem) error {
		got = append(got, e.Index)
		switch e.Index {
		case 18:
			first.CloseClientConnections()
			first.Config.Handler = http.NotFoundHandler()
			m.Must(planner.PlanDisarmed{Plan: "restart-elsewhere"})
		case 19:
			m.Must(planner.PlanArmed{Plan: "restart-elsewhere"})
		case 20:
			return errEnough
		}
		return nil
	}})
	if !errors.Is(err, errEnough) {
		t.Errorf("Follow = %v, want the follower's own error", err)
	}
	if diff := cmp.Diff([]uint64{14, 15, 16, 17, 18, 19, 20}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestFollowEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := client(t, serve(t, consoletest.Shop()).URL).Follow(ctx, 17, console.Follower{Event: func(console.EventItem) error {
		cancel()
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want context.Canceled", err)
	}
}

// TestStreamText holds the stream to its form: ids, a gap, and a sign of life every 15 seconds.
func TestStreamText(t *testing.T) {
	m := consoletest.Shop()
	synctest.Test(t, func(t *testing.T) {
		m.Change(nil, func(look *console.Look) { // as if the first 16 events had been forgotten
			state := *look.State
			for key, logged := range state.Events.All() {
				if logged.Index < 17 {
					state.Events = state.Events.Without(key)
				}
			}
			look.State = &state
		})
		ctx, cancel := context.WithTimeout(t.Context(), 16*time.Second)
		defer cancel()
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?follow=1&after=9", nil)
		recorder := httptest.NewRecorder()
		console.NewServer(m, zerolog.Nop()).ServeHTTP(recorder, request)
		var got []string
		for line := range strings.Lines(recorder.Body.String()) {
			field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if field != "data" || strings.Contains(value, "oldest") {
				got = append(got, field+" "+value)
			}
		}
		want := []string{
			"event gap", `data {"after":9,"oldest":17}`, " ",
			"id 17", "event event", " ", "id 18", "event event", " ", " ping", " ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stream (-want +got):\n%s", diff)
		}
		if n := m.Watchers(); n != 0 {
			t.Errorf("%d watchers are left", n)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	m := consoletest.Shop()
	synctest.Test(t, func(t *testing.T) {
		const limit = 128
		server := console.NewServer(m, zerolog.Nop())
		ctx, cancel := context.WithCancel(t.Context())
		ask := func() *httptest.ResponseRecorder {
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?follow=1", nil))
			return recorder
		}
		for range limit {
			go ask()
		}
		synctest.Wait()
		if got := ask(); got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), console.CodeTooMany) {
			t.Errorf("stream %d = %d %s, want 503", limit+1, got.Code, got.Body)
		}
		cancel()
	})
}
