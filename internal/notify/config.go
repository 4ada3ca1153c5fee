package notify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/holter-ha/holter/planner"
)

// Limits of the configuration.
const (
	maxChannels = 16
	minSecret   = 16 // bytes
)

// Channel is one way to tell people or programs of events: a webhook or a command.
type Channel struct {
	Name    string   `yaml:"name"`
	On      []string `yaml:"on"` // names of events, as holter events shows them; host.* and * stand for several
	Webhook *Webhook `yaml:"webhook"`
	Command []string `yaml:"command"` // a program and its arguments
}

// Webhook is a URL that events are posted to.
type Webhook struct {
	URL        string `yaml:"url"`
	SecretFile string `yaml:"secret_file"` // what requests are signed with; left out: they are not
	CAFile     string `yaml:"ca_file"`     // whom to trust beside the system's authorities, as PEM; left out: only these
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Check finds all mistakes in the channels of a config file, but for those in the files that it names.
func Check(channels []Channel) error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf("notify"+format, args...)) }
	if len(channels) > maxChannels {
		wrong(": %d channels are too many, at most %d", len(channels), maxChannels)
	}
	seen := map[string]bool{}
	for i, c := range channels {
		if !validName.MatchString(c.Name) {
			wrong("[%d].name %q: use lower-case letters, digits and '-', at most 63", i, c.Name)
		}
		if seen[c.Name] {
			wrong("[%d].name %q is another channel's already", i, c.Name)
		}
		seen[c.Name] = true
		if len(c.On) == 0 {
			wrong("[%d].on is missing: name the events, such as host.lost, run.* or '*'", i)
		}
		for _, pattern := range c.On {
			if !slices.ContainsFunc(eventNames(), func(name string) bool { return matches(pattern, name) }) {
				wrong("[%d].on: there is no event %q; there are %s", i, pattern, strings.Join(eventNames(), " "))
			}
		}
		if (c.Webhook == nil) == (len(c.Command) == 0) {
			wrong("[%d]: give either webhook or command", i)
		}
		if c.Webhook != nil {
			mistakes = append(mistakes, c.Webhook.check(i)...)
		}
		if len(c.Command) > 0 && !filepath.IsAbs(c.Command[0]) {
			wrong("[%d].command: %q is not an absolute path", i, c.Command[0])
		}
	}
	return errors.Join(mistakes...)
}

// check never shows the URL: its path or query may be a secret.
func (w *Webhook) check(i int) []error {
	var mistakes []error
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		mistakes = append(mistakes, fmt.Errorf("notify[%d].webhook.url is not a URL: write https://example.com/hook", i))
	} else if u.Scheme == "http" && !loopback(u.Hostname()) {
		mistakes = append(mistakes, fmt.Errorf("notify[%d].webhook.url: without TLS only a loopback address is safe; use https://", i))
	}
	for field, path := range map[string]string{"secret_file": w.SecretFile, "ca_file": w.CAFile} {
		if path != "" && !filepath.IsAbs(path) {
			mistakes = append(mistakes, fmt.Errorf("notify[%d].webhook.%s %q is not an absolute path", i, field, path))
		}
	}
	return mistakes
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// eventNames lists the events as people see them.
func eventNames() []string {
	names := planner.EventNames()
	for i := range names {
		names[i] = strings.Replace(names[i], "_", ".", 1)
	}
	return names
}

// matches says that a pattern stands for an event.
func matches(pattern, name string) bool {
	if before, ok := strings.CutSuffix(pattern, "*"); ok && (before == "" || strings.HasSuffix(before, ".")) {
		return strings.HasPrefix(name, before)
	}
	return pattern == name
}

// secret reads what requests are signed with. The error does not hold it.
func (w *Webhook) secret() ([]byte, error) {
	if w.SecretFile == "" {
		return nil, nil
	}
	info, err := os.Stat(w.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the secret in %s can be read by everybody: chmod o= it", w.SecretFile)
	}
	text, err := os.ReadFile(w.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret in %s is shorter than %d bytes: make one with: openssl rand -hex 32", w.SecretFile, minSecret)
	}
	return []byte(secret), nil
}

// roots are the authorities that the receiver's certificate may come from; nil: the system's.
func (w *Webhook) roots() (*x509.CertPool, error) {
	if w.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(w.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", w.CAFile)
	}
	return pool, nil
}
