package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseScript(t *testing.T) {
	tests := []struct {
		text string
		want []Step
	}{
		{"kill host-of:web; wait; kill leader; heal; wait", []Step{
			{Verb: "kill", Target: "host-of:web"},
			{Verb: "wait", Limit: time.Minute},
			{Verb: "kill", Target: "leader"},
			{Verb: "heal"},
			{Verb: "wait", Limit: time.Minute},
		}},
		{" kill  ams-1 ;wait 30s;", []Step{{Verb: "kill", Target: "ams-1"}, {Verb: "wait", Limit: 30 * time.Second}}},
	}
	for _, test := range tests {
		got, err := ParseScript(test.text)
		if err != nil {
			t.Errorf("ParseScript(%q): %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("ParseScript(%q) (-want +got):\n%s", test.text, diff)
		}
		var written []string
		for _, step := range got {
			written = append(written, step.String())
		}
		again, err := ParseScript(strings.Join(written, "; "))
		if err != nil || !cmp.Equal(again, got) {
			t.Errorf("ParseScript(%q) = %v, %v; want %v, as it was written from", written, again, err, got)
		}
	}
}

func TestParseScriptMistakes(t *testing.T) {
	tests := []struct {
		text string
		want []string // in the error
	}{
		{"", []string{"holds no step"}},
		{" ; ", []string{"holds no step"}},
		{"kil web", []string{`"kil web": there is no such step; write kill, heal or wait`}},
		{"kill", []string{"write kill HOST"}},
		{"kill ams-9", []string{"there is no host ams-9; the hosts are ams-1, ams-2"}},
		{"kill host-of:shop", []string{"there is no workload shop; the workloads are db, api, web, front"}},
		{"heal ams-1", []string{"heal stands alone"}},
		{"wait 30", []string{"such as wait 30s"}},
		{"wait -1s", []string{"such as wait 30s"}},
		{"wait 1s 2s", []string{"such as wait 30s"}},
		{"kill ams-9; wait; pause", []string{"ams-9", "pause"}},
	}
	for _, test := range tests {
		_, err := ParseScript(test.text)
		if err == nil {
			t.Errorf("ParseScript(%q) = nil, want an error", test.text)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("ParseScript(%q) = %q, want it to say %q", test.text, err, want)
			}
		}
	}
}
