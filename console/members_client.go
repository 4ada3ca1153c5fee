package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Members asks who is in the cluster.
func (c *Client) Members(ctx context.Context) (Doc[Members], error) {
	return get[Doc[Members]](ctx, c, "/v1/monitors")
}

// ChangeMember begins a change of members: the Verb constants add, remove and replace. Members says how it goes.
func (c *Client) ChangeMember(ctx context.Context, verb, name string, req MemberRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/monitors/"+url.PathEscape(name)+"/"+verb, req)
}

// Transfer hands leadership to a monitor, or to the one that is furthest if none is named.
func (c *Client) Transfer(ctx context.Context, to string, req MemberRequest) (Doc[Done], error) {
	if to == "" {
		to = anyMonitor
	}
	return c.ChangeMember(ctx, VerbTransfer, to, req)
}

// Snapshot writes a snapshot of the cluster's state, as the first server that has one sends it.
func (c *Client) Snapshot(ctx context.Context, w io.Writer) error {
	tried := attempts{}
	for _, server := range c.servers {
		err := c.download(ctx, server+c.staled("/v1/snapshot"), w)
		if err == nil || !tried.next(server, err) {
			return err
		}
	}
	return tried.failure()
}

func (c *Client) download(ctx context.Context, address string, w io.Writer) error {
	response, err := c.send(ctx, http.MethodGet, address, nil, nil)
	if err != nil {
		return &APIError{Code: CodeUnreachable, Exit: ExitNoQuorum, Message: plain(err)}
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return &APIError{Code: CodeUnreachable, Exit: ExitNoQuorum, Message: plain(err)}
		}
		return answeredError(response.StatusCode, text)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("save the snapshot: %w", err)
	}
	return nil
}
