package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Kind says what holds a certificate.
type Kind string

// The kinds of holder.
const (
	Monitor Kind = "monitor"
	Agent   Kind = "agent"
	User    Kind = "user"
)

// ID is the holder of a certificate.
type ID struct {
	Kind Kind
	Name string
}

// String is "kind name", for people.
func (id ID) String() string { return string(id.Kind) + " " + id.Name }

const (
	scheme = "holter"
	// backdate lets clocks differ: a certificate is good from so long before it was made.
	backdate = 10 * time.Minute

	rootLife   = 20 * 365 * 24 * time.Hour
	issuerLife = 10 * 365 * 24 * time.Hour
	// LeafLife is how long certificates of monitors and agents last: they renew themselves when a third of it is left.
	LeafLife = 90 * 24 * time.Hour
	// UserLife is how long a user's certificate lasts.
	UserLife = 365 * 24 * time.Hour
)

// Authority signs certificates: the root of a cluster, or an issuer that the root has signed.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	root *x509.Certificate // itself for the root
}

// NewRoot makes the root of a cluster.
func NewRoot(cluster string, now time.Time) (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := authorityTemplate("Holter "+cluster+" root", now, rootLife)
	template.MaxPathLen = 1
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the root certificate: %w", err)
	}
	return &Authority{cert: cert, key: key, root: cert}, nil
}

// NewIssuer makes an authority that signs holders, but no further authorities.
func (a *Authority) NewIssuer(name string, now time.Time) (*Authority, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := authorityTemplate("Holter issuer "+name, now, issuerLife)
	template.MaxPathLenZero = true
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make the issuer %s: %w", name, err)
	}
	return &Authority{cert: cert, key: key, root: a.root}, nil
}

func authorityTemplate(name string, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
}

// Issue signs a certificate for a holder's public key, good for the addresses (IP addresses and names) if it is a monitor's.
// It returns the certificate and what links it to the root, as PEM.
func (a *Authority) Issue(id ID, public crypto.PublicKey, addresses []string, now time.Time, life time.Duration) ([]byte, error) {
	if !slices.Contains([]Kind{Monitor, Agent, User}, id.Kind) || id.Name == "" || strings.ContainsAny(id.Name, "/?#% ") {
		return nil, fmt.Errorf("make a certificate for %s: this is no holder", id)
	}
	if key, ok := public.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("make a certificate for %s: its key is not an ECDSA key on P-256", id)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: id.Name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		URIs:     []*url.URL{{Scheme: scheme, Path: "/" + string(id.Kind) + "/" + id.Name}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	if id.Kind == Monitor {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		for _, address := range addresses {
			if ip := net.ParseIP(address); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, address)
			}
		}
	}
	cert, err := sign(template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", id, err)
	}
	chain := encodeCert(cert)
	if a.cert != a.root {
		chain = append(chain, encodeCert(a.cert)...)
	}
	return chain, nil
}

// Root is the certificate that everybody trusts, as PEM.
func (a *Authority) Root() []byte { return encodeCert(a.root) }

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// NewKey makes a private key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// Holder reads who holds a certificate, which must have been verified.
func Holder(cert *x509.Certificate) (ID, error) {
	if len(cert.URIs) == 1 && cert.URIs[0].Scheme == scheme && cert.URIs[0].Host == "" {
		kind, name, ok := strings.Cut(strings.TrimPrefix(cert.URIs[0].Path, "/"), "/")
		id := ID{Kind(kind), name}
		if ok && name != "" && slices.Contains([]Kind{Monitor, Agent, User}, id.Kind) {
			return id, nil
		}
	}
	return ID{}, errors.New("the certificate does not say whose it is")
}

// MadeAt is when a certificate was made.
func MadeAt(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(backdate) }

// SPKI is the SHA-256 of a certificate's public key, 64 hex digits.
func SPKI(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Fingerprint is the SHA-256 of a certificate, 64 hex digits.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// NewRequest asks for a certificate for a key, as PEM. It says nothing of whose: who signs it knows.
func NewRequest(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make a request for a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockRequest, Bytes: der}), nil
}

// ReadRequest reads what NewRequest made, and checks that the asker has the key.
func ReadRequest(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != blockRequest {
		return nil, errors.New("this is no request for a certificate")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read a request for a certificate: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("read a request for a certificate: %w", err)
	}
	return request.PublicKey, nil
}

// Expires is when the authority's own certificate ends.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }
