package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Trust is how somebody who has no certificate, but a token, calls a monitor of the cluster whose root is in a directory.
func Trust(dir string) (*tls.Config, error) {
	root, err := readCertFile(filepath.Join(dir, RootFile))
	if err != nil {
		return nil, err
	}
	p := &Party{roots: x509.NewCertPool()}
	p.roots.AddCert(root[0])
	config := p.Client()
	config.GetClientCertificate = nil
	return config, nil
}

// Make makes the directory of a new party: its key, and the certificate that sign gives for a request, with the root as PEM;
// and files beside them. The directory must not exist, and if anything fails it does not.
func Make(dir string, sign func(request []byte) (cert, root []byte, err error), files map[string]string) (*Party, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already; nothing was changed", dir)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".identity-*")
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // gone already if all went well
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	request, err := NewRequest(key)
	if err != nil {
		return nil, err
	}
	cert, root, err := sign(request)
	if err != nil {
		return nil, err
	}
	encoded, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{RootFile: root, CertFile: cert, KeyFile: encoded}
	for name, text := range files {
		all[name] = []byte(text)
	}
	for name, content := range all {
		if err := WriteFile(filepath.Join(temporary, name), content); err != nil {
			return nil, fmt.Errorf("make %s: %w", dir, err)
		}
	}
	party, err := Load(temporary)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	party.dir = dir
	return party, nil
}
