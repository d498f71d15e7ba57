package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Vocabulary is what a transport makes of broker_transport_options.
type Vocabulary struct {
	// Set reads the value of an option that concerns us; known is false for all others.
	Set func(name string, value json.RawMessage) (known bool, err error)
	// Passive options are known and need nothing from us; the reason stands beside each.
	Passive map[string]string
	// Refused options are known and cannot be honoured, for the reason beside each.
	Refused map[string]string
}

// Read reads all it can and reports all it cannot, at once. A null is as if not given.
func (v Vocabulary) Read(raw map[string]json.RawMessage) (warnings []string, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if string(bytes.TrimSpace(raw[name])) == "null" {
			continue
		}
		known, err := v.Set(name, raw[name])
		switch {
		case known:
		case v.Refused[name] != "":
			err = fmt.Errorf("cannot be honoured: %s; run this app with --runtime=celery", v.Refused[name])
		case v.Passive[name] == "":
			warnings = append(warnings, fmt.Sprintf("unknown transport option %q is ignored", name))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("broker_transport_options: %s: %s", name, Unquoted(err)))
		}
	}
	return warnings, errors.Join(errs...)
}

// Unquoted leaves out what a JSON error quotes: the value may be a password.
func Unquoted(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return "wants a " + wrong.Type.String() + ", got a " + wrong.Value
	case errors.As(err, &syntax):
		return "is no JSON value"
	}
	return err.Error()
}

// Failover checks broker_failover_strategy: by name only, for a function is Python code.
func Failover(strategy string) error {
	switch strategy {
	case "", "round-robin", "shuffle":
		return nil
	}
	return fmt.Errorf("broker_failover_strategy %q is Python code; round-robin and shuffle can be used", strategy)
}
