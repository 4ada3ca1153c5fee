package console

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of the client.
const (
	dialTimeout = 3 * time.Second
	firstByte   = 25 * time.Second // longer than the server takes at most
	maxAnswer   = 64 << 20

	defaultPatience = 2 * time.Second
	maxErrorShown   = 200
)

// Client asks the monitors' API. It tries the servers in order: the next one when one cannot be reached or knows no leader,
// and a read at the next one as well when one has not answered for a while. A change goes to one server at a time, one that
// has just shown that it answers, and when that one may have got it to no other.
type Client struct {
	servers []string
	options ClientOptions
	http    *http.Client
}

// ClientOptions are the parts of a Client that may be left out.
type ClientOptions struct {
	User   string      // who asks; a claim, where nobody is asked to prove it
	TLS    *tls.Config // for https; nil: none
	Token  string      // an API token; empty: none
	Socket string      // of a monitor on this machine, in place of the servers' addresses; empty: none
	Stale  bool        // let the first monitor that answers say what it last knew
	// Patience is how long a server may take before the next one is asked as well; default 2 s.
	Patience time.Duration
}

// NewClient makes a client of servers, each a base URL or host:port.
func NewClient(servers []string, options ClientOptions) *Client {
	c := &Client{options: options, http: &http.Client{Transport: &http.Transport{
		DialContext: dial(options.Socket), TLSClientConfig: options.TLS, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: firstByte, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
	}}}
	if c.options.Patience <= 0 {
		c.options.Patience = defaultPatience
	}
	for _, server := range servers {
		c.servers = append(c.servers, BaseURL(server))
	}
	return c
}

// dial connects to an address, or to a socket whatever the address.
func dial(socket string) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	if socket == "" {
		return dialer.DialContext
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}
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

// Release lets a quarantined host take workloads again.
func (c *Client) Release(ctx context.Context, host, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/hosts/"+url.PathEscape(host)+"/release", ReasonRequest{reason})
}

// Silence says that the silence of a host or workload is wanted for a while.
func (c *Client) Silence(ctx context.Context, name string, req SilenceRequest) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/silences/"+url.PathEscape(name), req)
}

// EndSilence ends a wanted silence before its time.
func (c *Client) EndSilence(ctx context.Context, name, reason string) (Doc[Done], error) {
	return post[Doc[Done]](ctx, c, "/v1/silences/"+url.PathEscape(name)+"/end", ReasonRequest{reason})
}
