package amqpbroker

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
	verify        bool
	ca, cert, key string
	name          string // checked against the certificate; empty: it is not checked
	version       string
}

// tlsConfig returns nil for a plain connection. warn is told what is unsafe.
//
// Celery: the chain is verified where nothing is said, the name in the certificate
// only where server_hostname is given (amqp/transport.py, _wrap_socket_sni).
func tlsConfig(n node, useSSL json.RawMessage, warn func(string)) (*tls.Config, error) {
	params, on, err := sslParams(n, useSSL)
	if err != nil || !(on || n.tls) {
		return nil, err
	}
	s, err := readSecurity(params, n.host)
	if err != nil {
		return nil, err
	}
	switch {
	case !s.verify:
		warn("the broker's TLS certificate is not verified (cert_reqs is none)")
	case s.name == "":
		warn("the name in the broker's TLS certificate is not checked; broker_use_ssl's server_hostname makes it so")
	}
	return s.config()
}

func sslParams(n node, useSSL json.RawMessage) (map[string]any, bool, error) {
	params, on, err := endpoint.UseSSL(useSSL)
	if err != nil {
		return nil, false, err
	}
	for name, value := range n.query {
		params[strings.TrimPrefix(name, "ssl_")] = value
		on = true
	}
	return params, on, nil
}

func readSecurity(params map[string]any, host string) (security, error) {
	s := security{verify: true}
	if _, given := params["ssl_version"]; given && fmt.Sprint(params["ssl_version"]) != protocolTLSClient {
		s.verify = false // contexts of Python's other protocols verify nothing by themselves
	}
	var errs []error
	for name, value := range params {
		text := fmt.Sprint(value)
		if value == nil {
			text = ""
		}
		switch name {
		case "cert_reqs":
			if value == nil {
				continue
			}
			verify, err := endpoint.Verifies("broker_use_ssl: cert_reqs", text)
			errs = append(errs, err)
			s.verify = verify
		case "ca_certs":
			s.ca = text
		case "certfile":
			s.cert = text
		case "keyfile":
			s.key = text
		case "server_hostname":
			if s.name = text; value == nil {
				s.name = host
			}
		case "check_hostname":
			if strings.ToLower(text) == "true" {
				s.name = host
			}
		case "ssl_version":
			s.version = text
		case "do_handshake_on_connect", "suppress_ragged_eofs", "server_side", "ciphers":
			// The handshake is made in any case; Go chooses ciphers that are safe.
		default:
			errs = append(errs, fmt.Errorf("broker_use_ssl: cannot honour %q", name))
		}
	}
	return s, errors.Join(errs...)
}

// Numbers of Python's ssl.PROTOCOL_*.
const (
	protocolTLS12     = "5"
	protocolTLSClient = "16"
)

func (s security) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.name, InsecureSkipVerify: !s.verify || s.name == ""} //nolint:gosec // as asked for, with a warning
	if s.version == protocolTLS12 {
		c.MaxVersion = tls.VersionTLS12
	}
	var errs []error
	if s.ca != "" {
		c.RootCAs = x509.NewCertPool()
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read ca_certs: %w", err))
		} else if !c.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, errors.New("ca_certs holds no certificate"))
		}
	}
	if s.cert != "" {
		pair, err := endpoint.KeyPair(s.cert, s.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot load certfile and keyfile: %w", err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.verify && s.name == "" {
		c.VerifyConnection = endpoint.ChainOnly(c.RootCAs)
	}
	return c, errors.Join(errs...)
}
