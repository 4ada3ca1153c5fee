package setup_test

import (
	"crypto"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/identity"
	"github.com/holter-ha/holter/internal/setup"
)

// remote stands in for the monitors' API: it signs as they do, unless a test spoils what it answers.
type remote struct {
	dir    string // of the cluster
	issuer *identity.Authority
	server *httptest.Server
	token  identity.JoinToken
	asked  int
	key    crypto.PublicKey
	nkey   string
	sign   identity.ID
	made   time.Time
	spoil  func(*console.Enrolled)
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	r := &remote{dir: filepath.Join(t.TempDir(), "test"), made: time.Now(), spoil: func(*console.Enrolled) {}}
	c := setup.Cluster{Name: "test", Monitors: []setup.Monitor{{"m1", "127.0.0.1"}}}
	if err := setup.Init(r.dir, c, time.Now()); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(r.dir, "m1", "tls")
	party, err := identity.Load(keys)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(keys, name) }
	if r.issuer, err = identity.LoadAuthority(file(identity.IssuerFile), file(identity.IssuerKeyFile), file(identity.RootFile)); err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(r)
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.server.Listener = tls.NewListener(r.server.Listener, party.ServerToAnyone())
	r.server.Start()
	t.Cleanup(r.server.Close)
	r.sign = identity.ID{Kind: identity.Agent, Name: "host-1"}
	r.token = identity.JoinToken{
		Host: "host-1", Root: identity.Fingerprint(party.Root()), Secret: identity.NewSecret(),
		Servers: []string{r.server.Listener.Addr().String()}, Expires: time.Now().Add(time.Hour),
	}
	return r
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var asked console.EnrollRequest
	err := json.NewDecoder(req.Body).Decode(&asked)
	if req.URL.Path != "/v1/enroll" || err != nil || asked.Host != "host-1" || asked.Secret != r.token.Secret {
		text, _ := console.ErrorJSON(&console.APIError{Code: "refused.invite", Exit: console.ExitForbidden, Message: "the token is used up", Hint: "invite again"})
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(text)
		return
	}
	r.asked++
	r.nkey = asked.NKey
	if r.key, err = identity.ReadRequest([]byte(asked.Request)); err != nil {
		panic(err)
	}
	cert, err := r.issuer.Issue(r.sign, r.key, nil, r.made, identity.LeafLife)
	if err != nil {
		panic(err)
	}
	answer := console.Doc[console.Enrolled]{Item: console.Enrolled{
		Certificate: string(cert), Root: string(r.issuer.Root()),
		NATS: []string{"tls://10.0.0.1:7472", "tls://[fd00::2]:7472"}, API: []string{"https://10.0.0.1:7470", "https://[fd00::2]:7470"},
	}}
	r.spoil(&answer.Item)
	_ = json.NewEncoder(w).Encode(answer)
}

func options(dir string) setup.JoinOptions {
	return setup.JoinOptions{Dir: dir, Now: time.Now(), Say: func(string, ...any) {}}
}

func TestJoin(t *testing.T) {
	r, dir := newRemote(t), filepath.Join(t.TempDir(), "etc")
	joined, err := setup.Join(t.Context(), r.token.String()+"\n", options(dir))
	if err != nil {
		t.Fatal(err)
	}
	party, err := identity.Load(filepath.Join(dir, "tls"))
	if err != nil || party.ID() != r.sign || joined.Host != "host-1" || !joined.Expires.Equal(party.Cert().NotAfter) {
		t.Errorf("got %v, %v, %+v", party, err, joined)
	}
	pair, err := identity.LoadNKey(party.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if public, err := pair.PublicKey(); err != nil || public != r.nkey {
		t.Errorf("the nkey is %s, %v, sent was %s", public, err, r.nkey)
	}
	untouched(t, "joined", dir, "agent.yaml", "tls")
	untouched(t, "joined", party.Dir(), "ca.crt", "nkey.seed", "tls.crt", "tls.key")
	if info, err := os.Stat(party.Dir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the keys: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(party.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	text := read(t, joined.Config)
	golden(t, "joined.yaml", text)
	var config struct {
		Name string
		NATS struct{ URL string }
		API  []string
		TLS  struct{ Dir string }
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	if config.Name != "host-1" || config.NATS.URL != "tls://10.0.0.1:7472,tls://[fd00::2]:7472" || config.TLS.Dir != "tls" ||
		cmp.Diff(config.API, joined.API) != "" {
		t.Errorf("agent.yaml: %+v", config)
	}
}

func TestJoinAgain(t *testing.T) {
	r, dir := newRemote(t), t.TempDir()
	if _, err := setup.Join(t.Context(), r.token.String(), options(dir)); err != nil {
		t.Fatal(err)
	}
	config, key := filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "tls", "tls.key")
	if err := os.WriteFile(config, []byte("name: host-1 # mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := read(t, key)
	_, err := setup.Join(t.Context(), r.token.String(), options(dir))
	refused(t, "without --replace", err, console.ExitRefused, "is there already; nothing was written")
	again := options(dir)
	again.Replace = true
	r.spoil = func(e *console.Enrolled) { e.Root = "x" }
	_, err = setup.Join(t.Context(), r.token.String(), again)
	refused(t, "a bad answer", err, console.ExitFailed, "the root")
	if r.asked != 2 || read(t, key) != before {
		t.Errorf("asked %d times, want 2; keys unchanged: %v", r.asked, read(t, key) == before)
	}
	r.spoil = func(*console.Enrolled) {}
	if _, err = setup.Join(t.Context(), r.token.String(), again); err != nil {
		t.Fatal(err)
	}
	if read(t, key) == before || read(t, config) != "name: host-1 # mine\n" {
		t.Error("the key is the old one, or agent.yaml a new one")
	}
	untouched(t, "enrolled anew", dir, "agent.yaml", "tls")

	other := r.token
	other.Host = "host-2"
	_, err = setup.Join(t.Context(), other.String(), again)
	refused(t, "another host's token", err, console.ExitRefused, "are those of agent host-1")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	_, err = setup.Join(t.Context(), r.token.String(), options(dir))
	refused(t, "keys without agent.yaml", err, console.ExitRefused, "tls is there already")
}

func TestJoinRefusesTokens(t *testing.T) {
	r := newRemote(t)
	for name, c := range map[string]struct {
		change func(*identity.JoinToken)
		code   console.Exit
		why    string
	}{
		"expired":       {func(k *identity.JoinToken) { k.Expires = time.Now().Add(-time.Second) }, console.ExitRefused, "this host's clock says"},
		"another root":  {func(k *identity.JoinToken) { k.Root = strings.Repeat("0", 64) }, console.ExitNoQuorum, "another fingerprint"},
		"no root":       {func(k *identity.JoinToken) { k.Root = "x" }, console.ExitUsage, "names no host"},
		"no host":       {func(k *identity.JoinToken) { k.Host = "x\napi: y" }, console.ExitUsage, "names no host"},
		"wrong secret":  {func(k *identity.JoinToken) { k.Secret = "wrong" }, console.ExitForbidden, "the token is used up"},
		"nobody there":  {func(k *identity.JoinToken) { k.Servers = []string{"127.0.0.1:1"} }, console.ExitNoQuorum, "127.0.0.1:1"},
		"no port there": {func(k *identity.JoinToken) { k.Servers = []string{"127.0.0.1:x"} }, console.ExitUsage, "names no host"},
	} {
		token, dir := r.token, t.TempDir()
		c.change(&token)
		_, err := setup.Join(t.Context(), token.String(), options(dir))
		refused(t, name, err, c.code, c.why)
		if err != nil && strings.Contains(err.Error(), r.token.Secret) {
			t.Errorf("%s: the error tells the secret", name)
		}
		untouched(t, name, dir)
	}
	_, err := setup.Join(t.Context(), "garbage", options(t.TempDir()))
	refused(t, "garbage", err, console.ExitUsage, "no join token")
	if r.asked != 0 {
		t.Errorf("%d of these were enrolled", r.asked)
	}
}

func TestJoinRefusesAnswers(t *testing.T) {
	other := newRemote(t)
	for name, c := range map[string]struct {
		spoil func(*remote)
		why   string
	}{
		"another root": {func(r *remote) { r.spoil = func(e *console.Enrolled) { e.Root = string(other.issuer.Root()) } }, "not the one that the token names"},
		"two roots": {func(r *remote) {
			r.spoil = func(e *console.Enrolled) { e.Root += string(other.issuer.Root()) }
		}, "not the one that the token names"},
		"another issuer": {func(r *remote) { r.issuer = other.issuer; r.spoil = rooted(r) }, "not of this cluster"},
		"another host":   {func(r *remote) { r.sign.Name = "host-2" }, "is for agent host-2, want agent host-1"},
		"another kind":   {func(r *remote) { r.sign.Kind = identity.User }, "is for user host-1, want agent host-1"},
		"another key": {func(r *remote) {
			r.spoil = func(e *console.Enrolled) {
				key, _ := identity.NewKey()
				cert, _ := r.issuer.Issue(r.sign, key.Public(), nil, time.Now(), identity.LeafLife)
				e.Certificate = string(cert)
			}
		}, "for another key"},
		"from the future": {func(r *remote) { r.made = time.Now().Add(time.Hour) }, "this host's clock says"},
		"no address":      {func(r *remote) { r.spoil = func(e *console.Enrolled) { e.NATS = nil } }, "0 addresses"},
		"without TLS":     {func(r *remote) { r.spoil = func(e *console.Enrolled) { e.API[1] = "http://10.0.0.1:7470" } }, "no address like https://"},
		"two in one":      {func(r *remote) { r.spoil = func(e *console.Enrolled) { e.NATS[0] = "tls://a:1,nats://b:1" } }, "no address like tls://"},
		"a quote":         {func(r *remote) { r.spoil = func(e *console.Enrolled) { e.API[0] = "https://a:1/\"\nx: y" } }, "no address like https://"},
	} {
		r, dir := newRemote(t), t.TempDir()
		c.spoil(r)
		_, err := setup.Join(t.Context(), r.token.String(), options(dir))
		refused(t, name, err, console.ExitFailed, c.why)
		untouched(t, name, dir)
	}
	// The folder is made by the join, and cannot be: nothing was asked then.
	r, file := newRemote(t), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := setup.Join(t.Context(), r.token.String(), options(file))
	refused(t, "no folder", err, console.ExitFailed, "nothing was written")
	if r.asked != 0 {
		t.Error("the token was used up although the keys cannot be kept")
	}
}

// rooted makes an answer show the root that the token names, whoever signed.
func rooted(r *remote) func(*console.Enrolled) {
	return func(e *console.Enrolled) {
		root, err := os.ReadFile(filepath.Join(r.dir, "ca", identity.RootFile))
		if err != nil {
			panic(err)
		}
		e.Root = string(root)
	}
}
