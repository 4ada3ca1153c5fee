package plans

import "testing"

func TestExpand(t *testing.T) {
	vars := map[string]string{"host.name": "h1", "host.address": "10.0.0.1", "empty": "", "again": "{{ host.name }}"}
	for text, want := range map[string]string{
		"":                                   "",
		"plain":                              "plain",
		"{{ host.name }}":                    "h1",
		"{{host.name}}":                      "h1",
		"http://{{ host.address }}:80/x":     "http://10.0.0.1:80/x",
		"{{ host.name }}{{ host.name }}!":    "h1h1!",
		"a{{ empty }}b":                      "ab",
		"{{ again }}":                        "{{ host.name }}",
		"{{ unknown }} {{ host.name }}":      "{{ unknown }} h1",
		"{{ host.name":                       "{{ host.name",
		"}} {{ host.name }} }}":              "}} h1 }}",
		"{{ {{ host.name }}":                 "{{ {{ host.name }}",
		"{ { host.name } } {host.name} {{}}": "{ { host.name } } {host.name} {{}}",
		"ü{{ host.name }}ü":                  "üh1ü",
	} {
		if got := Expand(text, vars); got != want {
			t.Errorf("Expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"address", "labels", "on_failure", "site", "timeout"}
	for word, want := range map[string]string{
		"adress":    "address",
		"label":     "labels",
		"lables":    "labels",
		"sites":     "site",
		"stie":      "site",
		"onfailure": "on_failure",
		"time_out":  "timeout",
		"zzz":       "",
		"":          "",
		"capacity":  "",
	} {
		if got := (&linter{}).nearest(word, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
