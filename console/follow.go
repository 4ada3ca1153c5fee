package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of a followed stream.
const (
	followPause    = 500 * time.Millisecond // between two rounds over the servers
	followPatience = 30 * time.Second       // without any server before the follower gives up
	followSilence  = 3 * pingEvery          // of a connected server before the next one is tried
	maxStreamLine  = 4 << 20
)

// Follower takes what a stream brings. An error of Event ends the following and is returned.
type Follower struct {
	Event func(EventItem) error
	Gap   func(Gap) // may be nil
}

// Follow streams the events after an index until ctx ends. It goes on at another server when one goes away, and gives up
// when none could be reached for 30 seconds.
func (c *Client) Follow(ctx context.Context, after uint64, f Follower) error {
	contact := time.Now()
	for {
		tried := attempts{}
		for _, server := range c.servers {
			last, err := c.followOne(ctx, server, after, f)
			if last > after {
				after, contact = last, time.Now()
			}
			if stop, ok := errors.AsType[*stopped](err); ok {
				return stop.err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				contact = time.Now()
			} else if !tried.next(server, err) {
				return err
			}
		}
		if time.Since(contact) > followPatience {
			return tried.failure()
		}
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopped carries the error of a Follower's Event.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

// followOne streams from one server until it goes away, which is no error once it had answered.
func (c *Client) followOne(ctx context.Context, server string, after uint64, f Follower) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(2*c.options.Patience, cancel)
	defer silence.Stop()
	header := http.Header{"Last-Event-Id": {strconv.FormatUint(after, 10)}, "Accept": {"text/event-stream"}}
	response, err := c.send(ctx, http.MethodGet, server+"/v1/events?follow=1", nil, header)
	if err != nil {
		return after, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorShown<<4))
		return after, answeredError(response.StatusCode, text)
	}
	silence.Reset(followSilence)
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxStreamLine)
	kind := ""
	for lines.Scan() {
		silence.Reset(followSilence)
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			kind = value
		case "data":
			last, err := f.take(kind, []byte(value))
			if err != nil {
				return after, &stopped{err}
			}
			after = max(after, last)
		}
	}
	return after, nil
}

// take hands one message of the stream on and returns the event's index.
func (f Follower) take(kind string, data []byte) (uint64, error) {
	switch kind {
	case "event":
		var item EventItem
		if err := json.Unmarshal(data, &item); err != nil {
			return 0, fmt.Errorf("read the stream: %w", err)
		}
		return item.Index, f.Event(item)
	case "gap":
		var gap Gap
		if err := json.Unmarshal(data, &gap); err != nil {
			return 0, fmt.Errorf("read the stream: %w", err)
		}
		if f.Gap != nil {
			f.Gap(gap)
		}
	}
	return 0, nil
}
