package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of the client.
const (
	dialTimeout   = 3 * time.Second
	firstByte     = 25 * time.Second // longer than the server takes at most
	maxAnswer     = 64 << 20
	maxErrorShown = 200
)

// Client asks the monitors' API. It tries the servers in order: the next one when one cannot be reached or knows no leader.
// A change that a server may have got is never sent to another one.
type Client struct {
	servers []string
	options ClientOptions
	http    *http.Client
}

// ClientOptions are the parts of a Client that may be left out.
type ClientOptions struct {
	User  string // who asks; a claim
	Stale bool   // let the first monitor that answers say what it last knew
}

// NewClient makes a client of servers, each a base URL or host:port.
func NewClient(servers []string, options ClientOptions) *Client {
	c := &Client{options: options, http: &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		ResponseHeaderTimeout: firstByte, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
	}}}
	for _, server := range servers {
		c.servers = append(c.servers, BaseURL(server))
	}
	return c
}

// BaseURL completes host:port to a URL.
func BaseURL(server string) string {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	return strings.TrimRight(server, "/")
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the state of the cluster.
func (c *Client) Status(ctx context.Context) (Doc[Status], error) {
	return get[Doc[Status]](ctx, c, "/v1/status")
}

// Hosts asks for all hosts.
func (c *Client) Hosts(ctx context.Context) (List[HostItem], error) {
	return get[List[HostItem]](ctx, c, "/v1/hosts")
}

// Host asks for one host.
func (c *Client) Host(ctx context.Context, name string) (Doc[HostItem], error) {
	return get[Doc[HostItem]](ctx, c, "/v1/hosts/"+url.PathEscape(name))
}

// Workloads asks for all workloads.
func (c *Client) Workloads(ctx context.Context) (List[WorkloadItem], error) {
	return get[List[WorkloadItem]](ctx, c, "/v1/workloads")
}

// Workload asks for one workload.
func (c *Client) Workload(ctx context.Context, name string) (Doc[WorkloadItem], error) {
	return get[Doc[WorkloadItem]](ctx, c, "/v1/workloads/"+url.PathEscape(name))
}

// Plans asks for all plans, without their texts.
func (c *Client) Plans(ctx context.Context) (List[PlanItem], error) {
	return get[List[PlanItem]](ctx, c, "/v1/plans")
}

// Plan asks for one plan with its text.
func (c *Client) Plan(ctx context.Context, name string) (Doc[PlanItem], error) {
	return get[Doc[PlanItem]](ctx, c, "/v1/plans/"+url.PathEscape(name))
}

// Runs asks for the runs that are kept, oldest first.
func (c *Client) Runs(ctx context.Context) (List[RunItem], error) {
	return get[List[RunItem]](ctx, c, "/v1/runs")
}

// Run asks for one run.
func (c *Client) Run(ctx context.Context, id string) (Doc[RunItem], error) {
	return get[Doc[RunItem]](ctx, c, "/v1/runs/"+url.PathEscape(id))
}

// Events asks for at most limit events after an index, oldest first, or, when after is nil, for the newest ones.
func (c *Client) Events(ctx context.Context, after *uint64, limit int) (List[EventItem], error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != nil {
		query.Set("after", strconv.FormatUint(*after, 10))
	}
	return get[List[EventItem]](ctx, c, "/v1/events?"+query.Encode())
}

// Apply sets inventory and plans, all or nothing.
func (c *Client) Apply(ctx context.Context, req ApplyRequest) (Doc[Applied], error) {
	return post[Doc[Applied]](ctx, c, "/v1/apply", req)
}

// StartRun starts a run, unless there is nothing to do.
func (c *Client) StartRun(ctx context.Context, req RunRequest) (Doc[Started], error) {
	return post[Doc[Started]](ctx, c, "/v1/runs", req)
}

// Step retries or skips a step, or aborts a run: the Verb constants.
func (c *Client) Step(ctx context.Context, run, verb string, req StepRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/runs/"+url.PathEscape(run)+"/"+verb, req)
}

// Arm lets a plan start by itself.
func (c *Client) Arm(ctx context.Context, plan, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/plans/"+url.PathEscape(plan)+"/"+verbArm, ReasonRequest{reason})
}

// Disarm keeps a plan from starting by itself.
func (c *Client) Disarm(ctx context.Context, plan, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/plans/"+url.PathEscape(plan)+"/"+verbDisarm, ReasonRequest{reason})
}

// Confirm is a person's word that a lost host runs nothing any more.
func (c *Client) Confirm(ctx context.Context, host string, req ConfirmRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/hosts/"+url.PathEscape(host)+"/confirm", req)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return ask[T](ctx, c, http.MethodGet, c.staled(path), nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	return ask[T](ctx, c, http.MethodPost, path, mustJSON(body))
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

// ask sends a request to the servers in order until one has an answer that counts.
func ask[T any](ctx context.Context, c *Client, method, path string, body []byte) (T, error) {
	var answer T
	tried := attempts{}
	for _, server := range c.servers {
		text, err := c.exchange(ctx, method, server+path, body)
		if err == nil {
			if err := json.Unmarshal(text, &answer); err != nil {
				return answer, fmt.Errorf("read the answer of %s: %w", server, err)
			}
			return answer, nil
		}
		if !tried.next(server, err) {
			return answer, err
		}
	}
	return answer, tried.failure()
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
