package amqpbroker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker"
)

func config(urls ...string) Config {
	c := Defaults()
	c.URLs = urls
	return c
}

func TestURLsAreReadAsKombuReadsThem(t *testing.T) {
	for _, c := range []struct{ url, server, login string }{
		{"amqp://", "amqp://guest@127.0.0.1:5672/%2F", "guest:guest"},
		{"amqp://localhost", "amqp://guest@127.0.0.1:5672/%2F", "guest:guest"},
		{"pyamqp://u:p@Host:1234/v", "amqp://u@host:1234/v", "u:p"},
		{"librabbitmq://u@h/", "amqp://u@h:5672/%2F", "u:guest"},
		{"amqps://u:p@h", "amqps://u@h:5671/%2F", "u:p"},
		{"amqp://u:p@h//", "amqp://u@h:5672/%2F", "u:p"},
		{"amqp://u:p@h//v", "amqp://u@h:5672/%2Fv", "u:p"},
		{"amqp://u:p%40%2F%23@h/a%2Fb", "amqp://u@h:5672/a%2Fb", "u:p@/#"},
		{"amqp://u:p@ss:w@h/v?heartbeat=5", "amqp://u@h:5672/v", "u:p@ss:w"},
		{"amqp://[::1]:99/v", "amqp://guest@[::1]:99/v", "guest:guest"},
		{"rabbit", "amqp://guest@rabbit:5672/%2F", "guest:guest"},
		{"amqp://h?virtual_host=x&login_method=EXTERNAL", "amqp://guest@h:5672/x", "guest:guest"},
	} {
		s, err := config(c.url).understand()
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		n := s.nodes[0]
		if got := n.server(); got != c.server || n.username+":"+n.password != c.login {
			t.Errorf("%s: %s as %s:%s, want %s as %s", c.url, got, n.username, n.password, c.server, c.login)
		}
	}
}

func TestAListIsReadInItsOrder(t *testing.T) {
	s, err := config("amqp://a;amqps://b", "pyamqp://c:1").understand()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range s.nodes {
		got = append(got, n.address())
	}
	if diff := cmp.Diff([]string{"a:5672", "b:5671", "c:1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWrongSettingsAreToldTogetherAndWithoutPasswords(t *testing.T) {
	c := config("redis://:s3cret@h", "amqp://u:s3/cret@h", "amqp://h?heartbeat=x")
	c.LoginMethod, c.FailoverStrategy, c.UseSSL = "GSSAPI", "mine", json.RawMessage(`{"context": {}}`)
	c.TransportOptions = map[string]json.RawMessage{"authentication": json.RawMessage(`["s3cret"]`), "heartbeat": json.RawMessage(`"s3cret"`)}
	c.URLs = append(c.URLs, "amqp://h")
	_, err := New(c)
	for _, part := range []string{`scheme "redis"`, "port", "heartbeat", "GSSAPI", "mine", "context", "authentication"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Contains(fmt.Sprint(err), "s3") {
		t.Errorf("a password shows in %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no URL, no error")
	}
}

func TestTransportOptionsWinOverSettingsAndURLsOverBoth(t *testing.T) {
	c := config("amqp://a", "amqp://b?heartbeat=7&connect_timeout=2.5&login_method=AMQPLAIN")
	c.TransportOptions = map[string]json.RawMessage{"heartbeat": json.RawMessage("30"), "login_method": json.RawMessage(`"EXTERNAL"`), "confirm_publish": json.RawMessage("true")}
	s, err := c.understand()
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.nodes[0], s.nodes[1]
	if a.heartbeat != 30*time.Second || a.loginMethod != "EXTERNAL" || a.connectTimeout != 4*time.Second {
		t.Errorf("a: %+v", a)
	}
	if b.heartbeat != 7*time.Second || b.loginMethod != "AMQPLAIN" || b.connectTimeout != 2500*time.Millisecond {
		t.Errorf("b: %+v", b)
	}
}

func TestTablesHaveTheTypesThatPyAMQPWrites(t *testing.T) {
	got, err := table(json.RawMessage(`{"s": "x", "i": 5, "neg": -2147483648, "long": 2147483648, "f": 1.0, "e": 1e3, "b": true, "n": null, "l": [null, "a", 1], "d": {"k": []}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := amqp.Table{"s": "x", "i": int32(5), "neg": int32(-2147483648), "long": int64(2147483648), "f": 1.0, "e": 1000.0,
		"b": true, "n": nil, "l": []any{nil, "a", int32(1)}, "d": amqp.Table{"k": []any{}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"x": 99999999999999999999}`, `[]`, `{"` + strings.Repeat("n", 256) + `": 1}`} {
		if _, err := table(json.RawMessage(bad)); err == nil {
			t.Errorf("%.40s: no error", bad)
		}
	}
}

func TestTLSVerifiesTheChainAlwaysAndTheNameWhenItIsGiven(t *testing.T) {
	for _, c := range []struct {
		url, useSSL string
		skip, chain bool // InsecureSkipVerify, VerifyConnection
		name        string
	}{
		{"amqps://h", `false`, true, true, ""},
		{"amqp://h", `true`, true, true, ""},
		{"amqp://h", `{"cert_reqs": 2, "server_hostname": null}`, false, false, "h"},
		{"amqp://h", `{"server_hostname": "x"}`, false, false, "x"},
		{"amqp://h", `{"cert_reqs": 0}`, true, false, ""},
		{"amqp://h", `{"ssl_version": 2}`, true, false, ""},
		{"amqp://h?ssl_cert_reqs=CERT_NONE", `null`, true, false, ""},
	} {
		cfg := config(c.url)
		cfg.UseSSL = json.RawMessage(c.useSSL)
		s, err := cfg.understand()
		if err != nil {
			t.Errorf("%s %s: %v", c.url, c.useSSL, err)
			continue
		}
		got := s.tls[0]
		if got == nil || got.InsecureSkipVerify != c.skip || (got.VerifyConnection != nil) != c.chain || got.ServerName != c.name {
			t.Errorf("%s %s: %+v", c.url, c.useSSL, got)
		}
	}
	if s, _ := config("amqp://h").understand(); s.tls[0] != nil {
		t.Error("TLS without being asked for")
	}
}

func TestABrokerThatEndsDuringTheLoginHasNotRefusedUs(t *testing.T) {
	for _, c := range []struct {
		err   error
		after time.Duration
		want  error
	}{
		{amqp.ErrCredentials, 10 * time.Millisecond, broker.ErrUnavailable},
		{amqp.ErrCredentials, 3 * time.Second, broker.ErrRefused},
		{amqp.ErrVhost, 0, broker.ErrUnavailable},
		{&amqp.Error{Code: 530, Reason: "NOT_ALLOWED - vhost x not found", Server: true}, 0, broker.ErrRefused},
		{amqp.ErrSASL, 0, broker.ErrRefused},
	} {
		if got := classify(silentClose(c.err, c.after)); !errors.Is(got, c.want) {
			t.Errorf("%v after %v: %v", c.err, c.after, got)
		}
	}
}
