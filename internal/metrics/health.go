package metrics

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	aliveLimit   = 2 * time.Second // for the loop to answer
	contactLimit = 2 * time.Second // of the leader's silence
	maxLag       = 64              // entries that are committed and not applied: more is behind, fewer is a moment
)

// Alive says whether this process does its work: its loop answers within two seconds.
func (e *Exporter) Alive(ctx context.Context) error {
	if e.sources.Alive == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	return e.sources.Alive(ctx)
}

// Unready says in words, without names, what keeps this monitor from its part in the cluster. It is ready when there are
// none.
func (e *Exporter) Unready() []string {
	var why []string
	look := e.fresh()
	switch {
	case look.Leader == "":
		why = append(why, "no leader is known")
	case look.Leader == look.Self && !look.Leading:
		why = append(why, "it leads, and has not applied yet what was committed before")
	case look.LeaderContact < 0 || look.LeaderContact > contactLimit:
		why = append(why, "the leader is not heard")
	}
	if e.sources.Raft != nil {
		if raft := e.sources.Raft(); raft.Committed > raft.Applied+maxLag {
			why = append(why, "it has not applied the log yet")
		}
	}
	if e.sources.Bus != nil && !e.sources.Bus().Connected {
		why = append(why, "NATS is not reached")
	}
	return why
}

// Healthz answers /healthz: 200 while the process lives. Who asks may restart the process when it does not.
func (e *Exporter) Healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.Alive(r.Context()) != nil {
			say(w, "not alive: the monitor's loop does not answer")
			return
		}
		say(w)
	})
}

// Readyz answers /readyz: 200 while the monitor takes its part in the cluster.
func (e *Exporter) Readyz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		why := e.Unready()
		for i := range why {
			why[i] = "not ready: " + why[i]
		}
		say(w, why...)
	})
}

// say answers ok, or with what is wrong.
func say(w http.ResponseWriter, wrong ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(wrong) == 0 {
		_, _ = fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprintln(w, strings.Join(wrong, "\n"))
}
