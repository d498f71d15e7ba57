package redisbroker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// security is what broker_use_ssl and the ssl_* parameters of a URL say.
type security struct {
	verify, checkHostname bool
	ca, cert, key         string
	caData                string
}

// tlsConfig returns nil for a plain connection. warn is told what is unsafe.
//
// Celery: rediss:// without parameters verifies nothing and warns
// (kombu/connection.py); ssl_check_hostname is on wherever the certificate is
// verified (redis-py).
func tlsConfig(n node, useSSL json.RawMessage, warn func(string)) (*tls.Config, error) {
	params, on, err := sslParams(n, useSSL)
	if err != nil || !(on || n.tls) {
		return nil, err
	}
	s, err := readSecurity(params)
	if err != nil {
		return nil, err
	}
	if !s.verify {
		warn("the broker's TLS certificate is not verified (ssl_cert_reqs is none)")
	}
	return s.config()
}

// sslParams joins both sources; the URL's win, as in kombu.
func sslParams(n node, useSSL json.RawMessage) (map[string]any, bool, error) {
	params := map[string]any{}
	on := false
	switch text := string(bytes.TrimSpace(useSSL)); text {
	case "", "null", "false", "{}":
	case "true":
		on = true
	default:
		on = true
		if err := json.Unmarshal(useSSL, &params); err != nil {
			return nil, false, errors.New("broker_use_ssl is neither a boolean nor a dictionary of names")
		}
	}
	for name, value := range n.query {
		if strings.HasPrefix(name, "ssl_") {
			params[name] = value
			on = true
		}
	}
	return params, on, nil
}

func readSecurity(params map[string]any) (security, error) {
	// redis-py verifies where anything is said, kombu does not where nothing is.
	s := security{checkHostname: true, verify: len(params) > 0}
	var errs []error
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	for name, value := range params {
		switch strings.TrimPrefix(name, "ssl_") {
		case "cert_reqs":
			verify, err := certReqs(text(value))
			errs = append(errs, err)
			s.verify = verify
		case "ca_certs", "cafile":
			s.ca = text(value)
		case "certfile":
			s.cert = text(value)
		case "keyfile":
			s.key = text(value)
		case "ca_data":
			s.caData = text(value)
		case "check_hostname":
			s.checkHostname = strings.ToLower(text(value)) != "false"
		default:
			errs = append(errs, fmt.Errorf("broker_use_ssl: cannot honour %q", name))
		}
	}
	return s, errors.Join(errs...)
}

// certReqs accepts what Python's ssl module and kombu accept, by number or name.
func certReqs(value string) (bool, error) {
	name := strings.ToLower(value)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "verifymode."), "cert_")
	switch name {
	case "0", "none", "":
		return false, nil
	case "1", "optional", "2", "required": // a client treats optional as required
		return true, nil
	}
	return false, errors.New("ssl_cert_reqs is none of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED")
}

func (s security) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !s.verify || !s.checkHostname} //nolint:gosec // as asked for, with a warning
	var errs []error
	if s.ca != "" || s.caData != "" {
		c.RootCAs = x509.NewCertPool()
		pem := []byte(s.caData)
		if s.ca != "" {
			file, err := os.ReadFile(s.ca)
			if err != nil {
				errs = append(errs, fmt.Errorf("cannot read ssl_ca_certs: %w", err))
			}
			pem = append(append(pem, '\n'), file...)
		}
		if !c.RootCAs.AppendCertsFromPEM(pem) && len(errs) == 0 {
			errs = append(errs, errors.New("ssl_ca_certs holds no certificate"))
		}
	}
	if s.cert != "" {
		key := s.key
		if key == "" {
			key = s.cert
		}
		pair, err := tls.LoadX509KeyPair(s.cert, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot load ssl_certfile and ssl_keyfile: %w", err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.verify && !s.checkHostname {
		c.VerifyConnection = chainOnly(c.RootCAs)
	}
	return c, errors.Join(errs...)
}

// chainOnly verifies the certificate but not the name in it.
func chainOnly(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the broker shows no certificate")
		}
		between := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
