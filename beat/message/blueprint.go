package message

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // moments are written in the app's zone, in an empty image too
)

// Blueprint is a message with gaps. The zero value is none. Any number of
// goroutines may fill one.
type Blueprint struct {
	route                                 *route
	declare                               []Declaration
	envelope, inner, body, headers, props template
	constant                              []byte // the body, when there is nothing to fill in
}

// route is what many blueprints have in common.
type route struct {
	Exchange     string `json:"exchange"`
	ExchangeType string `json:"exchange_type"`
	RoutingKey   string `json:"routing_key"`
	Priority     int    `json:"priority"`
	Zone         string `json:"zone"`
	Wall         bool   `json:"wall"`

	clock clock
}

// IsZero says that this is no blueprint.
func (b *Blueprint) IsZero() bool { return b.route == nil }

// Queues are the names of the queues that the message declares.
func (b *Blueprint) Queues() []string {
	var names []string
	for _, d := range b.declare {
		if d.Queue != "" {
			names = append(names, d.Queue)
		}
	}
	return names
}

// Parse reads one blueprint.
func Parse(text string) (Blueprint, error) { return new(Parser).Parse(text) }

// Parser is Parse for many, which mostly go the same few ways: routes,
// declarations and zones are read once. One goroutine uses it.
type Parser struct {
	routes   map[string]*route
	declares map[string][]Declaration
	zones    map[string]*time.Location
}

// Parse reads one blueprint, which goes on using the text.
func (p *Parser) Parse(text string) (Blueprint, error) {
	b, err := p.parse(text)
	if err != nil {
		return Blueprint{}, fmt.Errorf("cannot read a blueprint: %w", err)
	}
	return b, nil
}

func (p *Parser) parse(text string) (b Blueprint, err error) {
	l := lines{rest: text}
	if b.route, err = p.route(l.take("route")); err != nil {
		return b, err
	}
	if b.declare, err = p.declaration(l.take("declare")); err != nil {
		return b, err
	}
	if err = b.parts(&l); err != nil {
		return b, err
	}
	if l.rest != "" {
		word, _, _ := strings.Cut(l.rest, " ")
		return b, fmt.Errorf("%.20q is not known, or not in its place", word)
	}
	return b, b.check()
}

// parts reads the marked texts.
func (b *Blueprint) parts(l *lines) (err error) {
	for _, part := range []struct {
		word string
		into *template
	}{{"envelope", &b.envelope}, {"inner", &b.inner}, {"body", &b.body}} {
		if err = part.into.read(part.word, l.take(part.word)); err != nil {
			return err
		}
	}
	if text := l.take("body64"); text != "" {
		if b.constant, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return fmt.Errorf("body64: %w", err)
		}
	}
	if err = b.headers.read("headers", l.take("headers")); err != nil {
		return err
	}
	return b.props.read("properties", l.take("properties"))
}

// check refuses what no message could be made of.
func (b *Blueprint) check() error {
	amqp := !b.headers.none() || !b.props.none()
	switch {
	case b.envelope.none() && !amqp:
		return errors.New("there is neither an envelope nor headers and properties")
	case amqp && (b.headers.none() || b.props.none()):
		return errors.New("headers and properties go together")
	case b.envelope.has(markInner) == b.inner.none():
		return errors.New("an inner body and its mark go together")
	case b.inner.has(markInner), b.body.has(markInner), b.headers.has(markInner), b.props.has(markInner):
		return errors.New("the inner body belongs into the envelope")
	case b.constant != nil && !b.body.none():
		return errors.New("there are two bodies")
	}
	if b.route.clock.zone == nil && b.hasMoments() {
		return fmt.Errorf("it has moments, and the zone %q is not known", b.route.Zone)
	}
	return nil
}

func (b *Blueprint) hasMoments() bool {
	return b.envelope.has(markMoment) || b.inner.has(markMoment) || b.body.has(markMoment) ||
		b.headers.has(markMoment) || b.props.has(markMoment)
}

func (p *Parser) route(text string) (*route, error) {
	if r := p.routes[text]; r != nil {
		return r, nil
	}
	var r route
	if err := decode(text, &r); err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	r.clock = clock{zone: p.zone(r.Zone), wall: r.Wall}
	if p.routes == nil {
		p.routes = map[string]*route{}
	}
	p.routes[strings.Clone(text)] = &r
	return &r, nil
}

func (p *Parser) declaration(text string) ([]Declaration, error) {
	if text == "" {
		return nil, nil
	}
	if d, ok := p.declares[text]; ok {
		return d, nil
	}
	var d []Declaration
	if err := decode(text, &d); err != nil {
		return nil, fmt.Errorf("declare: %w", err)
	}
	if p.declares == nil {
		p.declares = map[string][]Declaration{}
	}
	p.declares[strings.Clone(text)] = d
	return d, nil
}

// zone is nil when it is not known: that matters to messages with moments only.
func (p *Parser) zone(name string) *time.Location {
	if name == "" || name == "Local" { // Go's names for UTC and for the pod's own zone
		return nil
	}
	if zone := p.zones[name]; zone != nil {
		return zone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	if p.zones == nil {
		p.zones = map[string]*time.Location{}
	}
	p.zones[name] = zone
	return zone
}

func decode(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() || d.InputOffset() != int64(len(text)) {
		return errors.New("there is more than one value")
	}
	return nil
}

// lines takes a text apart.
type lines struct{ rest string }

// take is the value of the next line if it has this word, or else empty.
func (l *lines) take(word string) string {
	value, ok := strings.CutPrefix(l.rest, word+" ")
	if !ok {
		return ""
	}
	end := strings.IndexByte(value, '\n')
	if end <= 0 { // a line without an end, or without a value: it stays, and is refused
		return ""
	}
	l.rest = value[end+1:]
	return value[:end]
}
