package console_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/console/consoletest"
	"github.com/holter-ha/holter/planner"
	"github.com/holter-ha/holter/plans"
	"github.com/holter-ha/holter/wire"
)

// answered is what a test looks at of an answer.
type answered struct {
	Status int
	Code   string
	Exit   console.Exit
}

func send(t *testing.T, method, url, body string) answered {
	t.Helper()
	status, text := fetch(t, method, url, body)
	var answer struct{ Error console.APIError }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if status != http.StatusOK && answer.Error.Message == "" {
		t.Errorf("%s %s says nothing: %s", method, url, text)
	}
	return answered{status, answer.Error.Code, answer.Error.Exit}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		method, path, body string
		want               answered
	}{
		"no way":            {"GET", "/v1/nonsense", "", answered{404, "no_such", 14}},
		"no host":           {"GET", "/v1/hosts/lon-1", "", answered{404, "no_such", 14}},
		"no workload":       {"GET", "/v1/workloads/cache", "", answered{404, "no_such", 14}},
		"no plan":           {"GET", "/v1/plans/other", "", answered{404, "no_such", 14}},
		"no run":            {"GET", "/v1/runs/R-0099", "", answered{404, "no_such", 14}},
		"bad run":           {"GET", "/v1/runs/first", "", answered{400, "bad_request", 2}},
		"bad after":         {"GET", "/v1/events?after=x", "", answered{400, "bad_request", 2}},
		"not JSON":          {"POST", "/v1/apply", "files:", answered{400, "bad_request", 2}},
		"unknown field":     {"POST", "/v1/apply", `{"filez":[]}`, answered{400, "bad_request", 2}},
		"two values":        {"POST", "/v1/apply", `{} {}`, answered{400, "bad_request", 2}},
		"no files":          {"POST", "/v1/apply", `{"files":[]}`, answered{422, "invalid_files", 3}},
		"moved on":          {"POST", "/v1/apply", `{"files":[],"if_match":1}`, answered{409, "stale", 5}},
		"no kind":           {"POST", "/v1/runs", `{"kind":"dance"}`, answered{400, "bad_request", 2}},
		"start nothing":     {"POST", "/v1/runs", `{"kind":"start","workloads":["cache"]}`, answered{404, "no_such", 14}},
		"stop a provider":   {"POST", "/v1/runs", `{"kind":"stop","workloads":["db"]}`, answered{409, "refused.order", 13}},
		"claimed":           {"POST", "/v1/runs", `{"kind":"stop","workloads":["db"],"with":true}`, answered{409, "refused.claimed", 13}},
		"retry nothing":     {"POST", "/v1/runs/R-0002/retry", `{"step":"fence/lon-1"}`, answered{404, "no_such", 14}},
		"retry no step":     {"POST", "/v1/runs/R-0002/retry", `{}`, answered{400, "bad_request", 2}},
		"retry the started": {"POST", "/v1/runs/R-0002/retry", `{"step":"fence/ams-1"}`, answered{409, "refused.state", 13}},
		"skip the fence":    {"POST", "/v1/runs/R-0002/skip", `{"step":"fence/ams-1","reason":"x"}`, answered{409, "refused.evidence", 13}},
		"skip unreasoned":   {"POST", "/v1/runs/R-0002/skip", `{"step":"start/db"}`, answered{400, "bad_request", 2}},
		"abort unreasoned":  {"POST", "/v1/runs/R-0002/abort", `{}`, answered{400, "bad_request", 2}},
		"abort the ended":   {"POST", "/v1/runs/R-0001/abort", `{"reason":"x"}`, answered{409, "refused.state", 13}},
		"no verb":           {"POST", "/v1/runs/R-0002/bless", `{}`, answered{404, "no_such", 14}},
		"arm nothing":       {"POST", "/v1/plans/other/arm", `{}`, answered{404, "no_such", 14}},
		"disarm unreasoned": {"POST", "/v1/plans/restart-elsewhere/disarm", `{}`, answered{400, "bad_request", 2}},
		"confirm the alive": {"POST", "/v1/hosts/ams-2/confirm", `{"reason":"x"}`, answered{409, "refused.state", 13}},
		"confirm another":   {"POST", "/v1/hosts/ams-1/confirm", `{"reason":"x","host_epoch":99}`, answered{409, "stale", 5}},
		"fence unreasoned":  {"POST", "/v1/runs", `{"kind":"fence","hosts":["ams-2"]}`, answered{400, "bad_request", 2}},
		"fence nothing":     {"POST", "/v1/runs", `{"kind":"fence","reason":"x"}`, answered{400, "bad_request", 2}},
		"fence two":         {"POST", "/v1/runs", `{"kind":"fence","hosts":["ams-1","ams-2"],"reason":"x"}`, answered{400, "bad_request", 2}},
		"fence no host":     {"POST", "/v1/runs", `{"kind":"fence","hosts":["lon-1"],"reason":"x"}`, answered{404, "no_such", 14}},
		"fence no device":   {"POST", "/v1/runs", `{"kind":"fence","hosts":["ams-2"],"reason":"x"}`, answered{409, "refused.invalid", 13}},
		"release unreason.": {"POST", "/v1/hosts/ams-2/release", `{}`, answered{400, "bad_request", 2}},
		"release nothing":   {"POST", "/v1/hosts/lon-1/release", `{"reason":"x"}`, answered{404, "no_such", 14}},
		"release the free":  {"POST", "/v1/hosts/ams-2/release", `{"reason":"x"}`, answered{409, "refused.state", 13}},
		"silence unreason.": {"POST", "/v1/silences/ams-2", `{"forMs":1000}`, answered{400, "bad_request", 2}},
		"silence nothing":   {"POST", "/v1/silences/lon-1", `{"forMs":1000,"reason":"x"}`, answered{404, "no_such", 14}},
		"silence no time":   {"POST", "/v1/silences/ams-2", `{"reason":"x"}`, answered{400, "bad_request", 2}},
		"silence for ever":  {"POST", "/v1/silences/ams-2", `{"forMs":604800001,"reason":"x"}`, answered{400, "bad_request", 2}},
		"end no silence":    {"POST", "/v1/silences/ams-2/end", `{}`, answered{409, "refused.state", 13}},
		"end nothing":       {"POST", "/v1/silences/lon-1/end", `{}`, answered{404, "no_such", 14}},
		"confirm unreason.": {"POST", "/v1/hosts/ams-1/confirm", `{}`, answered{400, "bad_request", 2}},
		"too large":         {"POST", "/v1/apply", `{"reason":"` + strings.Repeat("x", 8<<20) + `"}`, answered{413, "too_large", 3}},
	}
	m := consoletest.Shop()
	server := serve(t, m)
	before := m.Look().State
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, send(t, test.method, server.URL+test.path, test.body)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
			}
		})
	}
	if after := m.Look().State; after.Events.Len() != before.Events.Len() {
		t.Errorf("the errors left %d events, want %d", after.Events.Len(), before.Events.Len())
	}
}

func TestChangeNeedsJSON(t *testing.T) {
	server := serve(t, consoletest.Shop())
	response, err := http.Post(server.URL+"/v1/plans/restart-elsewhere/arm", "text/plain", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("POST of text/plain = %d, want 415", response.StatusCode)
	}
}

func TestBrowsersOfOthers(t *testing.T) {
	server := serve(t, consoletest.Shop())
	for name, header := range map[string]http.Header{
		"another site's page": {"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"application/json"}},
		"a foreign name":      {"Origin": {"http://evil.example"}, "Host": {"evil.example"}, "Content-Type": {"application/json"}},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/plans/restart-elsewhere/disarm", strings.NewReader(`{"reason":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header = header
			request.Host = header.Get("Host")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("POST = %d, want 403", response.StatusCode)
			}
		})
	}
}

func TestProposalFails(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want answered
	}{
		"unknown":    {planner.ErrOutcomeUnknown, answered{504, "outcome_unknown", 8}},
		"not leader": {planner.ErrNotLeader, answered{503, "no_quorum", 7}},
	} {
		t.Run(name, func(t *testing.T) {
			m := consoletest.Shop()
			m.Change(test.err, func(*console.Look) {})
			got := send(t, "POST", serve(t, m).URL+"/v1/hosts/ams-1/confirm", `{"reason":"x"}`)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("confirm (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApply(t *testing.T) {
	m := consoletest.New("mon-1")
	c := client(t, serve(t, m).URL)
	files := []console.File{{Name: "i.yaml", Text: consoletest.Inventory}, {Name: "p.yaml", Text: consoletest.Plan}}
	first, err := c.Apply(t.Context(), console.ApplyRequest{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	want := console.Applied{
		Revision: 2, Disarmed: []string{"restart-elsewhere"}, Armed: []string{}, Changes: []console.Change{
			{Sign: "+", Kind: "cluster", Name: "shop"},
			{Sign: "+", Kind: "host", Name: "ams-1"},
			{Sign: "+", Kind: "host", Name: "ams-2"},
			{Sign: "+", Kind: "host", Name: "fra-1"},
			{Sign: "+", Kind: "workload", Name: "api"},
			{Sign: "+", Kind: "workload", Name: "db"},
			{Sign: "+", Kind: "workload", Name: "mail"},
			{Sign: "+", Kind: "plan", Name: "restart-elsewhere"},
		},
	}
	if diff := cmp.Diff(want, first.Item, ignoreWarnings); diff != "" {
		t.Errorf("first apply (-want +got):\n%s", diff)
	}
	again, err := c.Apply(t.Context(), console.ApplyRequest{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	if again.Item.Revision != 2 || len(again.Item.Changes) != 0 || again.Item.Unchanged != 8 {
		t.Errorf("the same files again: %+v, want revision 2 and nothing changed", again.Item)
	}
	less := strings.Replace(consoletest.Inventory, "  ams-2: {site: ams, address: 127.1.0.2}\n", "", 1)
	less = strings.ReplaceAll(less, "[ams-2, fra-1]", "[fra-1]")
	changed, err := c.Apply(t.Context(), console.ApplyRequest{Files: []console.File{{Name: "i.yaml", Text: less}}, IfMatch: new(uint64(2))})
	if err != nil {
		t.Fatal(err)
	}
	got := []console.Change{{Sign: "-", Kind: "host", Name: "ams-2"}, {Sign: "~", Kind: "workload", Name: "api"}, {Sign: "~", Kind: "workload", Name: "mail"}}
	if diff := cmp.Diff(got, changed.Item.Changes); diff != "" {
		t.Errorf("a smaller inventory (-want +got):\n%s", diff)
	}
}

var ignoreWarnings = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Warnings" }, cmp.Ignore())

// TestApplyChecksPlansInForce: an inventory that a plan in force does not fit is refused whole.
func TestApplyChecksPlansInForce(t *testing.T) {
	m := consoletest.New("mon-1")
	c := client(t, serve(t, m).URL)
	plan := strings.Replace(consoletest.Plan, "host_lost: any", "host_lost: {names: [ams-2]}", 1)
	files := []console.File{{Name: "i.yaml", Text: consoletest.Inventory}, {Name: "p.yaml", Text: plan}}
	if _, err := c.Apply(t.Context(), console.ApplyRequest{Files: files}); err != nil {
		t.Fatal(err)
	}
	less := strings.Replace(consoletest.Inventory, "  ams-2: {site: ams, address: 127.1.0.2}\n", "", 1)
	less = strings.ReplaceAll(less, "[ams-2, fra-1]", "[fra-1]")
	_, err := c.Apply(t.Context(), console.ApplyRequest{Files: []console.File{{Name: "i.yaml", Text: less}}})
	e := apiError(t, err)
	ofPlan := func(m plans.Mistake) bool {
		return m.Severity == plans.SeverityError && strings.HasPrefix(m.File, "restart-elsewhere@2")
	}
	if e.Exit != console.ExitInvalid || !slices.ContainsFunc(e.Mistakes, ofPlan) {
		t.Errorf("apply = %+v, want mistakes of restart-elsewhere@2", e)
	}
	if revision := m.Look().State.Revision; revision != 2 {
		t.Errorf("revision %d after a refused apply, want 2", revision)
	}
}

func TestStartNothing(t *testing.T) {
	c := client(t, serve(t, consoletest.Shop()).URL)
	started, err := c.StartRun(t.Context(), console.RunRequest{Kind: console.StopWorkloads, Workloads: []string{"mail"}})
	if err != nil || started.Item.Run != nil || started.Item.Message == "" {
		t.Errorf("stop of a stopped workload = %+v, %v; want no run and a message", started.Item, err)
	}
}

// TestOperator walks the verbs of a person through a run that fails and is retried, skipped and aborted.
func TestOperator(t *testing.T) {
	m := consoletest.Installed()
	c := client(t, serve(t, m).URL)
	started, err := c.StartRun(t.Context(), console.RunRequest{Kind: console.StartWorkloads, All: true, Reason: "open the shop"})
	if err != nil {
		t.Fatal(err)
	}
	run := started.Item.Run
	if run.ID != "R-0001" || len(run.Steps) != 3 || run.By != "local:ada" || run.Reason != "open the shop" {
		t.Errorf("started %+v, want R-0001 with 3 steps by local:ada", run)
	}
	m.Step(1, "start/db", "ams-1", wire.Failed)
	if got := stateOf(t, c); got != "paused" {
		t.Errorf("the run is %s after a failed step, want paused", got)
	}
	for _, do := range []struct {
		verb string
		req  console.StepRequest
		want string
	}{
		{console.VerbRetry, console.StepRequest{Step: "start/db"}, "running"},
		{console.VerbSkip, console.StepRequest{Step: "start/mail", Reason: "not needed"}, "running"},
		{console.VerbAbort, console.StepRequest{Reason: "enough"}, "aborting"},
	} {
		if _, err := c.Step(t.Context(), "R-0001", do.verb, do.req); err != nil {
			t.Fatalf("%s: %v", do.verb, err)
		}
		if got := stateOf(t, c); got != do.want {
			t.Errorf("the run is %s after %s, want %s", got, do.verb, do.want)
		}
	}
	m.Must(planner.RunEnded{Run: 1, Outcome: planner.RunWasAborted})
	ended, err := c.Run(t.Context(), "1")
	if err != nil || ended.Item.Exit != console.ExitAborted || ended.Item.Open() {
		t.Errorf("the run ended with %d, %v; want 11", ended.Item.Exit, err)
	}
}

func stateOf(t *testing.T, c *console.Client) string {
	t.Helper()
	run, err := c.Run(t.Context(), "R-0001")
	if err != nil {
		t.Fatal(err)
	}
	return run.Item.State
}

func TestArmAndConfirm(t *testing.T) {
	m := consoletest.Shop()
	c := client(t, serve(t, m).URL)
	armed, err := c.Arm(t.Context(), "restart-elsewhere", "")
	if err != nil || !strings.Contains(armed.Item.Message, "already") {
		t.Errorf("arm of an armed plan = %q, %v", armed.Item.Message, err)
	}
	if _, err := c.Disarm(t.Context(), "restart-elsewhere", "quiet please"); err != nil {
		t.Error(err)
	}
	if plan, _ := m.Look().State.Plans.Get("restart-elsewhere"); plan.Armed {
		t.Error("the plan is armed after disarm")
	}
	epoch := m.Host("ams-1").Epoch
	if _, err := c.Confirm(t.Context(), "ams-1", console.ConfirmRequest{Reason: "unplugged", Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	host, err := c.Host(t.Context(), "ams-1")
	if err != nil {
		t.Fatal(err)
	}
	if host.Item.Word != console.HostConfirmed || host.Item.Evidence == nil || host.Item.Evidence.By != "local:ada" {
		t.Errorf("after the confirmation the host is %s with evidence %+v", host.Item.Word, host.Item.Evidence)
	}
	if again, err := c.Confirm(t.Context(), "ams-1", console.ConfirmRequest{Reason: "unplugged"}); err != nil || !strings.Contains(again.Item.Message, "already") {
		t.Errorf("a second confirmation = %q, %v", again.Item.Message, err)
	}
}
