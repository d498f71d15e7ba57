package control

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"crisper/broker"
	"crisper/broker/celerymsg"
)

// Mail is one command as it was broadcast (kombu/pidbox.py, Mailbox._publish).
type Mail struct {
	Method    string
	Arguments map[string]json.RawMessage
	// Destination is nil for everybody.
	Destination      []string
	Pattern, Matcher string
	// Ticket and ReplyTo are there when a reply is wanted.
	Ticket  json.RawMessage
	ReplyTo *broker.Address
	// Clock is the sender's.
	Clock int64
}

// Read reads a mail whose body is JSON.
func Read(m *celerymsg.Message) (Mail, error) {
	mail, err := ReadBody(m.Body)
	if err != nil {
		return mail, err
	}
	mail.Clock = ClockOf(m.Headers)
	return mail, nil
}

// ClockOf is the logical clock in the headers of a message, 0 for none.
func ClockOf(headers []byte) int64 {
	var h struct {
		Clock float64 `json:"clock"`
	}
	_ = json.Unmarshal(headers, &h) // no clock that we understand is no clock
	return int64(h.Clock)
}

// ReadBody reads what a mail says.
func ReadBody(body []byte) (Mail, error) {
	var text struct {
		Method      string                     `json:"method"`
		Arguments   map[string]json.RawMessage `json:"arguments"`
		Destination json.RawMessage            `json:"destination"`
		Pattern     string                     `json:"pattern"`
		Matcher     string                     `json:"matcher"`
		Ticket      json.RawMessage            `json:"ticket"`
		ReplyTo     *struct {
			Exchange   string `json:"exchange"`
			RoutingKey string `json:"routing_key"`
		} `json:"reply_to"`
	}
	if err := json.Unmarshal(body, &text); err != nil {
		return Mail{}, fmt.Errorf("cannot read a control command: %w", err)
	}
	mail := Mail{Method: text.Method, Arguments: text.Arguments, Pattern: text.Pattern, Matcher: text.Matcher, Ticket: text.Ticket}
	if text.ReplyTo != nil {
		mail.ReplyTo = &broker.Address{Exchange: text.ReplyTo.Exchange, RoutingKey: text.ReplyTo.RoutingKey}
	}
	mail.Destination = listOf(text.Destination)
	return mail, nil
}

// listOf is maybe_list: one text is a list of one.
func listOf(value json.RawMessage) []string {
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(value, &one) == nil {
		return []string{one}
	}
	return nil
}

// IsFor tells whether the mail is for a node (Node.handle_message).
func (m Mail) IsFor(node string) bool {
	switch {
	case len(m.Destination) > 0:
		return slices.Contains(m.Destination, node)
	case m.Pattern != "" && m.Matcher != "":
		return matches(m.Matcher, m.Pattern, node)
	}
	return true
}

// matches is kombu.matcher.match. A pattern that we cannot read matches nobody.
func matches(matcher, pattern, node string) bool {
	switch matcher {
	case "glob":
		// fnmatch knows no separators and no escapes.
		plain := strings.NewReplacer("/", "\x00", `\`, `\\`, "[!", "[^")
		ok, err := path.Match(plain.Replace(pattern), strings.ReplaceAll(node, "/", "\x00"))
		return err == nil && ok
	case "pcre":
		re, err := regexp.Compile(`^(?:` + pattern + `)`) // re.match: from the beginning
		return err == nil && re.MatchString(node)
	}
	return false
}
