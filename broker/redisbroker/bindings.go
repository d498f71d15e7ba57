package redisbroker

import (
	"context"
	"regexp"
	"strings"
	"unicode"

	"crisper/broker"
)

// bindingPattern is the second part of a binding: empty for direct exchanges, a
// regular expression for topic ones (kombu/transport/virtual/exchange.py,
// TopicExchange.key_to_pattern).
func bindingPattern(q broker.Queue) string {
	if q.ExchangeType != "topic" {
		return ""
	}
	words := strings.Split(q.RoutingKey, ".")
	for i, w := range words {
		switch w {
		case "*":
			words[i] = `[^\.]+`
		case "#":
			words[i] = `.*?`
		default:
			words[i] = escaped(w)
		}
	}
	return "^" + strings.Join(words, `\.`) + "$"
}

// escaped is kombu's escape_regex, byte for byte: a binding that differs in
// writing would be a second one.
func escaped(word string) string {
	var b strings.Builder
	for _, r := range word {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '#' && r != '*' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lookup names the queues to which kombu would restore what came by an exchange.
// An empty exchange means the queue that the routing key names.
func (c *Consumer) lookup(ctx context.Context, s *session, r record) ([]string, error) {
	if r.exchange == "" {
		return []string{r.routingKey}, nil
	}
	members, err := s.requests.SMembers(ctx, c.cfg.keys.bindings(r.exchange)).Result()
	if err != nil {
		return nil, s.judge(err)
	}
	var queues []string
	for _, member := range members {
		parts := strings.Split(member, c.cfg.options.sep)
		if len(parts) == 3 && bound(parts[0], parts[1], r.routingKey) {
			queues = append(queues, parts[2])
		}
	}
	return queues, nil
}

func bound(key, pattern, routingKey string) bool {
	if pattern == "" {
		return key == routingKey
	}
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(routingKey)
}
