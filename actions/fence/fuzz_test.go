package fence

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const fuzzMetadata = `<?xml version="1.0" ?>
<resource-agent name="fence_test" shortdesc="A test">
<parameters>
  <parameter name="ip" required="1"><getopt mixed="-a"/><content type="string" default="x"/><shortdesc lang="en">Where</shortdesc></parameter>
  <parameter name="password" required="0"><content type="select"><option value="a"/><option value="b"/></content></parameter>
</parameters>
<actions><action name="on" automatic="1"/><action name="off"/></actions>
</resource-agent>`

// FuzzMetadata looks for metadata of an agent that is read and says nothing of what the agent can do, or whose passwords would be
// shown, or that takes more memory than it is long.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(fuzzMetadata))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "bbbb">]><resource-agent shortdesc="&b;&b;"><actions><action name="&b;"/></actions></resource-agent>`))
	f.Add([]byte(strings.Repeat("<resource-agent>", 20_000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMetadata(text)
		if err != nil {
			return
		}
		if len(m.Actions) == 0 {
			t.Errorf("%q is taken, and lists no actions", text)
		}
		size := len(m.Summary)
		for _, p := range m.Parameters {
			size += len(p.Name) + len(p.Type) + len(p.Default) + len(p.Summary) + len(p.Obsoletes) + len(strings.Join(p.Choices, ""))
			if strings.HasPrefix(p.Name, "passw") && !p.Secret {
				t.Errorf("%q: option %q is not hidden", text, p.Name)
			}
		}
		// A broken byte becomes a replacement character of three.
		if size += len(strings.Join(m.Actions, "")); size > 3*len(text) {
			t.Errorf("%d bytes of metadata became %d", len(text), size)
		}
	})
}

// FuzzSaid looks for output of an agent in which a secret is shown, in any form that agents are known to print, or that is no fit
// text of a bounded length.
func FuzzSaid(f *testing.F) {
	f.Add("ERROR:root:login failed: s3cret-w0rd\n", "", "s3cret-w0rd", "admin")
	f.Add(base64.StdEncoding.EncodeToString([]byte("admin:s3cret-w0rd")), "\x1b[31mred", "s3cret-w0rd", "admin")
	f.Add(url.QueryEscape("s3 cret&w0rd"), strings.Repeat("x", outputLimit)+"s3 cret&w0rd", "s3 cret&w0rd", "")
	f.Fuzz(func(t *testing.T, stdout, stderr, secret, user string) {
		if len(secret) < 8 || !utf8.ValidString(secret) || strings.ContainsFunc(secret, func(c rune) bool { return !unicode.IsPrint(c) || c == ' ' }) ||
			strings.Contains(hiddenText+hiddenText, secret) {
			t.Skip("no password that agents are told")
		}
		var o output
		o.stdout.limit = outputLimit
		for _, part := range []string{stdout, secret} {
			_, _ = o.stdout.Write([]byte(part))
		}
		for _, part := range []string{stderr, secret} {
			_, _ = o.stderr.Write([]byte(part))
		}
		said := o.said(newSecrets([]string{secret}, slices.DeleteFunc([]string{user}, func(u string) bool { return u == "" })))
		if strings.Contains(said, secret) {
			t.Errorf("%q is shown in %q", secret, said)
		}
		if n := utf8.RuneCountInString(said); n > saidLimit || strings.ContainsFunc(said, func(c rune) bool { return c < ' ' }) {
			t.Errorf("%q is no fit text: %d characters", said, n)
		}
	})
}
