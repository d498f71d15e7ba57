package endpoint

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// UseSSL reads broker_use_ssl: a boolean, or a dictionary, which means yes.
func UseSSL(text json.RawMessage) (params map[string]any, on bool, err error) {
	params = map[string]any{}
	switch text := string(bytes.TrimSpace(text)); text {
	case "", "null", "false", "{}":
		return params, false, nil
	case "true":
		return params, true, nil
	}
	if err := json.Unmarshal(text, &params); err != nil {
		return nil, false, errors.New("broker_use_ssl is neither a boolean nor a dictionary of names")
	}
	return params, true, nil
}

// Verifies reads cert_reqs, by number or name, as Python's ssl module and kombu do.
// setting is its name, for the error.
func Verifies(setting, value string) (bool, error) {
	name := strings.ToLower(value)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "verifymode."), "cert_")
	switch name {
	case "0", "none":
		return false, nil
	case "1", "optional", "2", "required": // a client treats optional as required
		return true, nil
	}
	return false, fmt.Errorf("%s is none of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED", setting)
}

// KeyPair loads what a client shows of itself. The key is in the certificate's file
// where it has none of its own.
func KeyPair(cert, key string) (tls.Certificate, error) {
	if key == "" {
		key = cert
	}
	return tls.LoadX509KeyPair(cert, key)
}

// ChainOnly verifies the certificate but not the name in it.
func ChainOnly(roots *x509.CertPool) func(tls.ConnectionState) error {
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
