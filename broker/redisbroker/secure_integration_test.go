//go:build integration

package redisbroker

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
	"testing"
	"time"

	"crisper/broker"
	"crisper/broker/brokertest"
)

// certificate writes a throw-away certificate for 127.0.0.1, its own authority.
func certificate(t *testing.T) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	tlsPort := freePort(t)
	p := spawn(t, "--tls-port", fmt.Sprint(tlsPort), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
	base := fmt.Sprintf("rediss://127.0.0.1:%d/0", tlsPort)
	both := "ssl_certfile=" + cert + "&ssl_keyfile=" + key
	for _, c := range []struct{ name, url, useSSL string }{
		{"verified, by URL", base + "?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=" + cert + "&" + both, ""},
		{"not verified, by number", base, fmt.Sprintf(`{"ssl_cert_reqs": 0, "ssl_certfile": %q, "ssl_keyfile": %q}`, cert, key)},
		{"verified but for the name", fmt.Sprintf("rediss://localhost:%d/0", tlsPort),
			fmt.Sprintf(`{"ssl_cert_reqs": 2, "ssl_check_hostname": false, "ssl_ca_certs": %q, "ssl_certfile": %q, "ssl_keyfile": %q}`, cert, cert, key)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := p.server()
			s.change = func(cfg *Config) { cfg.URLs, cfg.UseSSL = []string{c.url}, []byte(c.useSSL) }
			roundTrip(t, s)
		})
	}
	t.Run("an unknown authority is not connected to", func(t *testing.T) {
		s := p.server()
		s.change = func(cfg *Config) {
			cfg.URLs = []string{base + "?ssl_cert_reqs=required&" + both}
			cfg.Retry = broker.Retry{}
		}
		if err := brokertest.Run(t, s.consumer(t, "w", "q")).Ended(); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
	})
}

func TestSentinelNamesTheMasterAndAFailoverIsFollowed(t *testing.T) {
	first := spawn(t)
	second := spawn(t, "--replicaof", "127.0.0.1", fmt.Sprint(first.port))
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 60000\n", first.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := &process{t: t, dir: t.TempDir(), port: freePort(t)}
	sentinel.args = []string{first.args[0], conf, "--sentinel", "--bind", "127.0.0.1", "--port", fmt.Sprint(sentinel.port), "--dir", sentinel.dir}
	sentinel.start()
	t.Cleanup(sentinel.kill)
	s := first.server()
	s.change = func(c *Config) {
		c.URLs = []string{fmt.Sprintf("sentinel://127.0.0.1:%d;sentinel://127.0.0.1:%d", freePort(t), sentinel.port)}
		c.TransportOptions = raw(t, `{"master_name": "main"}`)
	}
	w := brokertest.Start(t, s.consumer(t, "w", "q"))
	s.Publish(t, "q", 0, brokertest.Payload("a", 0))
	held := w.MustTake(1)
	replica := second.server().client
	await(t, "the replica has it all", func() bool { return replica.HLen(t.Context(), "unacked").Val() == 1 })
	ask := sentinel.server().client
	await(t, "the failover is granted", func() bool { return ask.Do(t.Context(), "SENTINEL", "FAILOVER", "main").Err() == nil })
	await(t, "the replica is master", func() bool {
		return replica.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err() == nil && replica.Set(t.Context(), "x", 1, 0).Err() == nil
	})
	brokertest.Await[broker.Disconnected](w)
	brokertest.Await[broker.Connected](w)
	// Until then it may still be taken for the master, and what is settled there is lost.
	old := first.server().client
	await(t, "the old master follows", func() bool {
		role, err := old.Do(t.Context(), "ROLE").Slice()
		return err == nil && len(role) > 0 && role[0] == "slave"
	})
	await(t, "settled at the new master", func() bool {
		gone, err := w.Settle(t.Context(), brokertest.All(held, broker.Ack))
		return err == nil && len(gone) == 0
	})
	if n := replica.HLen(t.Context(), "unacked").Val(); n != 0 {
		t.Errorf("%d unacked at the new master", n)
	}
}

// await looks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !so(); time.Sleep(50 * time.Millisecond) { // others' processes can only be looked at
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}
