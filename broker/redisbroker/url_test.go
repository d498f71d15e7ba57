package redisbroker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestURLsAreReadAsKombuReadsThem(t *testing.T) {
	for _, c := range []struct {
		url  string
		want node
	}{
		{"redis://", node{network: "tcp", address: "127.0.0.1:6379"}},
		{"redis://Host", node{network: "tcp", address: "host:6379"}},
		{"redis://h:1/5", node{network: "tcp", address: "h:1", db: 5}},
		{"redis://h?virtual_host=/4", node{network: "tcp", address: "h:6379", db: 4}},
		{"redis://:p%40ss@h/0", node{network: "tcp", address: "h:6379", password: "p@ss"}},
		{"redis://user:a@b:c@h", node{network: "tcp", address: "h:6379", username: "user", password: "a@b:c"}},
		{"redis://u:100%@h", node{network: "tcp", address: "h:6379", username: "u", password: "100%"}},
		{"redis://[::1]:7/1", node{network: "tcp", address: "[::1]:7", db: 1}},
		{"rediss://h", node{network: "tcp", address: "h:6379", tls: true}},
		{"redis+socket:///run/redis.sock?virtual_host=2", node{network: "unix", address: "/run/redis.sock", db: 2}},
		{"redis+socket://u:p@/run/redis.sock", node{network: "unix", address: "/run/redis.sock", username: "u", password: "p"}},
		{"sentinel://s1/3", node{network: "tcp", sentinels: []string{"s1:26379"}, db: 3}},
	} {
		got, err := parseURL(c.url)
		got.query = nil
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(node{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.url, err, diff)
		}
	}
}

func TestBadURLsAreNamedWithoutTheirPassword(t *testing.T) {
	for _, url := range []string{"", "host", "amqp://u:hunter2@h", "redis://u:hunter2/x@h", "redis://:hunter2@h:port", "redis://:hunter2@h/db", "redis://:hunter2@h/-1", "redis://:hunter2@h:70000"} {
		_, err := parseURL(url)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestSentinelsOfAListAreOneNode(t *testing.T) {
	nodes, err := parseURLs([]string{"sentinel://:pw@a;sentinel://b:1/2"})
	if err != nil || len(nodes) != 1 {
		t.Fatal(nodes, err)
	}
	if got := nodes[0].server(); got != "sentinel://a:26379;b:1/0" {
		t.Error(got)
	}
}

func TestRedactHidesEveryPassword(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h/0":                       "redis://h/0",
		"redis://:hunter2@h/0":              "redis://:**@h/0",
		"redis://u:hunter2@h;redis://:x@i":  "redis://u:**@h;redis://:**@i",
		"redis://h?password=hunter2&a=b":    "redis://h?password=**&a=b",
		"hunter2":                           "**",
		"redis+socket://:hunter2@/run/sock": "redis+socket://:**@/run/sock",
		"redis://u:hun;ter2@h":              "redis://u:**@h",
	} {
		if got := Redact(url); got != want {
			t.Errorf("%s became %s, want %s", url, got, want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"redis://u:secretword@h:1/2?ssl_cert_reqs=none", "sentinel://a;sentinel://b", "redis+socket:///a?virtual_host=1", "rediss://[::1]", "redis://%zz@%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		Redact(text)
		nodes, _ := parseURLs([]string{text})
		for _, n := range nodes {
			if n.network == "unix" && !strings.HasPrefix(n.address, "/") {
				t.Errorf("socket %q", n.address)
			}
			// The password is at least as long as what could be in there by chance.
			if len(n.password) > 8 && !strings.Contains(n.server(), n.password) && strings.Contains(Redact(text), n.password) && strings.Count(text, n.password) == 1 {
				t.Errorf("%q shows the password as %q", text, Redact(text))
			}
		}
	})
}
