package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/holter-ha/holter/internal/identity"
)

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	// What was left behind by an attempt, readable by all, must not pass that on.
	for _, name := range []string{identity.RootKeyFile, identity.SeedFile} {
		if err := os.WriteFile(path(name)+".new", []byte("left"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.root.Save(path(identity.RootFile), path(identity.RootKeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.NewNKey(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("found %v, %v, want three files", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	// A write that fails leaves the old file, and nothing beside it.
	if err := os.Mkdir(path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := identity.WriteFile(path("folder"), []byte("x")); err == nil {
		t.Error("a folder was written over")
	}
	if _, err := os.Lstat(path("folder.new")); !os.IsNotExist(err) {
		t.Errorf("a passing file was left: %v", err)
	}
}

func TestAuthorityIsKept(t *testing.T) {
	w, foreign, dir := newWorld(t), newWorld(t), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for cert, save := range map[string]*identity.Authority{"ca": w.root, "issuer": w.issuer, "foreign": foreign.root} {
		if err := save.Save(path(cert+".crt"), path(cert+".key")); err != nil {
			t.Fatal(err)
		}
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, certs := range map[string]int{"ca": 1, "issuer": 2} {
		a, err := identity.LoadAuthority(path(name+".crt"), path(name+".key"), path("ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := a.Issue(a1, key.Public(), nil, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := identity.ReadCerts(chain); err != nil || len(got) != certs {
			t.Errorf("%s issued %d certificates, %v, want %d", name, len(got), err, certs)
		}
	}
	if _, err := identity.LoadAuthority(path("issuer.crt"), path("ca.key"), path("ca.crt")); err == nil {
		t.Error("another key was taken")
	}
	if _, err := identity.LoadAuthority(path("issuer.crt"), path("issuer.key"), path("foreign.crt")); err == nil {
		t.Error("the issuer of another root was taken")
	}
	if _, err := w.issuer.NewIssuer("deeper", time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestIssueRefuses(t *testing.T) {
	w := newWorld(t)
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []identity.ID{
		{Kind: identity.Agent}, {Kind: "root", Name: "x"}, {Kind: identity.Agent, Name: "a/b"}, {Kind: identity.User, Name: "a?b"},
	} {
		if _, err := w.issuer.Issue(id, key.Public(), nil, time.Now(), time.Hour); err == nil {
			t.Errorf("%s got a certificate", id)
		}
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.issuer.Issue(a1, weak.Public(), nil, time.Now(), time.Hour); err == nil {
		t.Error("a key on P-224 got a certificate")
	}
	// An issuer's issuer is one too many for the root.
	deeper, err := w.issuer.NewIssuer("deeper", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := deeper.Issue(a1, key.Public(), nil, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := w.party(t, a1, nil, time.Now())
	write(t, filepath.Join(p.Dir(), identity.CertFile), chain)
	if _, err := identity.Load(p.Dir()); err == nil {
		t.Error("what an issuer's issuer signed was loaded")
	}
}

func TestRequest(t *testing.T) {
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := identity.NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := identity.ReadRequest(text)
	if err != nil || !key.PublicKey.Equal(public) {
		t.Errorf("got %v, %v, want the public key", public, err)
	}
	other, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := identity.EncodeKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nothing": "", "a key": string(secret), "cut": string(text[:len(text)/2]),
		"changed": strings.Replace(string(text), string(text[len(text)/2:len(text)/2+4]), "AAAA", 1),
	} {
		if _, err := identity.ReadRequest([]byte(bad)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

func TestJoinToken(t *testing.T) {
	want := identity.JoinToken{
		Host: "a1", Root: strings.Repeat("a", 64), Secret: identity.NewSecret(), Servers: []string{"10.0.0.1:7470"},
		Expires: time.Now().UTC().Truncate(time.Second),
	}
	got, err := identity.ParseJoinToken(" " + want.String() + "\n")
	if err != nil || cmp.Diff(got, want) != "" {
		t.Errorf("%v %s", err, cmp.Diff(got, want))
	}
	whole := want.String()
	word := func(json string) string { return "hj1." + base64.RawURLEncoding.EncodeToString([]byte(json)) }
	for name, text := range map[string]string{
		"nothing": "", "another prefix": "hj2" + whole[3:], "cut": whole[:len(whole)-7], "no base64": "hj1.***", "long": whole + strings.Repeat(" ", 5000),
		"no host":       word(`{"c":"x","s":"x","a":["x"],"e":"2026-01-01T00:00:00Z"}`),
		"no server":     word(`{"h":"x","c":"x","s":"x","a":[],"e":"2026-01-01T00:00:00Z"}`),
		"unknown field": word(`{"h":"x","c":"x","s":"x","a":["x"],"e":"2026-01-01T00:00:00Z","z":1}`),
		"two":           word(`{"h":"x","c":"x","s":"x","a":["x"],"e":"2026-01-01T00:00:00Z"}{}`),
	} {
		_, err := identity.ParseJoinToken(text)
		if err == nil {
			t.Errorf("%s: was read", name)
		} else if strings.Contains(err.Error(), want.Secret) || len(err.Error()) > 100 {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
}

func TestToken(t *testing.T) {
	text, id, hash := identity.NewToken()
	gotID, secret, err := identity.ParseToken(text)
	if err != nil || gotID != id || !identity.SameHash(identity.Hash(secret), hash) {
		t.Errorf("got %s %v, want %s", gotID, err, id)
	}
	again, _, _ := identity.NewToken()
	if again == text {
		t.Error("two tokens are the same")
	}
	for _, bad := range []string{"", "ht_", text[3:], text[:len(text)-1], text + "x", "ht_x" + text[3:]} {
		if _, _, err := identity.ParseToken(bad); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSameHash(t *testing.T) {
	a, b := identity.Hash("a"), identity.Hash("b")
	if !identity.SameHash(a, identity.Hash("a")) || identity.SameHash(a, b) || identity.SameHash(a, a[:63]) || identity.SameHash(a, "") {
		t.Error("hashes are compared wrongly")
	}
}

func TestNKey(t *testing.T) {
	dir := t.TempDir()
	public, err := identity.NewNKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := identity.LoadNKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := pair.Sign([]byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := nkeys.FromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify([]byte("nonce"), signature); err != nil {
		t.Error(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{[]byte("garbage"), seed} {
		write(t, filepath.Join(dir, identity.SeedFile), text)
		if _, err := identity.LoadNKey(dir); err == nil || strings.Contains(err.Error(), string(text)) {
			t.Errorf("a file that holds no user's nkey: %v", err)
		}
	}
}
