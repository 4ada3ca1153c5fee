package setup

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
)

// agentConfig is the config file of an agent.
const agentConfig = "agent.yaml"

// maxURLs is how many addresses of one kind an agent takes over.
const maxURLs = 16

// validPrint is the rule for fingerprints.
var validPrint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// agentFile is what the template of an agent's config file needs.
type agentFile struct {
	Example bool
	Host    string
	NATS    string // URLs with commas between
	API     []string
}

// JoinOptions say how a host joins.
type JoinOptions struct {
	Dir     string    // for the config file, and the folder of the keys
	Replace bool      // enrol anew where keys are; the config file stays as it is
	Now     time.Time // by this host's clock
	// Say tells of progress.
	Say func(format string, args ...any)
}

// Joined is what came of a join.
type Joined struct {
	Host    string       `json:"host"`
	Config  string       `json:"config"` // path
	Keys    string       `json:"keys"`   // folder
	API     []string     `json:"api"`
	NATS    []string     `json:"nats"`
	Expires console.Time `json:"expires"` // the certificate, which renews itself before
}

// Join enrols the agent of this host with a one-time token. Its keys are made here; only their public halves are sent.
func Join(ctx context.Context, text string, o JoinOptions) (Joined, error) {
	token, err := readToken(text, o.Now)
	if err != nil {
		return Joined{}, err
	}
	j := &join{
		token: token, o: o, config: filepath.Join(o.Dir, agentConfig), tls: filepath.Join(o.Dir, dirTLS),
	}
	if err := j.checkPlace(); err != nil {
		return Joined{}, err
	}
	if err := j.begin(); err != nil {
		return Joined{}, &Error{Exit: console.ExitFailed, Message: fmt.Sprintf("make the keys: %v; nothing was written", err)}
	}
	defer func() { _ = os.RemoveAll(j.made) }() // nothing is there once it has its name
	enrolled, err := j.enroll(ctx)
	if err != nil {
		return Joined{}, err
	}
	return j.finish(enrolled)
}

// readToken refuses what is no token of use by now.
func readToken(text string, now time.Time) (identity.JoinToken, error) {
	token, err := identity.ParseJoinToken(text)
	if err != nil {
		return token, &Error{
			Exit: console.ExitUsage, Message: err.Error() + "; nothing was written",
			Hint: "make one: holter agent invite HOST",
		}
	}
	var servers []string
	for _, server := range token.Servers {
		servers = append(servers, "https://"+server)
	}
	if !validName.MatchString(token.Host) || !validPrint.MatchString(token.Root) || checkURLs("https", servers) != nil {
		return token, &Error{Exit: console.ExitUsage, Message: "the join token names no host, no cluster or no monitor; nothing was written"}
	}
	if !now.Before(token.Expires) {
		return token, &Error{
			Exit: console.ExitRefused,
			Message: fmt.Sprintf("the join token for %s has expired at %s, and this host's clock says %s; nothing was written",
				token.Host, token.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)),
			Hint: "make a new one: holter agent invite " + token.Host + "; or set the clock, if it is wrong",
		}
	}
	return token, nil
}

// join is one enrolment under way.
type join struct {
	token       identity.JoinToken
	o           JoinOptions
	config, tls string
	made        string // the folder of the keys, under a passing name
	key         *ecdsa.PrivateKey
	nkey        string // public
}

// checkPlace refuses to write over the files of an agent.
func (j *join) checkPlace() error {
	for _, path := range []string{j.config, j.tls} {
		_, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return &Error{Exit: console.ExitFailed, Message: err.Error() + "; nothing was written"}
		case !j.o.Replace:
			return &Error{
				Exit: console.ExitRefused, Message: path + " is there already; nothing was written",
				Hint: "to enrol this host anew, which keeps agent.yaml: holter join --replace",
			}
		}
	}
	if old, err := identity.Load(j.tls); err == nil && old.ID().Name != j.token.Host {
		return &Error{
			Exit: console.ExitRefused, Message: fmt.Sprintf("the keys in %s are those of %s, and the token is for %s; nothing was written", j.tls, old.ID(), j.token.Host),
			Hint: "move " + j.config + " and " + j.tls + " away if this machine is " + j.token.Host + " from now on",
		}
	}
	return nil
}

// begin makes the keys in a folder that only its owner can look into.
func (j *join) begin() (err error) {
	if err := os.MkdirAll(j.o.Dir, 0o755); err != nil { //nolint:gosec // agent.yaml holds no secret; the keys get a folder of their own
		return err
	}
	if j.made, err = os.MkdirTemp(j.o.Dir, ".tls-*"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(j.made)
		}
	}()
	if j.key, err = identity.NewKey(); err != nil {
		return err
	}
	secret, err := identity.EncodeKey(j.key)
	if err != nil {
		return err
	}
	if err := identity.WriteFile(filepath.Join(j.made, identity.KeyFile), secret); err != nil {
		return err
	}
	j.nkey, err = identity.NewNKey(j.made)
	return err
}

// enroll asks the monitors that the token names, in order.
func (j *join) enroll(ctx context.Context) (console.Enrolled, error) {
	request, err := identity.NewRequest(j.key)
	if err != nil {
		return console.Enrolled{}, &Error{Exit: console.ExitFailed, Message: err.Error() + "; nothing was written"}
	}
	var servers []string
	for _, server := range j.token.Servers {
		servers = append(servers, "https://"+server)
	}
	j.o.Say("keys for agent %s made; asking %s", j.token.Host, strings.Join(servers, ", "))
	client := console.NewClient(servers, console.ClientOptions{TLS: identity.Anonymous(j.token.Root)})
	defer client.Close()
	answer, err := client.Enroll(ctx, console.EnrollRequest{
		Host: j.token.Host, Secret: j.token.Secret, Request: string(request), NKey: j.nkey,
	})
	if err != nil {
		return console.Enrolled{}, j.notEnrolled(err)
	}
	return answer.Item, nil
}

// notEnrolled says what came of asking, and that nothing of it stayed here.
func (j *join) notEnrolled(err error) error {
	e := &Error{
		Exit: console.ExitFailed, Message: fmt.Sprintf("enrol %s: %v; nothing was written", j.token.Host, err),
		Hint: "when that is mended and the token is refused as used: holter agent invite " + j.token.Host,
	}
	if api, ok := errors.AsType[*console.APIError](err); ok {
		e.Exit = api.Exit
		for _, tried := range api.Tried {
			e.Message += fmt.Sprintf("\n  %s  %s", tried.Server, tried.Reason)
		}
		if api.Hint != "" {
			e.Hint = api.Hint
		}
	}
	return e
}

// finish checks what the monitors gave, and puts everything in place.
func (j *join) finish(enrolled console.Enrolled) (Joined, error) {
	cert, err := j.accept(enrolled)
	if err == nil {
		err = j.place(enrolled)
	}
	if err != nil {
		return Joined{}, &Error{
			Exit: console.ExitFailed, Message: fmt.Sprintf("take over what the monitors gave: %v; nothing was written", err),
			Hint: "the token is used up; make a new one: holter agent invite " + j.token.Host,
		}
	}
	j.o.Say("wrote %s and %s", j.config, j.tls)
	return Joined{
		Host: j.token.Host, Config: j.config, Keys: j.tls, API: enrolled.API, NATS: enrolled.NATS,
		Expires: console.Time{Time: cert},
	}, nil
}

// accept keeps the root and the certificate if they are what was asked for, and says when the certificate ends.
func (j *join) accept(enrolled console.Enrolled) (time.Time, error) {
	roots, err := identity.ReadCerts([]byte(enrolled.Root))
	if err != nil {
		return time.Time{}, fmt.Errorf("the root: %w", err)
	}
	if len(roots) != 1 || !identity.SameHash(identity.Fingerprint(roots[0]), j.token.Root) {
		return time.Time{}, errors.New("the root is not the one that the token names")
	}
	for _, text := range []struct{ name, content string }{
		{identity.RootFile, enrolled.Root}, {identity.CertFile, enrolled.Certificate},
	} {
		if err := identity.WriteFile(filepath.Join(j.made, text.name), []byte(text.content)); err != nil {
			return time.Time{}, err
		}
	}
	party, err := identity.Load(j.made)
	if err != nil {
		return time.Time{}, errors.New(strings.ReplaceAll(err.Error(), j.made+string(filepath.Separator), ""))
	}
	if want := (identity.ID{Kind: identity.Agent, Name: j.token.Host}); party.ID() != want {
		return time.Time{}, fmt.Errorf("the certificate is for %s, want %s", party.ID(), want)
	}
	cert := party.Cert()
	if j.o.Now.Before(cert.NotBefore) || j.o.Now.After(cert.NotAfter) {
		return time.Time{}, fmt.Errorf("the certificate is good from %s to %s, and this host's clock says %s",
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), j.o.Now.UTC().Format(time.RFC3339))
	}
	return cert.NotAfter, errors.Join(checkURLs("tls", enrolled.NATS), checkURLs("https", enrolled.API))
}

// checkURLs refuses addresses that are none, or that go without TLS.
func checkURLs(scheme string, urls []string) error {
	if len(urls) == 0 || len(urls) > maxURLs {
		return fmt.Errorf("they name %d addresses %s://…, want 1 to %d", len(urls), scheme, maxURLs)
	}
	for _, text := range urls {
		if u, err := url.Parse(text); err != nil || u.Scheme != scheme || u.Port() == "" || u.Host == "" || text != scheme+"://"+u.Host ||
			strings.ContainsAny(text, ", ") {
			return fmt.Errorf("%q is no address like %s://10.0.0.1:7470", text, scheme)
		}
	}
	return nil
}

// place puts the config file and the keys where they belong: both or none.
func (j *join) place(enrolled console.Enrolled) (err error) {
	if _, err := os.Lstat(j.config); errors.Is(err, fs.ErrNotExist) {
		text, err := render(agentConfig, agentFile{Host: j.token.Host, NATS: strings.Join(enrolled.NATS, ","), API: enrolled.API})
		if err != nil {
			return err
		}
		if err := identity.WriteFile(j.config, text); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = os.Remove(j.config)
			}
		}()
	}
	old := j.made + ".old"
	moved := os.Rename(j.tls, old)
	if moved != nil && !errors.Is(moved, fs.ErrNotExist) {
		return moved
	}
	if err := os.Rename(j.made, j.tls); err != nil {
		if moved == nil {
			err = errors.Join(err, os.Rename(old, j.tls))
		}
		return err
	}
	_ = os.RemoveAll(old) // keys that count no more
	return nil
}
