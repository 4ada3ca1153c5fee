package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// Party is a holder of a certificate who speaks with others of the cluster. Its certificate may be replaced while it does.
type Party struct {
	id    ID
	dir   string
	key   crypto.Signer
	roots *x509.CertPool
	root  *x509.Certificate
	cert  atomic.Pointer[tls.Certificate]
}

// Load reads a party's files from its directory: RootFile, CertFile, KeyFile. The certificate must be its root's, and may
// have expired.
func Load(dir string) (*Party, error) {
	root, err := readCertFile(filepath.Join(dir, RootFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, err
	}
	p := &Party{dir: dir, key: key, roots: x509.NewCertPool(), root: root[0]}
	p.roots.AddCert(root[0])
	chain, err := readCertFile(filepath.Join(dir, CertFile))
	if err != nil {
		return nil, err
	}
	if p.id, err = p.check(chain); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, CertFile), err)
	}
	p.use(chain)
	return p, nil
}

// check verifies that a certificate is for the party's key and comes from its root.
func (p *Party) check(chain []*x509.Certificate) (ID, error) {
	leaf := chain[0]
	id, err := Holder(leaf)
	if err != nil {
		return ID{}, err
	}
	if public, ok := p.key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return ID{}, errors.New("the certificate is for another key")
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: p.roots, Intermediates: between, CurrentTime: MadeAt(leaf), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return ID{}, fmt.Errorf("the certificate is not of this cluster: %w", err)
	}
	return id, nil
}

func (p *Party) use(chain []*x509.Certificate) {
	cert := &tls.Certificate{PrivateKey: p.key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	p.cert.Store(cert)
}

// Replace takes a new certificate for the same holder and key, as PEM, into use and leaves it on disk.
func (p *Party) Replace(text []byte) error {
	chain, err := ReadCerts(text)
	if err != nil {
		return err
	}
	id, err := p.check(chain)
	if err != nil {
		return err
	}
	if id != p.id {
		return fmt.Errorf("the new certificate is for %s, this is %s", id, p.id)
	}
	if err := WriteFile(filepath.Join(p.dir, CertFile), text); err != nil {
		return fmt.Errorf("keep the new certificate: %w", err)
	}
	p.use(chain)
	return nil
}

// ID is who the party is.
func (p *Party) ID() ID { return p.id }

// Dir is the directory of its files.
func (p *Party) Dir() string { return p.dir }

// Key is its private key.
func (p *Party) Key() crypto.Signer { return p.key }

// Root is whom it trusts.
func (p *Party) Root() *x509.Certificate { return p.root }

// Cert is its certificate of now.
func (p *Party) Cert() *x509.Certificate { return p.cert.Load().Leaf }

// Expires is when its certificate of now ends.
func (p *Party) Expires() time.Time { return p.Cert().NotAfter }

// Due says whether it is time to renew the certificate: a third of its life is left, or less.
func (p *Party) Due(now time.Time) bool {
	cert := p.Cert()
	return now.After(cert.NotAfter.Add(-cert.NotAfter.Sub(MadeAt(cert)) / 3))
}

// Server is how the party, a monitor, answers. Callers must show a certificate of one of the kinds; none for no kinds: then
// a caller may show one of any kind, or none.
func (p *Party) Server(kinds ...Kind) *tls.Config {
	config := p.config()
	config.ClientCAs = p.roots
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if len(kinds) > 0 {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.cert.Load(), nil }
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 && len(kinds) == 0 {
			return nil
		}
		return checkKind(state, kinds)
	}
	return config
}

// Client is how the party calls a monitor. The address that it dials must be in the monitor's certificate.
func (p *Party) Client() *tls.Config {
	config := p.config()
	config.RootCAs = p.roots
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.cert.Load(), nil }
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return ofServer(state, checkKind(state, []Kind{Monitor}))
	}
	return config
}

func (p *Party) config() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS13} }

// Peer is how a monitor calls another one and answers it, on the same configuration.
func (p *Party) Peer() *tls.Config {
	config, client := p.Server(Monitor), p.Client()
	config.RootCAs, config.GetClientCertificate = client.RootCAs, client.GetClientCertificate
	return config
}

func checkKind(state tls.ConnectionState, kinds []Kind) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	id, err := Holder(state.PeerCertificates[0])
	if err != nil {
		return err
	}
	if len(kinds) > 0 && !slices.Contains(kinds, id.Kind) {
		return fmt.Errorf("the certificate is of %s, want one of a %v", id, kinds)
	}
	return nil
}

// ofServer makes an error what crypto/tls makes of those that it finds: callers tell by it that nothing was sent.
func ofServer(state tls.ConnectionState, err error) error {
	if err == nil {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
}

// Anonymous is how somebody without a certificate calls a monitor whose root is known by its fingerprint only: the chain
// that the monitor shows must end in it. Any monitor will do: an IP address that was dialled is not known here, so that only a
// host name is compared.
func Anonymous(fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it, by the fingerprint
		VerifyConnection: func(state tls.ConnectionState) error {
			return ofServer(state, verifyByFingerprint(state, fingerprint))
		},
	}
}

func verifyByFingerprint(state tls.ConnectionState, fingerprint string) error {
	var root *x509.Certificate
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		if SameHash(Fingerprint(cert), fingerprint) {
			root = cert
		}
		between.AddCert(cert)
	}
	if root == nil {
		return errors.New("this is not the cluster that the token is for: its root certificate has another fingerprint")
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: state.ServerName}); err != nil {
		return err
	}
	return checkKind(state, []Kind{Monitor})
}

// ServerToAnyone is Server for callers of any kind and none. It shows the root as well, for those who know its fingerprint
// only.
func (p *Party) ServerToAnyone() *tls.Config {
	config := p.Server()
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert := *p.cert.Load()
		cert.Certificate = append(slices.Clip(cert.Certificate), p.root.Raw)
		return &cert, nil
	}
	return config
}
