package amqpbroker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"crisper/broker/internal/endpoint"
)

// node is one server to connect to.
type node struct {
	host, port         string // port is empty until complete
	username, password string
	vhost              string
	tls                bool // asked for by the scheme
	query              map[string]string
	loginMethod        string
	heartbeat          time.Duration
	connectTimeout     time.Duration
}

func (n node) address() string { return net.JoinHostPort(n.host, n.port) }

// server names the node for people, in the form of a URL without password.
func (n node) server() string {
	scheme := "amqp://"
	if n.tls {
		scheme = "amqps://"
	}
	return scheme + url.PathEscape(n.username) + "@" + n.address() + "/" + url.PathEscape(n.vhost)
}

// complete fills what the URL left out once it is known whether there is TLS
// (kombu/transport/pyamqp.py, default_connection_params).
func (n *node) complete(secure bool) {
	n.tls = secure
	if n.port == "" {
		n.port = map[bool]string{false: "5672", true: "5671"}[secure]
	}
}

// parseURLs reads all URLs, in failover order.
func parseURLs(urls []string, c Config) ([]node, error) {
	var nodes []node
	var errs []error
	for _, list := range urls {
		for text := range strings.SplitSeq(list, ";") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			n, err := parseURL(text, c)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no broker URL"))
	}
	return nodes, errors.Join(errs...)
}

// parseURL reads one URL as kombu does (kombu/utils/url.py), which is laxer than
// net/url: passwords are often not escaped. Errors never quote it.
func parseURL(text string, c Config) (node, error) {
	n := node{vhost: "/", username: "guest", password: "guest", loginMethod: c.LoginMethod, heartbeat: c.Heartbeat, connectTimeout: c.ConnectTimeout}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok { // a bare host
		scheme, rest = "amqp", text
	}
	switch strings.ToLower(scheme) {
	case "amqp", "pyamqp", "librabbitmq":
	case "amqps":
		n.tls = true
	default:
		return node{}, fmt.Errorf("broker URL: cannot use the scheme %q", scheme)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	netloc, path, _ := strings.Cut(rest, "/")
	host := n.login(netloc)
	if err := n.place(host); err != nil {
		return node{}, err
	}
	if path = endpoint.Unquote(path); path != "" {
		n.vhost = path
	}
	return n, n.parameters(query)
}

// login takes user and password from before the last @ and returns the rest.
func (n *node) login(netloc string) string {
	at := strings.LastIndex(netloc, "@")
	if at < 0 {
		return netloc
	}
	user, password, _ := strings.Cut(netloc[:at], ":")
	if user != "" {
		n.username = endpoint.Unquote(user)
	}
	if password != "" {
		n.password = endpoint.Unquote(password)
	}
	return netloc[at+1:]
}

func (n *node) place(host string) error {
	name := host
	if at := strings.LastIndex(host, ":"); at >= 0 && at > strings.LastIndex(host, "]") {
		name, n.port = host[:at], host[at+1:]
	}
	if n.port != "" {
		if number, err := strconv.ParseUint(n.port, 10, 16); err != nil || number == 0 {
			// The port is not quoted: an unescaped slash in a password lands here.
			return errors.New("broker URL: the port is no number from 1 to 65535 (escape special characters of the password)")
		}
	}
	n.host = strings.ToLower(endpoint.Unquote(strings.Trim(name, "[]")))
	if n.host == "" || n.host == "localhost" {
		n.host = "127.0.0.1" // as pyamqp does
	}
	return nil
}

// parameters are arguments of kombu's Connection.
func (n *node) parameters(query string) error {
	n.query = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" {
			continue
		}
		name, value = endpoint.Unquote(name), endpoint.Unquote(strings.ReplaceAll(value, "+", " "))
		var err error
		switch {
		case name == "heartbeat":
			err = number(value, &n.heartbeat)
		case name == "connect_timeout":
			err = number(value, &n.connectTimeout)
		case name == "login_method":
			n.loginMethod = value
		case name == "virtual_host":
			n.vhost = value
		case strings.HasPrefix(name, "ssl_"):
			n.query[name] = value
		default:
			err = errors.New("is not known")
		}
		if err != nil {
			return fmt.Errorf("broker URL: parameter %q: %w", name, err)
		}
	}
	return nil
}

func number(value string, d *time.Duration) error {
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || s < 0 || s > 1e9 {
		return errors.New("wants a number of seconds")
	}
	*d = time.Duration(s * float64(time.Second))
	return nil
}
