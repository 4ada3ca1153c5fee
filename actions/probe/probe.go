// Package probe tells when a workload is ready: whether the condition that its file gives has held, without a break, for as
// long as it must.
//
// Invariants: one check never lasts longer than checkLimit; a check that fails, or could not be made, breaks the streak;
// what is returned when time is up is the reason why the last whole check failed.
//
// Concurrency: functions without state of their own; every goroutine and connection of a check ends with it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/holter-ha/holter/actions"
)

const (
	// interval between the beginnings of two checks.
	interval = 100 * time.Millisecond
	// checkLimit bounds one check.
	checkLimit = 5 * time.Second
	// redirectLimit bounds how many redirects a GET follows, all on one host.
	redirectLimit = 5
	// bodyLimit bounds how much of an answer is read before its connection is closed.
	bodyLimit = 64 << 10
)

// Subject is what is probed and the means to do it.
type Subject struct {
	Driver actions.Driver // asked for the condition active
	Target actions.Target
	// Run runs the allow-listed command of a name and returns nil if it exits 0.
	Run func(ctx context.Context, command string) error
}

// Ready checks until the condition has held for r.Settle without a break. It ends in an error that names the reason of the
// last check when ctx ends or r.Timeout, if it is not zero, has passed.
func Ready(ctx context.Context, r actions.Ready, s Subject) error {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	reason := errors.New("not checked yet")
	var since time.Time // of the streak; zero: there is none
	for {
		err := Check(ctx, r, s)
		switch {
		case ctx.Err() != nil && err != nil:
			return fmt.Errorf("not ready: %w", reason)
		case err != nil:
			reason, since = err, time.Time{}
		case since.IsZero():
			since = time.Now()
			reason = fmt.Errorf("ready, but not yet for %v", r.Settle)
		}
		if !since.IsZero() && time.Since(since) >= r.Settle {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", reason)
		}
	}
}

// Check looks once whether the condition holds; the error says why it does not.
func Check(ctx context.Context, r actions.Ready, s Subject) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	switch r.When {
	case actions.ReadyActive:
		return active(ctx, s)
	case actions.ReadyHTTP:
		return get(ctx, r.URL)
	case actions.ReadyTCP:
		return connect(ctx, r.Addr)
	case actions.ReadyCommand:
		if err := s.Run(ctx, r.Command); err != nil {
			return fmt.Errorf("command %s: %w", r.Command, err)
		}
		return nil
	}
	return fmt.Errorf("no such condition: %q", r.When)
}

func active(ctx context.Context, s Subject) error {
	st, err := s.Driver.Status(ctx, s.Target)
	switch {
	case err != nil:
		return err
	case st.Condition == actions.Running:
		return nil
	case st.Detail != "":
		return fmt.Errorf("%s is %s: %s", s.Target.Unit, st.Condition, st.Detail)
	}
	return fmt.Errorf("%s is %s", s.Target.Unit, st.Condition)
}

func connect(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// get makes one GET on a connection of its own, so that an old connection never answers for a listener that is gone.
func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	c := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: sameHost,
	}
	res, err := c.Do(req)
	if err != nil {
		return err // names the method and the URL
	}
	_, err = io.CopyN(io.Discard, res.Body, bodyLimit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("GET %s: %d", url, res.StatusCode)
	}
	return nil
}

// sameHost refuses redirects to another host: its health says nothing about this one's.
func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host {
		return fmt.Errorf("redirected to another host: %s", req.URL.Host)
	}
	if len(via) > redirectLimit {
		return fmt.Errorf("redirected more than %d times", redirectLimit)
	}
	return nil
}
