package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	text, server, err := c.read(ctx, c.servers, c.staled(path))
	return decoded[T](text, server, err)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	text, server, err := c.write(ctx, path, mustJSON(body))
	return decoded[T](text, server, err)
}

func decoded[T any](text []byte, server string, err error) (answer T, _ error) {
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", server, err)
	}
	return answer, nil
}

func (c *Client) staled(path string) string {
	switch {
	case !c.options.Stale:
		return path
	case strings.Contains(path, "?"):
		return path + "&stale=1"
	}
	return path + "?stale=1"
}

// said is what came of asking one server.
type said struct {
	server string
	text   []byte
	err    error
}

// read asks servers in order until one has an answer that counts: the next one when one has failed, or has not answered for
// as long as the client's patience. What was asked twice then is only a read.
func (c *Client) read(ctx context.Context, servers []string, path string) ([]byte, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan said, len(servers))
	tried, asked, open := attempts{}, 0, 0
	patience := time.NewTimer(c.options.Patience)
	defer patience.Stop()
	next := func() {
		if asked == len(servers) {
			return
		}
		server := servers[asked]
		asked++
		open++
		asking.Go(func() {
			text, err := c.exchange(ctx, http.MethodGet, server+path, nil)
			answers <- said{server, text, err}
		})
		patience.Reset(c.options.Patience)
	}
	for next(); open > 0; {
		select {
		case answer := <-answers:
			open--
			if answer.err == nil || !tried.next(answer.server, answer.err) {
				return answer.text, answer.server, answer.err
			}
			next()
		case <-patience.C:
			next()
		}
	}
	return nil, "", tried.failure()
}

// livePath is a read that every monitor answers from what it holds itself.
const livePath = "/v1/events?limit=1&stale=1"

// write sends a change to the first server that shows that it answers at all, and to the next one of these only when it is
// certain that the change was not taken.
func (c *Client) write(ctx context.Context, path string, body []byte) ([]byte, string, error) {
	tried, left := attempts{}, slices.Clone(c.servers)
	for len(left) > 0 {
		server := left[0]
		if len(c.servers) > 1 {
			_, live, err := c.read(ctx, left, livePath)
			if live == "" {
				return nil, "", tried.with(err).failure()
			}
			server = live
		}
		text, err := c.exchange(ctx, http.MethodPost, server+path, body)
		if err == nil || !tried.next(server, err) {
			return text, server, err
		}
		left = slices.DeleteFunc(left, func(s string) bool { return s == server })
	}
	return nil, "", tried.failure()
}

// attempts collects why servers did not answer.
type attempts struct {
	noQuorum *APIError
	failed   []Tried
}

// next notes an error and says whether the next server may be asked.
func (a *attempts) next(server string, err error) bool {
	e, ok := errors.AsType[*APIError](err)
	switch {
	case !ok || e.Code == CodeUnreachable:
		a.failed = append(a.failed, Tried{server, plain(err)})
	case e.Code == CodeNoQuorum:
		a.noQuorum = e
	default:
		return false
	}
	return true
}

// with takes over the servers of an error that says that none of them answered.
func (a *attempts) with(err error) *attempts {
	if e, ok := errors.AsType[*APIError](err); ok {
		a.failed = append(a.failed, e.Tried...)
	}
	return a
}

func (a *attempts) failure() error {
	if a.noQuorum != nil {
		return a.noQuorum
	}
	var reasons []string
	for _, f := range a.failed {
		reasons = append(reasons, f.Server+": "+f.Reason)
	}
	return &APIError{
		Code: CodeUnreachable, Exit: ExitNoQuorum, Message: "no monitor answers; nothing was changed: " + strings.Join(reasons, "; "),
		Hint: "name the monitors with --server or HOLTER_SERVER", Tried: a.failed,
	}
}

// exchange sends one request to one server. The error is an *APIError, save when ctx ended a read.
func (c *Client) exchange(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	response, err := c.send(ctx, method, address, body, nil)
	if err != nil {
		if method == http.MethodGet || neverSent(err) {
			return nil, &APIError{Code: CodeUnreachable, Exit: ExitNoQuorum, Message: plain(err)}
		}
		return nil, outcomeUnknown("the connection broke or the time ran out: the result is unknown (" + plain(err) + ")")
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil && method == http.MethodGet:
		return nil, &APIError{Code: CodeUnreachable, Exit: ExitNoQuorum, Message: plain(err)}
	case err != nil:
		return nil, outcomeUnknown("the answer broke off: the result is unknown (" + plain(err) + ")")
	case response.StatusCode == http.StatusOK:
		return text, nil
	}
	return nil, answeredError(response.StatusCode, text)
}

func (c *Client) send(ctx context.Context, method, address string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		request.Header = header
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set(headerUser, c.options.User)
	if c.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	return c.http.Do(request)
}

// answeredError reads an error answer.
func answeredError(status int, text []byte) error {
	var answer errorBody
	if err := json.Unmarshal(text, &answer); err == nil && answer.Error != nil {
		return answer.Error
	}
	shown := strings.TrimSpace(string(text[:min(len(text), maxErrorShown)]))
	return &APIError{Code: CodeInternal, Exit: ExitFailed, Message: fmt.Sprintf("not an answer of Holter: %d %s: %s", status, http.StatusText(status), shown)}
}

// plain is a network error without the URL before it.
func plain(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
