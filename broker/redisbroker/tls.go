package redisbroker

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"crisper/broker/internal/endpoint"
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
	params, on, err := endpoint.UseSSL(useSSL)
	if err != nil {
		return nil, false, err
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
			s.verify = false // null, as Python's None
			if given := text(value); given != "" {
				verify, err := endpoint.Verifies("ssl_cert_reqs", given)
				errs = append(errs, err)
				s.verify = verify
			}
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
		pair, err := endpoint.KeyPair(s.cert, s.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot load ssl_certfile and ssl_keyfile: %w", err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.verify && !s.checkHostname {
		c.VerifyConnection = endpoint.ChainOnly(c.RootCAs)
	}
	return c, errors.Join(errs...)
}
