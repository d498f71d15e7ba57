package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is a certificate authority that lives as long as its control plane, and the
// key that ServiceAccount tokens are signed with.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   []byte // PEM
}

// newPKI makes the authority, the server's certificate and the token key, as files
// in the folder pki of dir.
func newPKI(dir string) (*pki, error) {
	p := &pki{dir: filepath.Join(dir, "pki")}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the folder of certificates: %w", err)
	}
	if err := errors.Join(p.makeAuthority(), p.makeServer(), p.makeTokenKey()); err != nil {
		return nil, fmt.Errorf("cannot make certificates: %w", err)
	}
	return p, nil
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) makeAuthority() (err error) {
	if p.key, err = newKey(); err != nil {
		return err
	}
	template := certificate(pkix.Name{CommonName: "crisper tests"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &p.key.PublicKey, p.key)
	if err != nil {
		return err
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	p.ca = pemBlock("CERTIFICATE", der)
	return os.WriteFile(p.path("ca.crt"), p.ca, 0o644)
}

func (p *pki) makeServer() error {
	if p.cert == nil {
		return nil // said already
	}
	template := certificate(pkix.Name{CommonName: "kube-apiserver"})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	cert, key, err := p.sign(template)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(p.path("server.crt"), cert, 0o644), os.WriteFile(p.path("server.key"), key, 0o600))
}

func (p *pki) makeTokenKey() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(p.path("tokens.key"), pemBlock("EC PRIVATE KEY", private), 0o600),
		os.WriteFile(p.path("tokens.pub"), pemBlock("PUBLIC KEY", public), 0o644))
}

// client makes the certificate of a user; Kubernetes reads groups from its organisations.
func (p *pki) client(user string, groups []string) (cert, key []byte, err error) {
	template := certificate(pkix.Name{CommonName: user, Organization: groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return p.sign(template)
}

// sign makes a key and its certificate, both in PEM.
func (p *pki) sign(template *x509.Certificate) (cert, key []byte, err error) {
	private, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, &private.PublicKey, p.key)
	if err != nil {
		return nil, nil, err
	}
	text, err := x509.MarshalECPrivateKey(private)
	return pemBlock("CERTIFICATE", der), pemBlock("EC PRIVATE KEY", text), err
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// certificate is what all have in common. Valid from yesterday on: tests set clocks back.
func certificate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
	}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
