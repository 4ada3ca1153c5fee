package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzJoinToken looks for a token that is read as another than it is written as, and for an error that repeats it.
func FuzzJoinToken(f *testing.F) {
	token := JoinToken{
		Host: "east-2", Root: strings.Repeat("0f", 32), Secret: strings.Repeat("s", 43), Servers: []string{"10.0.0.1:7470"},
		Expires: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}.String()
	f.Add(token)
	f.Add(token[:len(token)-5])
	f.Add("hj1.")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseJoinToken(text)
		if err != nil {
			if !reflect.ValueOf(token).IsZero() {
				t.Errorf("%q is refused and leaves %+v", text, token)
			}
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("the error repeats the secret: %v", err)
			}
			return
		}
		if token.Host == "" || token.Root == "" || token.Secret == "" || len(token.Servers) == 0 || len(text) > maxJoin {
			t.Errorf("%q is taken for whole: %+v", text, token)
		}
		if written := token.String(); len(written) <= maxJoin {
			again, err := ParseJoinToken(written)
			if err != nil || again.String() != written {
				t.Errorf("%q is written as %q and read as %+v (%v)", text, written, again, err)
			}
		}
	})
}

// FuzzToken looks for an API token of whose parts another is made.
func FuzzToken(f *testing.F) {
	text, _, _ := NewToken()
	f.Add(text)
	f.Add("ht_0a1b2c3d_short")
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, err := ParseToken(text)
		switch {
		case err != nil && (id != "" || secret != ""):
			t.Errorf("%q is refused and leaves %q and %q", text, id, secret)
		case err == nil && tokenPrefix+id+"_"+secret != text:
			t.Errorf("%q is read as %q and %q", text, id, secret)
		}
	})
}

// FuzzRequest looks for a request for a certificate that is taken without a proof that the asker has the key, and for a key that
// an authority signs although it is none of ours.
func FuzzRequest(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	request, err := NewRequest(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(bytes.ToLower(request))
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	root, err := NewRoot("test", now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		public, err := ReadRequest(text)
		if err != nil {
			if public != nil {
				t.Errorf("%q is refused and leaves a key", text)
			}
			return
		}
		cert, err := root.Issue(ID{Agent, "east-2"}, public, nil, now, LeafLife)
		elliptical, ours := public.(*ecdsa.PublicKey)
		if ours = ours && elliptical.Curve == elliptic.P256(); ours != (err == nil) {
			t.Fatalf("a key %T is signed: %v", public, err)
		}
		if err != nil {
			return
		}
		chain, err := ReadCerts(cert)
		if err != nil || !elliptical.Equal(chain[0].PublicKey) || chain[0].IsCA {
			t.Errorf("%q leads to a certificate that is not for its key alone (%v)", text, err)
		}
	})
}

// FuzzCerts looks for certificates that are read as others than they are written as, and for holders that no authority names.
func FuzzCerts(f *testing.F) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	root, err := NewRoot("test", now)
	if err != nil {
		f.Fatal(err)
	}
	issuer, err := root.NewIssuer("m1", now)
	if err != nil {
		f.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	for _, id := range []ID{{Monitor, "m1"}, {Agent, "east-2"}, {User, "ann"}} {
		chain, err := issuer.Issue(id, key.Public(), []string{"10.0.0.1", "m1.example"}, now, LeafLife)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(chain)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: []byte("x")}))
	f.Fuzz(func(t *testing.T, text []byte) {
		certs, err := ReadCerts(text)
		if err != nil {
			if certs != nil {
				t.Errorf("%q is refused and leaves certificates", text)
			}
			return
		}
		var written []byte
		for _, cert := range certs {
			written = append(written, encodeCert(cert)...)
		}
		again, err := ReadCerts(written)
		if err != nil || len(again) == 0 || len(again) != len(certs) {
			t.Fatalf("%q is written as %q: %d certificates, not %d (%v)", text, written, len(again), len(certs), err)
		}
		for i, cert := range certs {
			if !cert.Equal(again[i]) {
				t.Errorf("certificate %d of %q is read as another", i, text)
			}
		}
		if id, err := Holder(certs[0]); err == nil && !named(id, certs[0]) {
			t.Errorf("the certificate of %q names %s", certs[0].URIs, id)
		}
	})
}

// named says that a certificate names its holder in the one way in which an authority writes it.
func named(id ID, cert *x509.Certificate) bool {
	return (id.Kind == Monitor || id.Kind == Agent || id.Kind == User) && id.Name != "" && len(cert.URIs) == 1 &&
		cert.URIs[0].Path == "/"+string(id.Kind)+"/"+id.Name
}
