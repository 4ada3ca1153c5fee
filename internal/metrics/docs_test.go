package metrics

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"
)

const (
	page      = "../../docs/observability.md"
	dashboard = "../../docs/grafana/holter.json"
	rules     = "../../docs/alerts/holter.rules.yaml"
)

// rows are the table of metrics as the page has it.
func rows() []string {
	var list []string
	row := func(name, kind string, labels []string, help string) {
		for i := range labels {
			labels[i] = "`" + labels[i] + "`"
		}
		list = append(list, fmt.Sprintf("| `%s` | %s | %s | %s |", name, kind, strings.Join(labels, " "), help))
	}
	for _, m := range all {
		kind := "gauge"
		if m.kind == prometheus.CounterValue {
			kind = "counter"
		}
		row(m.name, kind, slices.Clone(m.labels), m.help)
	}
	row(stepDuration, "histogram", slices.Clone(stepLabels), stepHelp)
	return list
}

// TestPageListsEveryMetric: the table of the page is that of the code.
func TestPageListsEveryMetric(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var before, got, after []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "| `holter_"):
			got = append(got, line)
		case len(got) > 0 || strings.HasPrefix(line, "|---|---|---|---|") || len(after) > 0:
			after = append(after, line)
		default:
			before = append(before, line)
		}
	}
	if diff := cmp.Diff(rows(), got); diff == "" {
		return
	} else if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("the table of %s (-want +got), go test -update writes it:\n%s", page, diff)
	}
	if len(got) == 0 && len(after) > 0 { // the first time
		before, after = append(before, after[0]), after[1:]
	}
	anew := strings.Join(slices.Concat(before, rows(), after), "\n") + "\n"
	if err := os.WriteFile(page, []byte(anew), 0o600); err != nil {
		t.Fatal(err)
	}
}

var ours = regexp.MustCompile(`\bholter_[a-z_]+`)

// unknown lists the names in an expression that are no metric of ours.
func unknown(expression string) []string {
	var list []string
	for _, name := range ours.FindAllString(expression, -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if base != stepDuration && !slices.ContainsFunc(all, func(m metric) bool { return m.name == name }) {
			list = append(list, name)
		}
	}
	return list
}

// TestDashboard: it can be read, each expression is over metrics that there are, and every metric is on it.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title      string
		Templating struct{ List []struct{ Name string } }
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	seen, cells := map[int]bool{}, map[[2]int]string{}
	for _, panel := range d.Panels {
		if seen[panel.ID] {
			t.Errorf("panel %q has another one's number", panel.Title)
		}
		seen[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies on %q, or beyond the edge", panel.Title, other)
				}
				cells[[2]int{x, y}] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			if names := unknown(target.Expr); len(names) > 0 || target.Expr == "" {
				t.Errorf("panel %q: %s: there is no metric %q", panel.Title, target.Expr, names)
			}
		}
	}
	for _, name := range append(metricNames(), stepDuration) {
		if !strings.Contains(string(text), name) {
			t.Errorf("%s is on no panel", name)
		}
	}
	if len(d.Panels) < 30 || d.Title != "Holter" || len(d.Templating.List) != 2 {
		t.Errorf("the dashboard %q has %d panels and %d variables", d.Title, len(d.Panels), len(d.Templating.List))
	}
}

func metricNames() []string {
	var list []string
	for _, m := range all {
		list = append(list, m.name)
	}
	return list
}

// TestAlertRules: they can be read, each is over metrics that there are, and says how bad it is and what to do.
func TestAlertRules(t *testing.T) {
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if names := unknown(rule.Expr); len(names) > 0 || !ours.MatchString(rule.Expr) {
				t.Errorf("%s: %s: there is no metric %q", rule.Alert, rule.Expr, names)
			}
			if seen[rule.Alert] || !strings.HasPrefix(rule.Alert, "Holter") {
				t.Errorf("alert %q: want a name of its own that begins with Holter", rule.Alert)
			}
			seen[rule.Alert] = true
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: summary or description is missing", rule.Alert)
			}
		}
	}
	for _, want := range []string{
		"HolterHostLost", "HolterNoLeader", "HolterFenceTestFailed", "HolterFenceTestStale", "HolterLeaseMarginLow", "HolterMonitorLags",
		"HolterCertificateExpires",
	} {
		if !seen[want] {
			t.Errorf("there is no alert %s", want)
		}
	}
}
