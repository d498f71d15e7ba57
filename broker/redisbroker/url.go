package redisbroker

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"crisper/broker/internal/endpoint"
)

// node is one place to connect to: a server, or a set of sentinels to ask for one.
type node struct {
	network, address   string // tcp or unix
	sentinels          []string
	username, password string
	db                 int
	tls                bool
	query              map[string]string // ssl_* parameters
}

// server names the node for people.
func (n node) server() string {
	db := "/" + strconv.Itoa(n.db)
	switch {
	case n.sentinels != nil:
		return "sentinel://" + strings.Join(n.sentinels, ";") + db
	case n.network == "unix":
		return "redis+socket://" + n.address + "?virtual_host=" + strconv.Itoa(n.db)
	case n.tls:
		return "rediss://" + n.address + db
	}
	return "redis://" + n.address + db
}

// Redact returns the URL, or the ;-list of URLs, without passwords.
func Redact(text string) string {
	var urls []string
	for part := range strings.SplitSeq(text, ";") {
		if len(urls) > 0 && !strings.Contains(part, "://") { // the ; was part of a password
			urls[len(urls)-1] += ";" + part
			continue
		}
		urls = append(urls, part)
	}
	for i, url := range urls {
		urls[i] = redactOne(url)
	}
	return strings.Join(urls, ";")
}

func redactOne(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "**"
	}
	user := ""
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		name, _, found := strings.Cut(rest[:at], ":")
		user, rest = name+"@", rest[at+1:]
		if found {
			user = name + ":**@"
		}
	}
	rest, query, found := strings.Cut(rest, "?")
	if found {
		rest += "?" + redactQuery(query)
	}
	return scheme + "://" + user + rest
}

func redactQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok && strings.Contains(strings.ToLower(name), "pass") {
			pairs[i] = name + "=**"
		}
	}
	return strings.Join(pairs, "&")
}

// parseURLs reads all URLs, in failover order. Sentinels together are one node.
func parseURLs(urls []string) ([]node, error) {
	var nodes []node
	var errs []error
	var sentinels *node
	for _, list := range urls {
		for text := range strings.SplitSeq(list, ";") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			n, err := parseURL(text)
			switch {
			case err != nil:
				errs = append(errs, err)
			case n.sentinels == nil:
				nodes = append(nodes, n)
			case sentinels == nil:
				sentinels = &n
			default:
				sentinels.sentinels = append(sentinels.sentinels, n.sentinels...)
			}
		}
	}
	if sentinels != nil {
		nodes = append(nodes, *sentinels)
	}
	if len(nodes) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no broker URL"))
	}
	return nodes, errors.Join(errs...)
}

// parseURL reads one URL as kombu does (kombu/utils/url.py), which is laxer than
// net/url: passwords are often not escaped. Errors never quote it.
func parseURL(text string) (node, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return node{}, errors.New("broker URL has no scheme (redis://, rediss://, redis+socket://, sentinel://)")
	}
	scheme = strings.ToLower(scheme)
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	n := node{network: "tcp", query: parseQuery(query)}
	switch scheme {
	case "redis", "sentinel":
	case "rediss":
		n.tls = true
	case "redis+socket", "unix", "redis+unix":
		return n.unix(rest)
	default:
		return node{}, fmt.Errorf("broker URL: cannot use the scheme %q", scheme)
	}
	netloc, path, _ := strings.Cut(rest, "/")
	host := n.login(netloc)
	address, err := hostPort(host, map[bool]string{true: "26379", false: "6379"}[scheme == "sentinel"])
	if err != nil {
		return node{}, err
	}
	if scheme == "sentinel" {
		n.sentinels = []string{address}
	} else {
		n.address = address
	}
	if path == "" {
		path = n.query["virtual_host"]
	}
	n.db, err = database(path)
	return n, err
}

func (n node) unix(rest string) (node, error) {
	n.network = "unix"
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = n.login(rest)
	}
	n.address = endpoint.Unquote(rest)
	if !strings.HasPrefix(n.address, "/") {
		n.address = "/" + n.address
	}
	if n.address == "/" {
		return node{}, errors.New("broker URL names no socket")
	}
	db := n.query["virtual_host"]
	if db == "" {
		db = n.query["db"]
	}
	var err error
	n.db, err = database(db)
	return n, err
}

// login takes user and password from before the last @ and returns the rest.
func (n *node) login(netloc string) string {
	at := strings.LastIndex(netloc, "@")
	if at < 0 {
		return netloc
	}
	user, password, _ := strings.Cut(netloc[:at], ":")
	n.username, n.password = endpoint.Unquote(user), endpoint.Unquote(password)
	return netloc[at+1:]
}

func hostPort(host, defaultPort string) (string, error) {
	name, port := host, defaultPort
	if at := strings.LastIndex(host, ":"); at >= 0 && at > strings.LastIndex(host, "]") {
		name = host[:at]
		if host[at+1:] != "" {
			port = host[at+1:]
		}
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		// The port is not quoted: an unescaped slash in a password lands here.
		return "", errors.New("broker URL: the port is no number from 1 to 65535 (escape special characters of the password)")
	}
	name = strings.ToLower(endpoint.Unquote(strings.Trim(name, "[]")))
	if name == "" {
		name = "127.0.0.1"
	}
	return net.JoinHostPort(name, port), nil
}

func database(path string) (int, error) {
	path = strings.TrimPrefix(endpoint.Unquote(path), "/")
	if path == "" {
		return 0, nil
	}
	db, err := strconv.Atoi(path)
	if err != nil || db < 0 {
		return 0, errors.New("broker URL: the database is an integer from 0")
	}
	return db, nil
}

func parseQuery(query string) map[string]string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if ok && value != "" {
			values[endpoint.Unquote(name)] = endpoint.Unquote(strings.ReplaceAll(value, "+", " "))
		}
	}
	return values
}
