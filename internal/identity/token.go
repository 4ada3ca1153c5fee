package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

const (
	joinPrefix  = "hj1."
	tokenPrefix = "ht_"
	secretBytes = 32
	idLength    = 8
	maxJoin     = 4096
)

// JoinToken lets the agent of a host enrol once.
type JoinToken struct {
	Host    string    `json:"h"`
	Root    string    `json:"c"` // fingerprint of the cluster's root
	Secret  string    `json:"s"`
	Servers []string  `json:"a"` // API of the monitors, host:port
	Expires time.Time `json:"e"`
}

// NewSecret makes a secret that nobody guesses.
func NewSecret() string {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

// Hash is what is kept of a secret: its SHA-256, 64 hex digits. The secrets are random and long, so it needs no salt.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// SameHash compares two hashes in constant time.
func SameHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// String writes the token in one word. It is a secret.
func (t JoinToken) String() string {
	text, _ := json.Marshal(t) //nolint:gosec // to carry the secret is what the token is for
	return joinPrefix + base64.RawURLEncoding.EncodeToString(text)
}

// ParseJoinToken reads what String wrote. The error does not repeat it.
func ParseJoinToken(text string) (JoinToken, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), joinPrefix)
	if !ok || len(text) > maxJoin {
		return JoinToken{}, fmt.Errorf("this is no join token: one begins with %s", joinPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return JoinToken{}, errors.New("the join token is not whole: copy all of it")
	}
	var t JoinToken
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&t) != nil || decoder.More() || t.Host == "" || t.Root == "" || t.Secret == "" || len(t.Servers) == 0 {
		return JoinToken{}, errors.New("the join token is not whole: copy all of it")
	}
	return t, nil
}

// NewToken makes an API token: its text, which is a secret, its id and what is kept of it.
func NewToken() (text, id, hash string) {
	random := make([]byte, idLength/2)
	_, _ = rand.Read(random) // never fails
	id = hex.EncodeToString(random)
	secret := NewSecret()
	return tokenPrefix + id + "_" + secret, id, Hash(secret)
}

// ParseToken reads an API token.
func ParseToken(text string) (id, secret string, err error) {
	body, ok := strings.CutPrefix(text, tokenPrefix)
	id, secret, whole := strings.Cut(body, "_")
	if !ok || !whole || len(id) != idLength || len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return "", "", errors.New("this is no API token: one begins with " + tokenPrefix)
	}
	return id, secret, nil
}

// NewNKey makes the nkey of an agent and leaves its secret part in the directory.
func NewNKey(dir string) (public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make an nkey: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return "", fmt.Errorf("make an nkey: %w", err)
	}
	if err := WriteFile(filepath.Join(dir, SeedFile), append(seed, '\n')); err != nil {
		return "", fmt.Errorf("keep the nkey: %w", err)
	}
	return pair.PublicKey()
}

// LoadNKey reads the nkey of an agent.
func LoadNKey(dir string) (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(filepath.Join(dir, SeedFile))
	if err != nil {
		return nil, fmt.Errorf("read the nkey: %w", err)
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, fmt.Errorf("%s holds no nkey", filepath.Join(dir, SeedFile))
	}
	if public, err := pair.PublicKey(); err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, fmt.Errorf("%s holds an nkey, but none of a user", filepath.Join(dir, SeedFile))
	}
	return pair, nil
}
