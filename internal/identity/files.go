package identity

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a holder, in a directory of its own.
const (
	RootFile      = "ca.crt"     // whom it trusts
	CertFile      = "tls.crt"    // its certificate, and what links it to the root
	KeyFile       = "tls.key"    // its private key
	IssuerFile    = "issuer.crt" // of a monitor: what it signs others with
	IssuerKeyFile = "issuer.key"
	SeedFile      = "nkey.seed" // of an agent: the secret part of its nkey
	RootKeyFile   = "ca.key"    // of the operator
)

const (
	blockCert    = "CERTIFICATE"
	blockKey     = "PRIVATE KEY"
	blockRequest = "CERTIFICATE REQUEST"
)

func encodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: cert.Raw})
}

// ReadCerts reads certificates from PEM, at least one.
func ReadCerts(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != blockCert {
			return nil, fmt.Errorf("found a %s, want a certificate", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return certs, nil
}

// EncodeKey writes a private key as PEM.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), nil
}

func readKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != blockKey {
		return nil, fmt.Errorf("%s holds no private key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the key in %s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in %s does not sign", path)
	}
	return signer, nil
}

func readCertFile(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	certs, err := ReadCerts(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs, nil
}

// WriteFile writes a file that is there whole or not at all. Only its owner may read it.
func WriteFile(path string, content []byte) error {
	temporary := path + ".new"
	// One that was left behind may be readable by others, and would stay so.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Save leaves an authority in two files.
func (a *Authority) Save(certPath, keyPath string) error {
	key, err := EncodeKey(a.key)
	if err != nil {
		return err
	}
	if err := WriteFile(keyPath, key); err != nil {
		return fmt.Errorf("write the key of %s: %w", a.cert.Subject.CommonName, err)
	}
	if err := WriteFile(certPath, encodeCert(a.cert)); err != nil {
		return fmt.Errorf("write the certificate of %s: %w", a.cert.Subject.CommonName, err)
	}
	return nil
}

// LoadAuthority reads what Save wrote; rootPath is the root's certificate, the same as certPath for the root.
func LoadAuthority(certPath, keyPath, rootPath string) (*Authority, error) {
	cert, err := readCertFile(certPath)
	if err != nil {
		return nil, err
	}
	root, err := readCertFile(rootPath)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyPath)
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: cert[0], key: key, root: root[0]}
	if a.cert.Equal(a.root) {
		a.root = a.cert
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(a.cert.PublicKey) || !a.cert.IsCA {
		return nil, fmt.Errorf("the key in %s does not belong to the authority in %s", keyPath, certPath)
	}
	if err := a.cert.CheckSignatureFrom(a.root); err != nil {
		return nil, fmt.Errorf("the authority in %s is not of the cluster whose root is %s: %w", certPath, rootPath, err)
	}
	return a, nil
}
