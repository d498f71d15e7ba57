package schedule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Parse reads one schedule as the app's Python prints it. doc.go has the forms.
func Parse(spec json.RawMessage) (Schedule, error) { return new(Parser).Parse(spec) }

// Parser is Parse for many: it loads each time zone once, and reads the same text
// once. One goroutine uses it.
type Parser struct {
	zones map[string]*time.Location
	known map[string]Schedule
}

// printed is any schedule.
type printed struct {
	Kind     string  `json:"kind"`
	Seconds  float64 `json:"seconds"`
	Relative bool    `json:"relative"`

	Minute     json.RawMessage `json:"minute"`
	Hour       json.RawMessage `json:"hour"`
	DayOfMonth json.RawMessage `json:"day_of_month"`
	Month      json.RawMessage `json:"month_of_year"`
	DayOfWeek  json.RawMessage `json:"day_of_week"`
	Sets       *struct {
		Minute     []int `json:"minute"`
		Hour       []int `json:"hour"`
		DayOfMonth []int `json:"day_of_month"`
		Month      []int `json:"month_of_year"`
		DayOfWeek  []int `json:"day_of_week"`
	} `json:"sets"`
	Zone string `json:"tz"`
}

// Parse reads one schedule.
func (p *Parser) Parse(spec json.RawMessage) (Schedule, error) {
	if s, ok := p.known[string(spec)]; ok {
		return s, nil
	}
	s, err := p.parse(spec)
	if err != nil {
		return nil, err
	}
	if p.known == nil {
		p.known = make(map[string]Schedule)
	}
	p.known[string(spec)] = s
	return s, nil
}

func (p *Parser) parse(spec json.RawMessage) (Schedule, error) {
	var s printed
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("cannot read the schedule: %w", err)
	}
	switch s.Kind {
	case "interval":
		return p.interval(s, spec)
	case "crontab":
		return p.crontab(s)
	case "solar", "opaque":
		return Asked{Kind: s.Kind, Spec: bytes.Clone(spec)}, nil
	}
	return nil, fmt.Errorf("cannot use a schedule of kind %q", s.Kind)
}

// interval without a zone cannot round to its midnights: then Python is asked.
func (p *Parser) interval(s printed, spec json.RawMessage) (Schedule, error) {
	d := forever
	if nanoseconds := s.Seconds * 1e9; nanoseconds < math.MaxInt64 {
		d = time.Duration(math.RoundToEven(s.Seconds*1e6)) * time.Microsecond // as timedelta holds it
	}
	if !s.Relative {
		return checked(Every(d))
	}
	if s.Zone == "" {
		return Asked{Kind: s.Kind, Spec: bytes.Clone(spec)}, nil
	}
	zone, err := p.zone(s.Zone)
	if err != nil {
		return nil, err
	}
	return checked(RelativeTo(d, zone))
}

// checked returns no schedule beside an error.
func checked[S Schedule](s S, err error) (Schedule, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (p *Parser) crontab(s printed) (Schedule, error) {
	if s.Sets == nil {
		return nil, errors.New("cannot use a crontab without its sets")
	}
	zone, err := p.zone(s.Zone)
	if err != nil {
		return nil, err
	}
	var sets [5]set
	var texts [5]string
	expanded := [5][]int{s.Sets.Minute, s.Sets.Hour, s.Sets.DayOfMonth, s.Sets.Month, s.Sets.DayOfWeek}
	written := [5]json.RawMessage{s.Minute, s.Hour, s.DayOfMonth, s.Month, s.DayOfWeek}
	for i, f := range fields {
		if sets[i], err = f.of(expanded[i]); err != nil {
			return nil, err
		}
		texts[i] = original(written[i], expanded[i])
	}
	return checked(newCrontab(sets, texts, zone))
}

// of makes a set of its members.
func (f field) of(values []int) (set, error) {
	var s set
	for _, n := range values {
		if n < f.min || n > f.max {
			return 0, fmt.Errorf("cannot use %s %d: it is not from %d to %d", f.name, n, f.min, f.max)
		}
		s |= 1 << n
	}
	return s, nil
}

// original is the field as the app's author wrote it, or else what it stands for.
func original(written json.RawMessage, expanded []int) string {
	var text string
	switch first := firstByte(written); {
	case first == '"' && json.Unmarshal(written, &text) == nil && text != "":
		return text
	case '0' <= first && first <= '9':
		return string(written)
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(expanded), "[]"), " ", ",")
}

func firstByte(text []byte) byte {
	if len(text) == 0 {
		return 0
	}
	return text[0]
}

// zone knows Go's names; "Local" is one of them, and would be the pod's zone, which
// is not the app's.
func (p *Parser) zone(name string) (*time.Location, error) {
	if zone := p.zones[name]; zone != nil {
		return zone, nil
	}
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("cannot use the time zone %q: it names none", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("cannot use the time zone %q: %w", name, err)
	}
	if p.zones == nil {
		p.zones = make(map[string]*time.Location)
	}
	p.zones[name] = zone
	return zone, nil
}
